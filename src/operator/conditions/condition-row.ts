import type { ConditionChange, ConditionType } from "../../satellite/conditions.ts";
import type { Condition, SatelliteStatus } from "../../satellite/resource.ts";
import type { Blocker } from "../blocker.ts";
import type { Observation } from "../observation.ts";

/** What conditions are made from. */
export interface Rendering {
  readonly observed: Observation;
  /** The fields of the status as they are after this step. */
  readonly status: Pick<SatelliteStatus, "power"> & {
    readonly [Field in "machine" | "launch" | "replacement" | "attempts" | "health"]?:
      | SatelliteStatus[Field]
      | undefined;
  };
  /** What is waited for, where that takes long. */
  readonly late: Blocker | undefined;
  /** How the condition reads now; only so that what is over is said to be over. */
  readonly shown: Condition | undefined;
}

/** What a condition says. */
export type Said = Omit<ConditionChange, "type">;

/** One condition, and how it is made. */
export interface ConditionRow {
  readonly type: ConditionType;
  /** `undefined`: there is nothing new to say, and it stays as it is. */
  readonly render: (rendering: Rendering) => Said | undefined;
}

export const yes = (reason: string, message: string): Said => ({ status: "True", reason, message });
export const no = (reason: string, message: string): Said => ({ status: "False", reason, message });
export const unknown = (reason: string, message: string): Said => ({ status: "Unknown", reason, message });

/** That it is not so, for a reason that stands elsewhere in the status. */
export const noFor = ({ reason, message }: Blocker): Said => no(reason, message);
