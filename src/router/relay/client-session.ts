import { goAwayFrame, rstStreamFrame } from "../../http2/frame-writer.ts";
import { MAX_31_BIT, type ErrorCodeValue } from "../../http2/protocol.ts";
import { statusName } from "../grpc-status.ts";
import { RateLimit } from "../rate-limit.ts";
import type { OwnStatus } from "../own-service.ts";
import { answerFrames } from "./answers.ts";
import { ClientFlow } from "./client-flow.ts";
import { ClientOutput } from "./client-output.ts";
import { ClientSettings } from "./client-settings.ts";
import type { RelayContext } from "./context.ts";
import { StreamTable, type OpenStream } from "./stream-table.ts";

/** HTTP/2 with one client, as the parts of its connection share it: its streams, its windows, what it was told. */
export class ClientSession {
  readonly streams: StreamTable;
  readonly settings: ClientSettings;
  readonly flow: ClientFlow;
  readonly toClient: ClientOutput;
  /** Counts an ended request, see {@link RequestEnd}. */
  readonly onRequestEnd: (code: string) => void;
  /** Highest stream id that the client has opened. */
  lastClientId = 0;
  readonly #resetRate: RateLimit;
  #goAwayLimit = MAX_31_BIT;

  constructor(context: RelayContext) {
    this.onRequestEnd = context.onRequestEnd;
    this.streams = new StreamTable(context.onRequestEnd);
    this.#resetRate = new RateLimit(context.limits.resetRate, "errors on streams", context.clock);
    this.settings = new ClientSettings(context.limits);
    this.flow = new ClientFlow(context.prepaid);
    this.toClient = new ClientOutput(context.slabs, context.limits, this.flow, this.settings);
  }

  /** Streams above this id will not be processed; it only falls (RFC 9113 §6.8). */
  get goAwayLimit(): number {
    return this.#goAwayLimit;
  }

  /** Sends GOAWAY; the last stream id is never above one that was sent before. */
  goAway(lastStreamId: number, errorCode: number, debug = ""): void {
    this.#goAwayLimit = Math.min(this.#goAwayLimit, lastStreamId);
    this.toClient.inject(goAwayFrame(this.#goAwayLimit, errorCode, debug));
  }

  /** Answers a request that no VM was given. */
  answer(streamId: number, status: OwnStatus, clientSends: boolean): void {
    this.onRequestEnd(statusName(status.status));
    this.#putAnswer(streamId, status, clientSends, false);
  }

  /** The answer is made when it is put in: it depends on its place. */
  #putAnswer(streamId: number, status: OwnStatus, clientSends: boolean, responseStarted: boolean): void {
    this.toClient.answer(streamId, () =>
      answerFrames(status, {
        streamId,
        responseStarted,
        clientSends,
        encoder: this.settings.encoder,
      }),
    );
  }

  /** Answers a request in its VM's place, unless its answer has ended. */
  answerOpen(stream: OpenStream, status: OwnStatus): void {
    const { clientEnded, id, responseStarted, upstreamEnded } = stream;
    if (!upstreamEnded) {
      this.#putAnswer(id, status, !clientEnded, responseStarted);
      this.streams.endByUpstream(stream, statusName(status.status));
    }
  }

  /**
   * Resets a stream towards the client, for an error of the client's: as cheap for it to cause as a reset of its own
   * (CVE-2025-8671, "MadeYouReset").
   *
   * @throws Http2ConnectionError ENHANCE_YOUR_CALM when there were too many
   */
  resetStream(streamId: number, errorCode: ErrorCodeValue): void {
    this.#resetRate.take();
    this.toClient.drop(streamId);
    this.toClient.answer(streamId, rstStreamFrame(streamId, errorCode));
  }

  /** Grants the client the windows that are due. */
  settleWindows(): void {
    for (const frame of this.flow.takeRefunds()) {
      this.toClient.inject(frame);
    }
  }
}
