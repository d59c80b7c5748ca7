import { backoffMs } from "../../base/backoff.ts";
import type { Timer } from "../../base/clock.ts";
import { GrpcStatus, type Upstream } from "../engine.ts";
import { settingsFrame } from "../http2/frame-writer.ts";
import { CLIENT_PREFACE } from "../http2/protocol.ts";
import { dialError, OtherVmError } from "../vm-dial.ts";
import type { Refusal } from "./answers.ts";
import type { SpliceContext } from "./context.ts";
import type { RequestDesk, Route } from "./request-desk.ts";
import type { Splice } from "./splice.ts";
import type { UpstreamEvents } from "./upstream-frames.ts";
import { UpstreamLink, type LinkEvents } from "./upstream-link.ts";

const MAX_REDIAL_DELAY_MS = 1000;
const UNREACHABLE = "Unreachable";

/** What the connector needs besides the splice. */
export interface ConnectorPort {
  readonly desk: RequestDesk;
  readonly frames: UpstreamEvents;
  readonly events: LinkEvents;
  wake(): void;
}

/**
 * Brings one client connection to its VM. Until the VM's SETTINGS are there nothing of a request was sent, so
 * it is safe to ask the gate again and to connect once more.
 */
export class Connector {
  readonly #splice: Splice;
  readonly #context: SpliceContext;
  readonly #port: ConnectorPort;
  #bound: Upstream | undefined;
  #attempts = 0;
  #redialTimer: Timer | undefined;

  constructor(splice: Splice, context: SpliceContext, port: ConnectorPort) {
    this.#splice = splice;
    this.#context = context;
    this.#port = port;
  }

  /** The VM that the connection belongs to, from the first admission on. */
  get bound(): Upstream | undefined {
    return this.#bound;
  }

  /** Says where a request goes, and connects if nobody did yet. */
  route(upstream: Upstream): Route {
    const bound = this.#bound;
    if (bound !== undefined && bound.satellite !== upstream.satellite) {
      return this.#routeElsewhere(bound);
    }
    if (this.#splice.isSpliced) {
      return isSame(bound, upstream) ? "ready" : "giveBack";
    }
    if (this.#redialTimer === undefined && !isSame(this.#splice.link?.upstream, upstream)) {
      this.#dial(upstream);
    }
    return "later";
  }

  /** A connection that only the router's own service was asked on is no satellite's: clients come back on a new one. */
  #routeElsewhere(bound: Upstream): Route {
    if (bound !== this.#context.own?.upstream) {
      return "foreign";
    }
    return this.#splice.isSpliced ? "giveBack" : "later";
  }

  /** Gives up a connection on which nothing was sent but the preface. */
  abandon(): void {
    this.#splice.link?.abandon();
    this.#splice.link = undefined;
    this.#splice.settings.forgetUpstream();
    this.#bound = undefined;
  }

  /** The VM could not be connected to, or broke off before its SETTINGS. */
  onFailed(upstream: Upstream, cause: Error): void {
    const { clock, gatekeeper, limits } = this.#context;
    const error = dialError(upstream, cause);
    this.abandon();
    gatekeeper.upstreamFailed(upstream, error);
    this.#attempts += 1;
    if (this.#attempts >= limits.maxConnectAttempts) {
      this.#attempts = 0;
      const reason = error instanceof OtherVmError ? error.code : UNREACHABLE;
      this.#port.desk.refuseAll(
        unavailable(`${upstream.satellite} could not be reached: ${error.message}`, reason),
      );
      this.#port.wake();
      return;
    }
    this.#port.desk.suspend();
    // The gate has just heard of it, and holds the requests until the VM answers a probe: it is asked again at once. Only
    // where the VM answers probes and yet cannot be connected to, time is given.
    const rate = { baseMs: limits.redialBaseMs, maxMs: MAX_REDIAL_DELAY_MS, jitter: 0 };
    const delayMs = this.#attempts === 1 ? 0 : backoffMs(this.#attempts - 2, rate, () => 0);
    this.#redialTimer = clock.setTimer(delayMs, () => {
      this.#redialTimer = undefined;
      this.#port.desk.askSuspended();
      this.#port.wake();
    });
  }

  /** Connects no more. */
  stop(): void {
    this.#redialTimer?.cancel();
  }

  #dial(upstream: Upstream): void {
    const { dial, limits, clock, memory } = this.#context;
    this.abandon();
    this.#bound = upstream;
    const settings = this.#splice.settings.takeRecorded().map((entries) => settingsFrame(entries));
    const wire = dial(upstream, memory, (open) => open.writeAll([CLIENT_PREFACE, ...settings]));
    const link = new UpstreamLink(upstream, wire, this.#port.frames, this.#port.events, limits, clock);
    this.#splice.link = link;
  }
}

function isSame(left: Upstream | undefined, right: Upstream): boolean {
  return (
    left === right ||
    (left !== undefined &&
      left.satellite === right.satellite &&
      left.epoch === right.epoch &&
      left.host === right.host &&
      left.port === right.port &&
      left.tlsFingerprint === right.tlsFingerprint)
  );
}

/** The answer to a request whose VM is out of reach. */
export function unavailable(message: string, reason: string = UNREACHABLE): Refusal {
  return { status: GrpcStatus.UNAVAILABLE, message, metadata: [["satellite-reason", reason]] };
}
