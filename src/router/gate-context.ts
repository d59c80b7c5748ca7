import type { Random } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { HoldBudget } from "./hold-budget.ts";
import type { RouterMetrics } from "./metrics.ts";
import type { GateOptions } from "./options.ts";
import type { Prober } from "./prober.ts";
import type { SatelliteApi } from "./satellite-api.ts";
import type { SatelliteView } from "./satellite-view.ts";

/** What the gates of all satellites share. */
export interface GateContext {
  /** Key of this router in `status.activity`. */
  readonly router: string;
  readonly view: SatelliteView;
  readonly api: SatelliteApi;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  readonly options: Required<GateOptions>;
  readonly budget: HoldBudget;
}
