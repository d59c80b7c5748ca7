import { backoffMs } from "../../base/backoff.ts";
import type { Timer } from "../../base/clock.ts";
import { SatelliteError } from "../../base/errors.ts";
import { isSameUpstream, type Upstream } from "../engine.ts";
import { dialError, OtherVmError } from "../vm-dial.ts";
import type { ClientSession } from "./client-session.ts";
import type { RelayContext } from "./context.ts";
import { connectionLost, unreachable } from "./refusals.ts";
import type { RequestDesk } from "./request-desk.ts";
import { endedError, type LinkEvents, type VmConnection } from "./vm-connection.ts";
import { VmLink } from "./vm-link.ts";

const MAX_REDIAL_DELAY_MS = 1000;
/** Links to one VM at a time: it may say that it goes away as often as it likes, and yet keep what it was given. */
const MAX_LINKS_TO_VM = 8;

/** What the connector needs besides the session. */
export interface ConnectorPort {
  readonly desk: RequestDesk;
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
 * The links of one client connection to the VMs that its requests go to: one to each, or more while one goes away.
 * Until a VM's SETTINGS are there nothing of a request was sent, so it is safe to ask the gate again and to connect anew.
 */
export class Connector {
  readonly #session: ClientSession;
  readonly #context: RelayContext;
  readonly #port: ConnectorPort;
  readonly #links = new Set<VmLink>();
  #answersPaused = false;
  /** Made when needed: few connections ever fail. */
  #attempts: Map<string, Attempts> | undefined;

  constructor(session: ClientSession, context: RelayContext, port: ConnectorPort) {
    this.#session = session;
    this.#context = context;
    this.#port = port;
  }

  get links(): ReadonlySet<VmLink> {
    return this.#links;
  }

  /**
   * The link that takes one more request to that VM now. Connects if nobody did yet.
   *
   * @returns undefined where there is none yet, or where the VM has as many requests as it takes at a time
   */
  linkTo(upstream: Upstream): VmLink | undefined {
    let leaving = 0;
    for (const link of this.#links) {
      if (isSameUpstream(link.upstream, upstream)) {
        if (!link.isGoingAway) {
          return link.canTake ? link : undefined;
        }
        leaving += 1;
      }
    }
    if (leaving < MAX_LINKS_TO_VM && this.#attempts?.get(upstream.satellite)?.timer === undefined) {
      this.#connect(upstream);
    }
    return undefined;
  }

  /** Whether VMs are not to be read for now. One that has not sent its SETTINGS is: nothing else of it goes to the client. */
  pauseAnswers(isPaused: boolean): void {
    if (isPaused === this.#answersPaused) {
      return;
    }
    this.#answersPaused = isPaused;
    for (const { connection, isReady } of this.#links) {
      if (isReady) {
        connection.wire[isPaused ? "pause" : "resume"]();
      }
    }
  }

  /** Gives up links on which nothing was sent but the preface, and on which nobody waits any more. */
  abandonUnused(): void {
    for (const link of this.#links) {
      if (!link.isReady && !this.#port.desk.waitsFor(link.upstream)) {
        this.#links.delete(link);
        link.connection.abandon();
      }
    }
  }

  /** Ends links whose VM takes no more requests, and that have no stream left: a VM needs not hang up itself. */
  closeDone(): void {
    for (const link of this.#links) {
      if (link.isGoingAway && link.size === 0) {
        this.#close(link);
        this.#port.wake();
      }
    }
  }

  /** A connection to a VM is over. */
  onLost(connection: VmConnection, error: Error | undefined): void {
    const { gatekeeper, logger } = this.#context;
    const { upstream } = connection;
    logger.debug("upstream connection ended", { satellite: upstream.satellite, error });
    const link = [...this.#links].find((each) => each.connection === connection);
    if (link === undefined) {
      return;
    }
    const cause = error ?? endedError(upstream);
    this.#links.delete(link);
    if (!link.isReady) {
      this.#onFailed(upstream, cause);
      return;
    }
    if (link.size > 0 || !link.isGoingAway) {
      gatekeeper.upstreamFailed(upstream, cause);
    }
    for (const call of link.calls()) {
      call.endByRouter(connectionLost(upstream, link.farewell));
    }
  }

  /** Ends links to that satellite that have no stream and that nobody waits for. */
  closeIdle(satellite: string): void {
    for (const link of this.#links) {
      const { size, upstream } = link;
      if (upstream.satellite === satellite && size === 0 && !this.#port.desk.waitsFor(upstream)) {
        this.#close(link);
      }
    }
  }

  #close(link: VmLink): void {
    this.#links.delete(link);
    link.connection.close();
  }

  /** Fails what is not connected in time. */
  sweep(nowMs: number): void {
    const { connectTimeoutMs } = this.#context.limits;
    for (const { connection, isReady, upstream } of this.#links) {
      if (!isReady && nowMs - connection.dialedAtMs > connectTimeoutMs) {
        connection.fail(
          new SatelliteError(
            "UpstreamTimeout",
            `${upstream.satellite} sent no SETTINGS in ${connectTimeoutMs} ms`,
          ),
        );
      }
    }
  }

  /** Connects no more, and ends all links. */
  stop(end: (connection: VmConnection) => void): void {
    for (const { timer } of this.#attempts?.values() ?? []) {
      timer?.cancel();
    }
    for (const { connection } of this.#links) {
      end(connection);
    }
    this.#links.clear();
  }

  #connect(upstream: Upstream): void {
    this.#links.add(
      new VmLink(upstream, this.#session, this.#context, {
        events: this.#port.events,
        onReady: ({ connection }) => {
          this.#attempts?.delete(upstream.satellite);
          if (this.#answersPaused) {
            connection.wire.pause();
          }
          this.#port.wake();
        },
        onRoom: () => this.#port.wake(),
      }),
    );
  }

  /** A VM could not be connected to, or broke off before its SETTINGS. */
  #onFailed(upstream: Upstream, cause: Error): void {
    const { clock, gatekeeper, limits } = this.#context;
    const { satellite } = upstream;
    const error = dialError(upstream, cause);
    const attemptsOf = (this.#attempts ??= new Map());
    const attempts = attemptsOf.get(satellite) ?? { failed: 0, timer: undefined };
    attempts.failed += 1;
    attemptsOf.set(satellite, attempts);
    gatekeeper.upstreamFailed(upstream, error);
    if (attempts.failed >= limits.maxConnectAttempts) {
      attemptsOf.delete(satellite);
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
}
