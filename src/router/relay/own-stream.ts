import { toError } from "../../base/errors.ts";
import { headerFrames } from "../../http2/frame-writer.ts";
import { GrpcStatus, type ConnectionInfo, type HeaderList } from "../engine.ts";
import type { OwnCall, OwnCallHandler, OwnService, OwnStatus } from "../own-service.ts";
import { RESPONSE_START } from "./answers.ts";
import type { RelayContext } from "./context.ts";
import type { RequestSink } from "./request-sink.ts";
import type { ClientSession } from "./client-session.ts";
import type { OpenStream } from "./stream-table.ts";

/** What may wait for a client that takes no more of the stream. */
const MAX_PENDING_BYTES = 64 * 1024;

/** What such a stream needs of its connection: messages come at any time. */
export interface OwnStreamPort {
  /** Lets the connection write what was gathered. */
  wake(): void;
  /** Does something that nobody called for; a fault in it ends the connection alone. */
  guard(what: () => void): void;
}

/** A call that the router serves itself, as a stream of a connection. */
export class OwnStream implements OwnCall, RequestSink {
  readonly connection: ConnectionInfo;
  readonly headers: HeaderList;
  readonly #session: ClientSession;
  readonly #context: RelayContext;
  readonly #open: OpenStream;
  readonly #port: OwnStreamPort;
  readonly #handler: OwnCallHandler;
  #isOver = false;
  /** Messages that the stream's window has no room for. */
  #pending: Buffer = Buffer.alloc(0);
  /** How the call ends once they are gone. */
  #status: OwnStatus | undefined;
  #grantedBytes = 0;
  #sentBytes = 0;

  constructor(
    streamId: number,
    request: { readonly connection: ConnectionInfo; readonly headers: HeaderList; readonly isWhole: boolean },
    service: OwnService,
    session: ClientSession,
    context: RelayContext,
    port: OwnStreamPort,
  ) {
    this.connection = request.connection;
    this.headers = request.headers;
    this.#session = session;
    this.#context = context;
    this.#port = port;
    this.#open = session.streams.openOwn(streamId, request.isWhole, this);
    this.#handler = service.serve(this);
    if (request.isWhole) {
      this.onTrailers();
    }
  }

  send(framed: Buffer): void {
    if (this.#isOver || this.#status !== undefined) {
      return;
    }
    this.#pending = Buffer.concat([this.#pending, framed]);
    if (this.#pending.length > MAX_PENDING_BYTES) {
      this.#pending = Buffer.alloc(0);
      this.end({ status: GrpcStatus.RESOURCE_EXHAUSTED, message: "the client does not take the answer" });
      return;
    }
    this.#port.guard(() => {
      this.#start();
      this.#sendPending();
    });
    this.#port.wake();
  }

  end(status: OwnStatus): void {
    if (this.#isOver || this.#status !== undefined) {
      return;
    }
    this.#status = status;
    this.#port.guard(() => this.#sendPending());
    this.#port.wake();
  }

  onFrame(): boolean {
    return false;
  }

  onContent(content: Buffer, isLast: boolean): void {
    this.onPadding(content.length);
    if (content.length > 0) {
      this.#tell(() => this.#handler.onData(content));
    }
    if (isLast) {
      this.onTrailers();
    }
  }

  onPadding(sizeBytes: number): void {
    this.#session.flow.refund(sizeBytes);
    this.#session.flow.refund(sizeBytes, this.#open.id);
  }

  onTrailers(): void {
    this.#tell(() => this.#handler.onEnd());
  }

  onGrant(incrementBytes: number): void {
    this.#grantedBytes += incrementBytes;
    this.#sendPending();
  }

  onReset(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      if (this.#status === undefined) {
        this.#guard(() => this.#handler.onCancel());
      }
    }
  }

  #tell(what: () => void): void {
    if (!this.#isOver && this.#status === undefined) {
      this.#guard(what);
    }
  }

  /** A fault of the service is its call's alone. */
  #guard(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.#context.logger.error("the router's own service failed", { error: toError(error) });
      this.end({ status: GrpcStatus.INTERNAL, message: "the router's own service failed; see its log" });
    }
  }

  #start(): void {
    if (!this.#open.responseStarted) {
      this.#open.responseStarted = true;
      const { toClient, settings } = this.#session;
      toClient.answer(this.#open.id, () =>
        headerFrames(this.#open.id, settings.encoder.encode(RESPONSE_START), false),
      );
    }
  }

  #sendPending(): void {
    const { settings, toClient } = this.#session;
    const roomBytes = settings.clientWindowBytes + this.#grantedBytes - this.#sentBytes;
    const sizeBytes = Math.max(0, Math.min(this.#pending.length, roomBytes));
    if (sizeBytes > 0) {
      toClient.content(this.#open.id, this.#pending.subarray(0, sizeBytes), false);
      this.#sentBytes += sizeBytes;
      this.#pending = this.#pending.subarray(sizeBytes);
    }
    if (this.#pending.length === 0 && this.#status !== undefined && !this.#isOver) {
      this.#isOver = true;
      this.#finish(this.#status);
    }
  }

  #finish(status: OwnStatus): void {
    this.#session.answerOpen(this.#open, status);
    this.#session.streams.endByClient(this.#open);
  }
}
