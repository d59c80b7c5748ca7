import type { Clock } from "../base/clock.ts";
import { parseDurationMs } from "../base/duration.ts";
import { isDraining } from "../satellite/power.ts";
import { Annotation, type Lease, type PowerState } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Idleness } from "./observation.ts";

/**
 * An entry whose lease ended this long ago belongs to a router that is gone. The end is reckoned from the time that the
 * router wrote, so this is more than clocks ever differ by.
 */
const ROUTER_GONE_MS = 24 * 3_600_000;
/** Among many entries this is enough, if nothing can be admitted under the entry any more whatever the clocks say. */
const CROWDED_GONE_MS = 10 * 60_000;
/** More entries than this are many. The CRD allows twice as many. */
const CROWD = 32;

interface SeenLease {
  readonly seq: number;
  readonly seenAtMs: number;
  readonly lease: Lease;
}

interface Track {
  uid: string;
  restartedAtMs: number;
  generation: number | undefined;
  state: PowerState;
  /** When the routers were told to drain; leases that were live then do not age until that is over. */
  drainingSinceMs: number | undefined;
  readonly leases: Map<string, SeenLease>;
}

/**
 * Measures how old the routers' leases are, by this process's own monotonic clock and from the moment at which it saw `seq`
 * change, so that clocks of two machines are never compared. It must be told of every update of every satellite, in an
 * operator that does not lead too, so that a new leader does not begin at zero.
 */
export class IdleTracker {
  readonly #clock: Clock;
  readonly #tracks = new Map<string, Track>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes the satellite as it is now. `key` is its "namespace/name". */
  observe(key: string, satellite: Satellite): void {
    const nowMs = this.#clock.monotonicMs();
    const { status, metadata } = satellite;
    let track = this.#tracks.get(key);
    if (track === undefined || track.uid !== metadata.uid) {
      track = {
        uid: metadata.uid ?? "",
        restartedAtMs: nowMs,
        generation: metadata.generation,
        state: status.power.state,
        drainingSinceMs: undefined,
        leases: new Map(),
      };
      this.#tracks.set(key, track);
    }
    if (restartsIdleClock(track, satellite)) {
      track.restartedAtMs = nowMs;
    }
    track.generation = metadata.generation;
    track.state = status.power.state;
    this.#observeLeases(track, status.activity, nowMs);
    track.drainingSinceMs = isDraining(status.power) ? (track.drainingSinceMs ?? nowMs) : undefined;
  }

  #observeLeases(track: Track, activity: Satellite["status"]["activity"], nowMs: number): void {
    for (const [router, { seenAtMs, lease }] of track.leases) {
      if (activity[router] === undefined) {
        track.leases.delete(router);
        // A router that ends removes its lease, and has used the satellite until then. A lease that was over says nothing new.
        const wasLive = leasedUntilMs({ seq: lease.seq, seenAtMs, lease }) > nowMs;
        track.restartedAtMs = Math.max(track.restartedAtMs, wasLive ? nowMs : seenAtMs);
      }
    }
    for (const [router, lease] of Object.entries(activity)) {
      if (track.leases.get(router)?.seq !== lease.seq) {
        track.leases.set(router, { seq: lease.seq, seenAtMs: nowMs, lease });
      }
    }
  }

  /** Forgets a satellite that is gone. */
  forget(key: string): void {
    this.#tracks.delete(key);
  }

  /** How idle the satellite is, which must have been observed as it is now. One that never was does not count as idle. */
  idleness(key: string, satellite: Satellite): Idleness {
    const track = this.#tracks.get(key);
    if (track === undefined) {
      return { remainingMs: Infinity, liveLeases: [], staleRouters: [] };
    }
    const nowMs = this.#clock.monotonicMs();
    const liveLeases: Lease[] = [];
    let lastChangeMs = track.restartedAtMs;
    let lastLeaseEndMs = 0;
    for (const seen of track.leases.values()) {
      const untilMs = leasedUntilMs(seen);
      lastChangeMs = Math.max(lastChangeMs, seen.seenAtMs);
      lastLeaseEndMs = Math.max(lastLeaseEndMs, untilMs);
      if (untilMs > Math.min(nowMs, track.drainingSinceMs ?? nowMs)) {
        liveLeases.push(seen.lease);
      }
    }
    const staleRouters = this.#staleRouters(track, satellite);
    const timeoutMs = parseDurationMs(satellite.spec.idleTimeout);
    const sleepAtMs = timeoutMs === 0 ? Infinity : Math.max(lastChangeMs + timeoutMs, lastLeaseEndMs);
    const keptAwakeMs = keepAwakeMs(satellite, this.#clock.now());
    return { remainingMs: Math.max(0, sleepAtMs - nowMs, keptAwakeMs), liveLeases, staleRouters };
  }

  /**
   * Routers whose entries may go (docs/power-protocol.md, "Operator"). This is judged by what the entries themselves say, so
   * that an operator that has just begun to lead removes them like one that has watched for a day.
   */
  #staleRouters(track: Track, { status: { activity, power } }: Satellite): string[] {
    const [now, nowMs] = [this.#clock.now().getTime(), this.#clock.monotonicMs()];
    const isCrowded = Object.keys(activity).length > CROWD;
    return [...track.leases].flatMap(([router, seen]) => {
      const untilMs = leasedUntilMs(seen);
      const endedMs = now - Date.parse(seen.lease.time) - seen.lease.validSeconds * 1000;
      const isOver = power.state === "Off" || untilMs <= nowMs;
      const isGone =
        endedMs > ROUTER_GONE_MS ||
        nowMs - untilMs > ROUTER_GONE_MS ||
        (isCrowded && isOver && endedMs > CROWDED_GONE_MS);
      return isGone && activity[router] !== undefined && power.state !== "Stopping" ? [router] : [];
    });
  }
}

/** When this process takes the lease to be over, on its own monotonic clock. */
function leasedUntilMs({ seenAtMs, lease }: SeenLease): number {
  return seenAtMs + lease.validSeconds * 1000;
}

/** When power becomes Running, and at every change of the spec, one back to what it was included (docs/decisions/0010). */
function restartsIdleClock(before: Track, { metadata, status }: Satellite): boolean {
  return (
    before.generation !== metadata.generation ||
    (before.state !== "Running" && status.power.state === "Running")
  );
}

function keepAwakeMs(satellite: Satellite, now: Date): number {
  const until = satellite.metadata.annotations?.[Annotation.keepAwakeUntil];
  const untilMs = until === undefined ? Number.NaN : Date.parse(until);
  return Number.isNaN(untilMs) ? 0 : Math.max(0, untilMs - now.getTime());
}
