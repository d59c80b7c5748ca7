import type { Clock, Timer } from "../base/clock.ts";
import { deadlineExceeded, holdExpired, type Named } from "./hold-refusals.ts";
import type { Refusal } from "./refusal.ts";

/** A request whose time may run out. */
export interface DeadlineOptions {
  readonly clock: Clock;
  /** When the request came, on the monotonic clock. */
  readonly sinceMs: number;
  /** The request's whole time, in milliseconds from `sinceMs`; undefined without a deadline. */
  readonly timeoutMs: number | undefined;
  /** Longest hold of any request, in milliseconds from now. */
  readonly maxHoldMs: number;
  readonly named: () => Named;
  /** The reason for which waiting brings nothing, where one is known. */
  readonly whyNothingMoves: () => Refusal | undefined;
  /** Called with what the request is told; ends the hold, which cancels the timers. */
  readonly onExpired: (refusal: Refusal) => void;
}

/** How long before its deadline a request is told why nothing moves: at the deadline nobody listens any more. */
const MAX_LEAD_MS = 250;
const LEAD_SHARE = 0.05;

/**
 * Watches the time of one held request: its own deadline, or the longest hold where it has none or a later one. Shortly
 * before its own deadline it is told why nothing moves, where a reason is known.
 */
export function startDeadline(options: DeadlineOptions): Timer {
  const { clock, sinceMs, timeoutMs, maxHoldMs, named, whyNothingMoves, onExpired } = options;
  if (timeoutMs === undefined || timeoutMs > maxHoldMs) {
    return clock.setTimer(maxHoldMs, () => onExpired(whyNothingMoves() ?? holdExpired(named(), maxHoldMs)));
  }
  const leftMs = timeoutMs - (clock.monotonicMs() - sinceMs);
  const early = clock.setTimer(leftMs - Math.min(MAX_LEAD_MS, timeoutMs * LEAD_SHARE), () => {
    const known = named();
    const reason =
      whyNothingMoves() ?? (known.trouble === undefined ? undefined : deadlineExceeded(known, timeoutMs));
    if (reason !== undefined) {
      onExpired(reason);
    }
  });
  const last = clock.setTimer(leftMs, () => onExpired(deadlineExceeded(named(), timeoutMs)));
  return {
    cancel: () => {
      early.cancel();
      last.cancel();
    },
  };
}
