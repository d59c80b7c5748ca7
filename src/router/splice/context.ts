import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Gatekeeper } from "../engine.ts";
import type { HpackScratch } from "../http2/hpack-decoder.ts";
import type { SpliceLimits } from "./limits.ts";
import type { Slabs } from "./outbox.ts";
import type { Dial } from "./upstream-link.ts";

/** What all connections of an engine share. */
export interface SpliceContext {
  readonly gatekeeper: Gatekeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: SpliceLimits;
  readonly dial: Dial;
  readonly slabs: Slabs;
  readonly scratch: HpackScratch;
}
