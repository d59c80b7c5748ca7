import { toError } from "../../base/errors.ts";
import type { Clock } from "../../base/clock.ts";
import {
  GrpcStatus,
  type Admission,
  type ConnectionInfo,
  type Gatekeeper,
  type HeaderList,
  type Upstream,
} from "../engine.ts";
import { parseGrpcTimeoutMs, withReducedTimeout } from "../grpc-timeout.ts";
import { firstValue } from "../header-list.ts";
import type { ErrorCodeValue } from "../http2/protocol.ts";
import { windowUpdateFrame } from "../http2/frame-writer.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Refusal } from "./answers.ts";
import { abandoned, HeldRequests, type HeldRequest } from "./held-requests.ts";
import type { SpliceLimits } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import { writeRequest, type RequestBlock } from "./request-block.ts";
import type { SettingsBridge } from "./settings-bridge.ts";
import type { Forward, StreamTable } from "./stream-table.ts";

/**
 * Where a request for `upstream` goes on this connection: on to the VM; not yet; nowhere, because the
 * connection belongs to another satellite; or back to the client, because the VM of this connection is one
 * that has meanwhile slept.
 */
export type Route = "ready" | "later" | "foreign" | "giveBack";

/** What the desk needs of its connection. */
export interface DeskPort {
  readonly info: ConnectionInfo;
  readonly gatekeeper: Gatekeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: SpliceLimits;
  readonly streams: StreamTable;
  readonly settings: SettingsBridge;
  readonly toUpstream: Outbox;
  /** The satellite of this connection, once a request was admitted. */
  boundTo(): string | undefined;
  /** Whether frames of ours may be put into the client's bytes to the VM now. */
  canForward(): boolean;
  /** Asks where a request goes; may begin to connect. */
  route(upstream: Upstream): Route;
  /** Puts an answer before the client. */
  answer(streamId: number, refusal: Refusal, clientSends: boolean): void;
  /** Puts RST_STREAM before the client. */
  resetStream(streamId: number, errorCode: ErrorCodeValue): void;
  /** Gives connection window back for DATA that the VM never saw. */
  refund(sizeBytes: number): void;
  /** Tells the client by GOAWAY to take all unforwarded requests elsewhere. */
  giveBack(): void;
  /** Something may be able to go on: look at it at the end of this turn. */
  wake(): void;
}

/** Admits the requests of one connection and passes them on in the order of their ids. */
export class RequestDesk {
  readonly held = new HeldRequests();
  readonly #port: DeskPort;
  /** For the next request; it is used up only by a request that has to wait. */
  #spareAbort: AbortController | undefined;

  constructor(port: DeskPort) {
    this.#port = port;
  }

  /** Takes a new request. On the way without obstacles it is passed on at once. */
  request(streamId: number, block: RequestBlock, endStream: boolean): void {
    const port = this.#port;
    if (block.tooLarge) {
      this.#refuse(streamId, tooLarge(port.limits.maxHeaderListBytes), !endStream);
      return;
    }
    const abort = (this.#spareAbort ??= new AbortController());
    const admission = this.#ask(block.fields, abort.signal);
    if (admission instanceof Promise) {
      const held = this.#hold(streamId, block, endStream, abort);
      held.asked = 1;
      this.#await(held, admission);
      return;
    }
    if (admission.kind === "refuse") {
      this.#refuse(streamId, admission, !endStream);
      return;
    }
    const { streams, settings } = port;
    if (
      this.held.size === 0 &&
      streams.size < settings.maxUpstreamStreams &&
      port.canForward() &&
      port.route(admission.upstream) === "ready" &&
      admission.heldMs <= 0
    ) {
      streams.open(streamId, admission, endStream);
      writeRequest(port.toUpstream, streamId, block, block.fields, admission.drop, endStream);
      return;
    }
    this.#hold(streamId, block, endStream, abort).admission = admission;
    port.wake();
  }

  /** The client reset a waiting request: the VM never hears of it. */
  cancel(held: HeldRequest): void {
    this.#drop(held);
  }

  /** Ends a waiting request with RST_STREAM. */
  reset(held: HeldRequest, errorCode: ErrorCodeValue): void {
    this.#drop(held);
    this.#port.resetStream(held.id, errorCode);
  }

  /** Drops every waiting request without a word to the client. */
  dropAll(): void {
    for (const held of this.held.all()) {
      this.#drop(held);
    }
  }

  /** Answers every waiting request. */
  refuseAll(refusal: Refusal): void {
    for (const held of this.held.all()) {
      this.#drop(held);
      this.#port.answer(held.id, refusal, !held.clientEnded);
    }
  }

  /** Takes all admissions back without asking yet; {@link askSuspended} follows. */
  suspend(): void {
    for (const held of this.held.all()) {
      if (held.admission !== undefined) {
        this.#releaseAdmission(held);
        held.asked = 0;
      }
    }
  }

  /** Asks for every request for which no question is open. */
  askSuspended(): void {
    for (const held of this.held.all()) {
      if (held.admission === undefined && held.asked === 0) {
        this.#askFor(held);
      }
    }
  }

  /**
   * Passes on what can be passed on, in the order of the ids (they must rise, RFC 9113 §5.1.1): one request
   * that has to wait holds up all behind it. The first admission binds the connection, whichever it is.
   */
  pump(): void {
    const port = this.#port;
    let isHeldUp = false;
    for (const held of this.held.all()) {
      const { admission } = held;
      const route = admission === undefined ? "later" : port.route(admission.upstream);
      if (admission === undefined || route === "later") {
        isHeldUp = true;
      } else if (route === "foreign") {
        this.#refuseHeld(held, foreign(port.boundTo() ?? "", admission.upstream));
      } else if (route === "giveBack") {
        port.giveBack();
        return;
      } else if (isHeldUp || !port.canForward() || port.streams.size >= port.settings.maxUpstreamStreams) {
        return;
      } else {
        this.#forward(held, admission);
      }
    }
  }

  #ask(fields: HeaderList, signal: AbortSignal): Admission | Promise<Admission> {
    try {
      return this.#port.gatekeeper.admit(this.#port.info, fields, signal);
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Admission {
    this.#port.logger.error("a request could not be judged", { error: toError(error) });
    return {
      kind: "refuse",
      status: GrpcStatus.INTERNAL,
      message: "the router could not judge this request; see its log",
      metadata: [],
    };
  }

  #hold(streamId: number, block: RequestBlock, endStream: boolean, abort: AbortController): HeldRequest {
    this.#spareAbort = undefined;
    return this.held.add(streamId, block, endStream, abort, this.#port.clock.monotonicMs());
  }

  #askFor(held: HeldRequest): void {
    held.asked += 1;
    const elapsedMs = this.#port.clock.monotonicMs() - held.arrivedAtMs;
    const admission = this.#ask(withReducedTimeout(held.block.fields, elapsedMs), held.abort.signal);
    if (admission instanceof Promise) {
      this.#await(held, admission);
    } else {
      this.#settle(held, held.asked, admission);
    }
  }

  #await(held: HeldRequest, admission: Promise<Admission>): void {
    const { asked } = held;
    admission.then(
      (settled) => this.#settle(held, asked, settled),
      (error: unknown) => this.#settle(held, asked, this.#failed(error)),
    );
  }

  #settle(held: HeldRequest, asked: number, admission: Admission): void {
    if (this.held.get(held.id) !== held || held.asked !== asked) {
      if (admission.kind === "forward") {
        admission.release();
      }
      return;
    }
    if (admission.kind === "refuse") {
      this.#refuseHeld(held, admission);
    } else {
      held.admission = admission;
      const boundTo = this.#port.boundTo();
      if (boundTo !== undefined && boundTo !== admission.upstream.satellite) {
        this.#refuseHeld(held, foreign(boundTo, admission.upstream));
      }
    }
    this.#port.wake();
  }

  #forward(held: HeldRequest, admission: Forward): void {
    const port = this.#port;
    const { block, body, id } = held;
    const waitedMs = Math.max(admission.heldMs, port.clock.monotonicMs() - held.arrivedAtMs);
    const timeoutMs = parseGrpcTimeoutMs(firstValue(block.fields, "grpc-timeout") ?? "");
    if (timeoutMs !== undefined && timeoutMs <= waitedMs) {
      this.#refuseHeld(held, expired());
      return;
    }
    this.held.take(held);
    port.streams.open(id, admission, held.clientEnded);
    const endsAtOnce = held.clientEnded && body.length === 0;
    const fields = withReducedTimeout(block.fields, waitedMs);
    writeRequest(port.toUpstream, id, block, fields, admission.drop, endsAtOnce);
    for (const part of body) {
      if (Buffer.isBuffer(part)) {
        port.toUpstream.add(part);
      } else {
        writeRequest(port.toUpstream, id, part, part.fields, admission.drop, true);
      }
    }
    if (held.grantedBytes > 0) {
      port.toUpstream.add(windowUpdateFrame(id, held.grantedBytes));
    }
  }

  #refuse(streamId: number, refusal: Refusal, clientSends: boolean): void {
    this.#port.streams.markUnforwarded(streamId);
    this.#port.answer(streamId, refusal, clientSends);
  }

  #refuseHeld(held: HeldRequest, refusal: Refusal): void {
    this.#drop(held);
    this.#port.answer(held.id, refusal, !held.clientEnded);
  }

  #drop(held: HeldRequest): void {
    this.held.take(held);
    this.#port.streams.markUnforwarded(held.id);
    this.#port.refund(held.windowBytes);
    this.#releaseAdmission(held);
    held.abort.abort(abandoned());
  }

  #releaseAdmission(held: HeldRequest): void {
    const { admission } = held;
    held.admission = undefined;
    admission?.release();
  }
}

function foreign(boundTo: string, upstream: Upstream): Refusal {
  return {
    status: GrpcStatus.FAILED_PRECONDITION,
    message:
      `this connection belongs to satellite ${boundTo}; open another connection for ${upstream.satellite}, ` +
      "or use a listener for multiplexed connections",
    metadata: [["satellite-reason", "OtherSatellite"]],
  };
}

function expired(): Refusal {
  return {
    status: GrpcStatus.DEADLINE_EXCEEDED,
    message: "the deadline passed while the request was held",
    metadata: [["satellite-reason", "DeadlineExceeded"]],
  };
}

function tooLarge(maxBytes: number): Refusal {
  return {
    status: GrpcStatus.RESOURCE_EXHAUSTED,
    message: `the request's metadata is larger than ${maxBytes} bytes`,
    metadata: [["satellite-reason", "MetadataTooLarge"]],
  };
}
