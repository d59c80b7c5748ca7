import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";

import type { Clock } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import {
  GrpcStatus,
  type Admission,
  type ConnectionInfo,
  type Gatekeeper,
  type HeaderList,
} from "../engine.ts";
import { outsideDomains } from "../fault-domain.ts";
import { statusName } from "../grpc-status.ts";
import { withReducedTimeout } from "../grpc-timeout.ts";
import { firstValue, isGrpc } from "../header-list.ts";
import { OtherVmError } from "../vm-dial.ts";
import type { OwnService } from "../own-service.ts";
import { answerStatus, type RouterStatus } from "./answer.ts";
import { RateLimit } from "../rate-limit.ts";
import type { StreamLimits } from "./limits.ts";
import { serveOwnCall } from "./own-call.ts";
import { fromRaw, toRaw } from "./raw-headers.ts";
import { relay, RequestTrailers } from "./relay.ts";
import { isUsable } from "./upstream-connection.ts";
import { Upstreams } from "./upstreams.ts";

/** What all connections of a listener share. */
export interface ConnectionContext {
  readonly gatekeeper: Gatekeeper;
  /** What the router serves itself. */
  readonly own: OwnService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: StreamLimits;
  /** Called once per request with the name of its gRPC status, NONE when it had none. */
  readonly onRequestEnd: (code: string) => void;
}

type Forward = Extract<Admission, { kind: "forward" }>;

/** One request on its way. */
interface Exchange {
  readonly stream: ServerHttp2Stream;
  /** As the client sent them. */
  readonly received: IncomingHttpHeaders;
  readonly headers: HeaderList;
  readonly trailers: RequestTrailers;
  readonly isWhole: boolean;
  readonly arrivedAtMs: number;
  readonly signal: AbortSignal;
}

/** Highest stream id there is. */
const MAX_STREAM_ID = 2 ** 31 - 1;
/** Time that the client of a connection that ends gets to read the last answers. */
const LINGER_MS = 1000;
/** How often a request that never left the router may look for its VM again. */
const MAX_ATTEMPTS = 5;

/** Serves one client connection, stream by stream. */
export class ClientConnection {
  readonly #context: ConnectionContext;
  readonly #session: ServerHttp2Session;
  readonly #info: ConnectionInfo;
  readonly #upstreams: Upstreams;
  readonly #resetRate: RateLimit;
  #openStreams = 0;
  #isGoingAway = false;

  constructor(session: ServerHttp2Session, info: ConnectionInfo, context: ConnectionContext) {
    this.#context = context;
    this.#session = session;
    this.#info = info;
    this.#upstreams = new Upstreams(context);
    this.#resetRate = new RateLimit(context.limits.resetRate, "RST_STREAM frames", context.clock);
    session.on("stream", (stream, headers, flags, raw: string[]) => {
      try {
        this.#onStream(stream, headers, flags, fromRaw(raw));
      } catch (error) {
        context.logger.error("a request could not be served", { connection: info.id, error: toError(error) });
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      }
    });
    session.once("close", () => this.#upstreams.destroy());
  }

  /**
   * Ends this connection's own connection to a VM that is about to be off, once its streams have ended. The client's goes
   * on: it is bound to no VM, so a request that comes now is held like any other.
   */
  leaveVm(satellite: string): void {
    this.#upstreams.close(satellite);
  }

  /** Ends what is open on that satellite's epochs up to `lastEpoch`. */
  endStreams(satellite: string, lastEpoch: number): void {
    this.#upstreams.destroyUpTo(satellite, lastEpoch);
  }

  /**
   * Ends the connection once its streams have run out. While some are open the client first hears that the end is near
   * and may still send what is on its way; after one round trip it hears which stream was the last (RFC 9113 section
   * 6.8). Without an open stream it hears the latter at once, and tries again what was on its way: nghttp2 reads nothing
   * more after a GOAWAY when no stream is open, so nothing could be answered.
   */
  goAway(): void {
    if (this.#isGoingAway || this.#session.destroyed) {
      return;
    }
    this.#isGoingAway = true;
    if (this.#openStreams === 0) {
      this.#close();
      return;
    }
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, MAX_STREAM_ID);
    this.#session.ping(() => this.#close());
  }

  /** Each reset costs the client nothing and the VM a request (CVE-2023-44487). */
  #countReset(): void {
    try {
      this.#resetRate.take();
    } catch (error) {
      this.#context.logger.debug("client connection fails", {
        connection: this.#info.id,
        error: toError(error),
      });
      this.#upstreams.destroy();
      this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  #close(): void {
    if (!this.#session.closed && !this.#session.destroyed) {
      this.#session.close();
    }
  }

  /**
   * Ends the connection and what is still open on it. Calls at a VM hear UNAVAILABLE, as gRPC asks of a connection that
   * ends; destroying the session at once would reset them with NO_ERROR, which clients take for an internal error.
   */
  end(): void {
    this.#upstreams.destroy();
    this.#close();
    const timer = this.#context.clock.setTimer(LINGER_MS, () => this.#session.destroy());
    this.#session.once("close", () => timer.cancel());
  }

  /** Ends it now, streams included. */
  destroy(): void {
    this.#upstreams.destroy();
    this.#session.destroy();
  }

  #onStream(
    stream: ServerHttp2Stream,
    received: IncomingHttpHeaders,
    flags: number,
    headers: HeaderList,
  ): void {
    const { clock, own, logger } = this.#context;
    const abort = new AbortController();
    stream.on("error", (error) => logger.debug("stream failed", { connection: this.#info.id, error }));
    this.#openStreams++;
    stream.once("close", () => {
      this.#openStreams--;
      if (stream.aborted) {
        this.#countReset();
      }
      if (this.#isGoingAway && this.#openStreams === 0) {
        this.#close();
      }
      // Who waits for it is the gate, which all connections share.
      outsideDomains(() => abort.abort());
    });
    if (own.handles(this.#info, headers)) {
      serveOwnCall(own, stream, this.#info, headers);
      return;
    }
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const arrivedAtMs = clock.monotonicMs();
    const trailers = new RequestTrailers(stream);
    this.#admit({ stream, received, headers, trailers, isWhole, arrivedAtMs, signal: abort.signal }, 1);
  }

  #admit(exchange: Exchange, attempt: number): void {
    const { gatekeeper, clock } = this.#context;
    if (firstValue(exchange.headers, ":method") === "CONNECT") {
      this.#refuse(exchange, { status: GrpcStatus.UNIMPLEMENTED, message: "CONNECT is not supported" });
      return;
    }
    const elapsedMs = attempt === 1 ? 0 : clock.monotonicMs() - exchange.arrivedAtMs;
    const headers = withReducedTimeout(exchange.headers, elapsedMs);
    try {
      const admission = gatekeeper.admit(this.#info, headers, exchange.signal);
      if (admission instanceof Promise) {
        admission
          .then((settled) => this.#onAdmission(exchange, settled, attempt))
          .catch((error: unknown) => this.#fail(exchange, error));
      } else {
        this.#onAdmission(exchange, admission, attempt);
      }
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #onAdmission(exchange: Exchange, admission: Admission, attempt: number): void {
    if (admission.kind === "refuse") {
      this.#refuse(exchange, admission);
      return;
    }
    const session = this.#upstreams.session(admission.upstream);
    if (!(session instanceof Promise)) {
      this.#forward(exchange, admission, session, attempt);
      return;
    }
    session
      .then(
        (connected) => this.#forward(exchange, admission, connected, attempt),
        (error: unknown) => {
          admission.release();
          this.#context.gatekeeper.upstreamFailed(admission.upstream, toError(error));
          this.#tryAgain(exchange, attempt, toError(error));
        },
      )
      .catch((error: unknown) => this.#fail(exchange, error));
  }

  /** Nothing of the request has left the router, so looking for the VM again replays nothing. */
  #tryAgain(exchange: Exchange, attempt: number, error: Error): void {
    if (attempt < MAX_ATTEMPTS && !exchange.signal.aborted) {
      this.#admit(exchange, attempt + 1);
      return;
    }
    this.#refuse(exchange, {
      status: GrpcStatus.UNAVAILABLE,
      message: error.message,
      metadata: [["satellite-reason", error instanceof OtherVmError ? error.code : "VMUnreachable"]],
    });
  }

  #forward(exchange: Exchange, admission: Forward, session: ClientHttp2Session, attempt: number): void {
    const { gatekeeper, clock } = this.#context;
    const { stream, received, trailers, isWhole } = exchange;
    if (stream.destroyed || stream.closed) {
      admission.release();
      this.#context.onRequestEnd("CANCELLED");
      return;
    }
    if (!isUsable(session)) {
      admission.release();
      this.#tryAgain(exchange, attempt, new Error("the VM closed the connection"));
      return;
    }
    const elapsedMs = attempt === 1 ? admission.heldMs : clock.monotonicMs() - exchange.arrivedAtMs;
    const headers = withReducedTimeout(
      exchange.headers.filter(([name]) => !admission.drop.has(name)),
      elapsedMs,
    );
    let upstream: ClientHttp2Stream;
    try {
      upstream = session.request(toRaw(headers, received), { endStream: isWhole, waitForTrailers: !isWhole });
    } catch (error) {
      admission.release();
      this.#fail(exchange, error);
      return;
    }
    const { satellite } = admission.upstream;
    relay({
      client: stream,
      trailers,
      drop: admission.drop,
      upstream,
      session,
      isGrpc: isGrpc(exchange.headers),
      satellite,
      onEnd: ({ status, connectionLost }) => {
        admission.release();
        this.#context.onRequestEnd(endOf(status, stream));
        if (connectionLost) {
          gatekeeper.upstreamFailed(admission.upstream, new Error("the connection broke during a call"));
        }
      },
    });
  }

  #refuse(exchange: Exchange, answer: RouterStatus): void {
    this.#context.onRequestEnd(statusName(answer.status));
    answerStatus(exchange.stream, answer);
  }

  #fail(exchange: Exchange, error: unknown): void {
    this.#context.logger.error("a request could not be decided about", { error: toError(error) });
    this.#refuse(exchange, { status: GrpcStatus.INTERNAL, message: "the router failed; see its log" });
  }
}

function endOf(status: string | undefined, stream: ServerHttp2Stream): string {
  if (status !== undefined) {
    return statusName(status);
  }
  return stream.aborted ? "CANCELLED" : "NONE";
}
