import { backoffMs } from "../../base/backoff.ts";
import type { Timer } from "../../base/clock.ts";
import { SatelliteError } from "../../base/errors.ts";
import { isSameUpstream, type Upstream } from "../engine.ts";
import { settingsFrame } from "../../http2/frame-writer.ts";
import { CLIENT_PREFACE } from "../../http2/protocol.ts";
import { dialError, OtherVmError } from "../vm-dial.ts";
import { unreachable } from "./refusals.ts";
import type { SpliceContext } from "./context.ts";
import { MappedLink } from "./mapped-link.ts";
import type { RequestDesk, Route } from "./request-desk.ts";
import type { Splice } from "./splice.ts";
import type { UpstreamEvents } from "./upstream-frames.ts";
import { UpstreamLink, type LinkEvents } from "./upstream-link.ts";

const MAX_REDIAL_DELAY_MS = 1000;

/** What the connector needs besides the splice. */
export interface ConnectorPort {
  readonly desk: RequestDesk;
  readonly frames: UpstreamEvents;
  readonly events: LinkEvents;
  wake(): void;
  /** Does something that nobody called for; a fault in it ends the connection alone. */
  guard(what: () => void): void;
}

/** How connecting to one satellite goes. */
interface Attempts {
  failed: number;
  /** Nothing is tried before it fires. */
  timer: Timer | undefined;
}

/**
 * Brings the requests of one client connection to their VMs. The first VM is spliced: its frames pass as they are. What
 * cannot go there (another satellite, the same one after it slept, a VM that goes away) is mapped to links of its own.
 * Until a VM's SETTINGS are there nothing of a request was sent, so it is safe to ask the gate again and to connect anew.
 */
export class Connector {
  readonly #splice: Splice;
  readonly #context: SpliceContext;
  readonly #port: ConnectorPort;
  /** The VM of {@link Splice.link}. */
  #bound: Upstream | undefined;
  /** The spliced VM takes no more requests. */
  #isBoundLeaving = false;
  readonly #mapped = new Set<MappedLink>();
  readonly #attempts = new Map<string, Attempts>();

  constructor(splice: Splice, context: SpliceContext, port: ConnectorPort) {
    this.#splice = splice;
    this.#context = context;
    this.#port = port;
  }

  /** The VM that is spliced, or that is to be. */
  get bound(): Upstream | undefined {
    return this.#bound;
  }

  /** Links to further VMs. */
  get mapped(): ReadonlySet<MappedLink> {
    return this.#mapped;
  }

  /** Says where a request goes now, and connects if nobody did yet. */
  route(upstream: Upstream, streamId: number, mayBeSpliced: boolean): Route {
    const { state, streams, link } = this.#splice;
    if (state === "spliced" && isSameUpstream(this.#bound, upstream)) {
      // Ids only rise towards the VM, too (RFC 9113 §5.1.1): what comes late goes another way.
      if (!this.#isBoundLeaving && this.#isFull(upstream)) {
        return "later";
      }
      const fits = mayBeSpliced && !this.#isBoundLeaving && streamId > streams.lastSplicedId;
      return fits ? "spliced" : this.#routeMapped(upstream);
    }
    if (state !== "none" || !mayBeSpliced || (link !== undefined && this.#isOthersPlace(upstream))) {
      return this.#routeMapped(upstream);
    }
    if (!this.#isPausing(upstream) && !isSameUpstream(this.#bound, upstream)) {
      this.#dial(upstream);
    }
    return "later";
  }

  /** Whether the VM that is to be spliced is another one, for which a request waits: its connection is not given up. */
  #isOthersPlace(upstream: Upstream): boolean {
    const bound = this.#bound;
    return bound !== undefined && !isSameUpstream(bound, upstream) && this.#port.desk.waitsFor(bound);
  }

  /** Whether the spliced VM has as many streams as it takes at a time: those that are mapped to it count, too. */
  #isFull(upstream: Upstream): boolean {
    const { settings, streams } = this.#splice;
    let open = streams.spliced;
    for (const link of this.#mapped) {
      open += isSameUpstream(link.upstream, upstream) ? link.size : 0;
    }
    return open >= settings.maxUpstreamStreams;
  }

  /** The spliced VM has said that it takes no more requests. */
  leaveBound(): void {
    this.#isBoundLeaving = true;
  }

  /** Gives up links on which nothing was sent but the preface, and on which nobody waits any more. */
  abandonUnused(): void {
    const { desk } = this.#port;
    if (this.#splice.state === "none" && this.#bound !== undefined && !desk.waitsFor(this.#bound)) {
      this.#abandonBound();
    }
    for (const link of this.#mapped) {
      if (!link.isReady && !desk.waitsFor(link.upstream)) {
        this.#mapped.delete(link);
        link.link.abandon();
      }
    }
  }

  /** A VM could not be connected to, or broke off before its SETTINGS. */
  onFailed(upstream: Upstream, cause: Error): void {
    const { clock, gatekeeper, limits } = this.#context;
    const { satellite } = upstream;
    const error = dialError(upstream, cause);
    if (isSameUpstream(this.#bound, upstream) && this.#splice.state === "none") {
      this.#abandonBound();
    }
    const attempts = this.#attempts.get(satellite) ?? { failed: 0, timer: undefined };
    attempts.failed += 1;
    this.#attempts.set(satellite, attempts);
    gatekeeper.upstreamFailed(upstream, error);
    if (attempts.failed >= limits.maxConnectAttempts) {
      this.#attempts.delete(satellite);
      const reason = error instanceof OtherVmError ? error.code : undefined;
      this.#port.desk.refuseAll(unreachable(upstream, error, reason), satellite);
      this.#port.wake();
      return;
    }
    this.#port.desk.suspend(satellite);
    // The gate has just heard of it, and holds the requests until the VM answers a probe: it is asked again at once. Only
    // where the VM answers probes and yet cannot be connected to, time is given.
    const rate = { baseMs: limits.redialBaseMs, maxMs: MAX_REDIAL_DELAY_MS, jitter: 0 };
    const delayMs = attempts.failed === 1 ? 0 : backoffMs(attempts.failed - 2, rate, () => 0);
    attempts.timer?.cancel();
    attempts.timer = clock.setTimer(delayMs, () => {
      attempts.timer = undefined;
      this.#port.guard(() => this.#port.desk.askSuspended());
      this.#port.wake();
    });
  }

  /** A link to a further VM is over. */
  onMappedLost(link: MappedLink): void {
    this.#mapped.delete(link);
  }

  /** Ends links to that satellite, and to VMs that go away, that have no stream and that nobody waits for. */
  closeIdle(satellite: string): void {
    for (const link of this.#mapped) {
      const isMeant = link.isGoingAway || link.upstream.satellite === satellite;
      if (isMeant && link.size === 0 && !this.#port.desk.waitsFor(link.upstream)) {
        this.#mapped.delete(link);
        link.link.close();
      }
    }
  }

  /** Fails what is not connected in time. */
  sweep(nowMs: number): void {
    const { connectTimeoutMs } = this.#context.limits;
    const { isSpliced, link: bound } = this.#splice;
    const waiting = [...this.#mapped].filter(({ isReady }) => !isReady).map(({ link }) => link);
    for (const link of bound === undefined || isSpliced ? waiting : [bound, ...waiting]) {
      if (nowMs - link.dialedAtMs > connectTimeoutMs) {
        link.fail(
          new SatelliteError(
            "UpstreamTimeout",
            `${link.upstream.satellite} sent no SETTINGS in ${connectTimeoutMs} ms`,
          ),
        );
      }
    }
  }

  /** Connects no more, and ends the links to further VMs. */
  stop(end: (link: UpstreamLink) => void): void {
    for (const { timer } of this.#attempts.values()) {
      timer?.cancel();
    }
    for (const { link } of this.#mapped) {
      end(link);
    }
    this.#mapped.clear();
  }

  #routeMapped(upstream: Upstream): Route {
    for (const link of this.#mapped) {
      if (!link.isGoingAway && isSameUpstream(link.upstream, upstream)) {
        return link.canTake ? link : "later";
      }
    }
    if (!this.#isPausing(upstream)) {
      this.#mapped.add(
        new MappedLink(upstream, this.#splice, this.#context, {
          events: this.#port.events,
          onReady: () => {
            this.#attempts.delete(upstream.satellite);
            this.#port.wake();
          },
        }),
      );
    }
    return "later";
  }

  #isPausing({ satellite }: Upstream): boolean {
    return this.#attempts.get(satellite)?.timer !== undefined;
  }

  #abandonBound(): void {
    this.#splice.link?.abandon();
    this.#splice.link = undefined;
    this.#splice.settings.forgetUpstream();
    this.#bound = undefined;
  }

  #dial(upstream: Upstream): void {
    const { dial, limits, clock, memory } = this.#context;
    this.#abandonBound();
    this.#bound = upstream;
    const settings = this.#splice.settings.takeRecorded().map((entries) => settingsFrame(entries));
    const wire = dial(upstream, memory, (open) => open.writeAll([CLIENT_PREFACE, ...settings]));
    this.#splice.link = new UpstreamLink(upstream, wire, this.#port.frames, this.#port.events, limits, clock);
  }
}
