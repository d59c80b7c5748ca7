import { backoffMs, type Random } from "../base/backoff.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { CloudError } from "../machines/errors.ts";
import type { Action, ActionKind } from "./action.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";

/** These pass only when spec, class or permissions change. */
const TERMINAL: ReadonlySet<Failure["class"]> = new Set<Failure["class"]>(["parameter", "configuration"]);

/**
 * These may pass within seconds, since a new permission takes effect with a delay (IAM user guide, "Changes that I make are
 * not always immediately visible"); after that they need a person.
 */
const TERMINAL_LATER: ReadonlySet<Failure["class"]> = new Set<Failure["class"]>(["permission", "refused"]);
/** About half a minute of quick retries. */
const QUICK_RETRIES = 5;

/** For what needs a person: soon at first, and then so seldom that it costs hardly any API calls. */
const FOR_PEOPLE = { baseMs: 1000, maxMs: 30 * 60_000 };

const BACKOFF_BY_CLASS: Readonly<Partial<Record<Failure["class"], { baseMs: number; maxMs: number }>>> = {
  parameter: FOR_PEOPLE,
  permission: FOR_PEOPLE,
  refused: FOR_PEOPLE,
  configuration: FOR_PEOPLE,
  capacity: { baseMs: 2000, maxMs: 120_000 },
  throttled: { baseMs: 1000, maxMs: 60_000 },
  "not-sent": { baseMs: 1000, maxMs: 60_000 },
  state: { baseMs: 500, maxMs: 30_000 },
  server: { baseMs: 500, maxMs: 60_000 },
  quota: { baseMs: 30_000, maxMs: 600_000 },
  protection: { baseMs: 30_000, maxMs: 600_000 },
};
const DEFAULT_BACKOFF = { baseMs: 1000, maxMs: 120_000 };

/** A round through many types and zones is a burst of calls: the pause after it is so much longer for each of them. */
const ROUND_PAUSE_MS = 10_000;

/** Stands for an action where the machine could not even be looked at. */
export const OBSERVE = "Observe";

/** A mistake in class or satellite that only a person can correct. */
export class ConfigurationError extends SatelliteError {}

/** The versions of satellite and class: when one changes, a failed action is worth another try at once. */
export function inputsOf(observed: Observation): string {
  return `${observed.satellite.metadata.generation ?? 0}/${observed.satelliteClass?.metadata.uid ?? ""}/${observed.satelliteClass?.metadata.generation ?? 0}`;
}

/** The failure to remember after an action threw; it counts on from the one before. */
export function failureOf(
  observed: Observation,
  action: ActionKind | typeof OBSERVE,
  thrown: unknown,
  context: { readonly nowMs: number; readonly random: Random },
): Failure {
  const error = toError(thrown);
  const cloud = error instanceof CloudError ? error : undefined;
  const failureClass = cloud?.class ?? (error instanceof ConfigurationError ? "configuration" : "server");
  const previous =
    action === OBSERVE ? observed.memory.failures.blindness : failureOfAction(observed, action);
  const count = (previous?.count ?? 0) + 1;
  const terminal = TERMINAL.has(failureClass) || (TERMINAL_LATER.has(failureClass) && count > QUICK_RETRIES);
  const backoff = BACKOFF_BY_CLASS[failureClass] ?? DEFAULT_BACKOFF;
  // All types and zones are tried in a row; pauses are between rounds.
  const perRound =
    failureClass === "capacity" && action === "Launch" ? (observed.memory.launch.combinations ?? 1) : 1;
  const maxMs = Math.max(backoff.maxMs, perRound > 1 ? perRound * ROUND_PAUSE_MS : 0);
  const round = Math.ceil(count / perRound);
  return {
    action,
    class: failureClass,
    reason: cloud?.reason ?? (error instanceof SatelliteError ? error.code : "InternalError"),
    message: error.message,
    attempt: observed.satellite.status.launch?.attempt,
    outcomeUnknown: cloud?.outcomeUnknown ?? failureClass === "server",
    count,
    terminal,
    retryAtMs: context.nowMs + backoffMs(round - 1, { ...backoff, maxMs }, context.random),
    machineType: observed.machine?.type,
    atMs: context.nowMs,
    inputs: inputsOf(observed),
  };
}

/** The last failure of an action that has not succeeded since. */
export function failureOfAction({ memory }: Observation, action: string): Failure | undefined {
  const { last, byAction } = memory.failures;
  return byAction?.[action] ?? (last?.action === action ? last : undefined);
}

/** A wait where this action has failed and its next try is not due; else `undefined`. */
export function waitingForRetry(observed: Observation, action: ActionKind): Action | undefined {
  const failure = failureOfAction(observed, action);
  if (failure === undefined || failure.inputs !== inputsOf(observed)) {
    return undefined;
  }
  return failure.retryAtMs > observed.nowMs
    ? {
        kind: "Wait",
        afterMs: failure.retryAtMs - observed.nowMs,
        reason: failure.reason,
      }
    : undefined;
}
