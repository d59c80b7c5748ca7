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
  /** What is waited for, where that has taken long. */
  readonly late: Blocker | undefined;
  /** The condition as it is shown now; only for saying that something is over. */
  readonly shown: Condition | undefined;
}

/** What a condition says. */
export type Said = Omit<ConditionChange, "type">;

/** One condition, and how it is made. */
export interface ConditionRow {
  readonly type: ConditionType;
  /** `undefined`: the condition stays as it is. */
  readonly render: (rendering: Rendering) => Said | undefined;
}

export const yes = (reason: string, message: string): Said => ({ status: "True", reason, message });
export const no = (reason: string, message: string): Said => ({ status: "False", reason, message });
export const unknown = (reason: string, message: string): Said => ({ status: "Unknown", reason, message });

/** That it is not so, for a reason that is known already. */
export const noFor = ({ reason, message }: Blocker): Said => no(reason, message);
