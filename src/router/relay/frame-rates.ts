import type { Clock } from "../../base/clock.ts";
import { RateLimit } from "../rate-limit.ts";
import type { RelayLimits } from "./limits.ts";

/** How often one end of a connection may send the kinds of frames that floods are made of. */
export class FrameRates {
  readonly settings: RateLimit;
  readonly pings: RateLimit;
  readonly emptyData: RateLimit;
  readonly resets: RateLimit;
  /** PRIORITY, unknown types, frames for streams that are gone. */
  readonly dropped: RateLimit;

  constructor(limits: RelayLimits, clock: Clock) {
    this.settings = new RateLimit(limits.settingsRate, "SETTINGS frames", clock);
    this.pings = new RateLimit(limits.pingRate, "PING frames", clock);
    this.emptyData = new RateLimit(limits.emptyDataRate, "empty DATA frames", clock);
    this.resets = new RateLimit(limits.resetRate, "RST_STREAM frames", clock);
    this.dropped = new RateLimit(limits.droppedRate, "frames of no use", clock);
  }
}
