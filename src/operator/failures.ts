import { backoffMs, type Random } from "../base/backoff.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { CloudError, type CloudErrorClass } from "../machines/errors.ts";
import type { Action, ActionKind } from "./action.ts";
import type { Failure, Observation } from "./observation.ts";

/** Nothing but a change of spec, class or permissions cures these; they do not burn API calls. */
const TERMINAL: ReadonlySet<Failure["class"]> = new Set<Failure["class"]>([
  "parameter",
  "permission",
  "configuration",
]);

const BACKOFF_BY_CLASS: Readonly<Partial<Record<CloudErrorClass, { baseMs: number; maxMs: number }>>> = {
  capacity: { baseMs: 2000, maxMs: 120_000 },
  throttled: { baseMs: 1000, maxMs: 60_000 },
  state: { baseMs: 500, maxMs: 30_000 },
  server: { baseMs: 500, maxMs: 60_000 },
  quota: { baseMs: 30_000, maxMs: 600_000 },
  protection: { baseMs: 30_000, maxMs: 600_000 },
};
const DEFAULT_BACKOFF = { baseMs: 1000, maxMs: 120_000 };

/** Terminal failures are tried again after this long all the same: permissions change without our knowing. */
const TERMINAL_RECHECK_MS = 30 * 60_000;

/** What failed when the machine could not even be looked at. */
export const OBSERVE = "Observe";

/** A mistake in class or satellite that only a person can mend. */
export class ConfigurationError extends SatelliteError {}

/** What an action is decided on: it is worth trying again when one of these changes. */
export function inputsOf(o: Observation): string {
  return `${o.satellite.metadata.generation ?? 0}/${o.satelliteClass?.metadata.uid ?? ""}/${o.satelliteClass?.metadata.generation ?? 0}`;
}

/** The failure to remember after `thrown` ended an action, following up on the one before. */
export function failureOf(
  o: Observation,
  action: ActionKind | typeof OBSERVE,
  thrown: unknown,
  context: { readonly nowMs: number; readonly random: Random },
): Failure {
  const error = toError(thrown);
  const cloud = error instanceof CloudError ? error : undefined;
  const failureClass = cloud?.class ?? (error instanceof ConfigurationError ? "configuration" : "server");
  const previous = action === OBSERVE ? o.memory.blindness : o.memory.failure;
  const count = previous?.action === action ? previous.count + 1 : 1;
  const terminal = TERMINAL.has(failureClass);
  const backoff = BACKOFF_BY_CLASS[failureClass as CloudErrorClass] ?? DEFAULT_BACKOFF;
  return {
    action,
    class: failureClass,
    reason: cloud?.reason ?? (error instanceof SatelliteError ? error.code : "InternalError"),
    message: error.message,
    attempt: o.satellite.status.launch?.attempt,
    outcomeUnknown: cloud?.outcomeUnknown ?? failureClass === "server",
    count,
    terminal,
    retryAtMs:
      context.nowMs + (terminal ? TERMINAL_RECHECK_MS : backoffMs(count - 1, backoff, context.random)),
    machineType: o.machine?.type,
    atMs: context.nowMs,
    inputs: inputsOf(o),
  };
}

/** A wait when this action failed lately and its time has not come again; else `undefined`. */
export function waitingForRetry(o: Observation, action: ActionKind): Action | undefined {
  const { failure } = o.memory;
  if (failure === undefined || failure.action !== action || failure.inputs !== inputsOf(o)) {
    return undefined;
  }
  return failure.retryAtMs > o.nowMs
    ? {
        kind: "Wait",
        afterMs: failure.retryAtMs - o.nowMs,
        reason: failure.reason,
      }
    : undefined;
}
