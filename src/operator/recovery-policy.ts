import { parseDurationMs } from "../base/duration.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Health } from "../satellite/resource.ts";
import type { SatelliteClass } from "../satellite/types.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

const HOUR_MS = 3_600_000;

type Action = NonNullable<SatelliteClass["spec"]["recovery"]>["action"];

/** What a class says that says nothing; the CRD's defaults. */
const DEFAULT = { action: "Restart", maxPerHour: 4 } as const;

/** Steps in the order in which they are taken, and how many of them each policy allows. */
export const RECOVERY_STEPS = ["Rebooting", "Restarting", "Replacing"] as const;
const STEPS_OF: Readonly<Record<Action, number>> = { None: 0, Reboot: 1, Restart: 2, Replace: 3 };

export type RecoveryStep = (typeof RECOVERY_STEPS)[number];

/** What is to be done about a silent port, by the class (`spec.recovery`). */
export interface RecoveryPolicy {
  readonly action: Action;
  /** Milliseconds of silence before each step. */
  readonly unhealthyAfterMs: number;
  readonly maxPerHour: number;
}

/** The policy of the satellite's class; the operator's own where there is none. */
export function recoveryPolicy(
  { satelliteClass }: Observation,
  { unreachableMs }: Pick<OperatorSettings, "unreachableMs">,
): RecoveryPolicy {
  const { action, unhealthyAfter, maxPerHour } = { ...DEFAULT, ...satelliteClass?.spec.recovery };
  return {
    action,
    unhealthyAfterMs: unhealthyAfter === undefined ? unreachableMs : parseDurationMs(unhealthyAfter),
    maxPerHour,
  };
}

/** The step after `done` steps; `undefined`: the policy has no further one. */
export function stepAfter(done: number, { action }: RecoveryPolicy): RecoveryStep | undefined {
  return done < STEPS_OF[action] ? RECOVERY_STEPS[done] : undefined;
}

/** Whether a trouble is a silent port, and what was done about it. */
export function isRecovering(trouble: Health["trouble"] | undefined): boolean {
  return (
    trouble === "RecoveryPaused" ||
    trouble === "Unreachable" ||
    RECOVERY_STEPS.some((step) => step === trouble)
  );
}

/** When steps were taken in the hour before now, oldest first. */
function recent({ satellite: { status }, now }: Observation): string[] {
  return (status.recoveries ?? []).filter((time) => now.getTime() - Date.parse(time) < HOUR_MS);
}

/** When the next step may be taken; `undefined`: now. */
export function pausedUntil(observed: Observation, { maxPerHour }: RecoveryPolicy): Date | undefined {
  const times = recent(observed);
  const first = times.at(-maxPerHour);
  return first === undefined ? undefined : new Date(Date.parse(first) + HOUR_MS);
}

/** `status.recoveries` with a step that is taken now. */
export function withStep(observed: Observation): string[] {
  return [...recent(observed), timestamp(observed.now)];
}
