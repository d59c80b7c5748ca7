import { SatelliteError } from "../base/errors.ts";
import { parseKey } from "../kube/objects.ts";
import type { Phase } from "../satellite/resource.ts";
import { GrpcStatus, type GrpcStatusCode } from "./engine.ts";
import { refusal, type Refusal } from "./refusal.ts";
import type { Trouble } from "./standing.ts";

/** A satellite as answers name it: "namespace/name", its phase where that is known, and what its conditions complain of. */
export interface Named {
  readonly key: string;
  readonly phase: Phase | undefined;
  readonly trouble?: Trouble | undefined;
}

/** How much of a condition's message an answer repeats: clients bound their header lists, some at 8 KiB. */
const MAX_TROUBLE_LENGTH = 1000;

/** The client gave the request up; nobody reads this. */
export const CANCELLED = refusal(
  GrpcStatus.CANCELLED,
  "the client cancelled the request while it was held",
  "Cancelled",
);

/** No room in the hold queue. */
export function tooManyHeld(named: Named): Refusal {
  return answer(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `too many requests wait for satellite ${named.key} or for others of its namespace; try again later`,
    "TooManyHeldRequests",
    named,
  );
}

/** It was held, and gives its place to another namespace's request. */
export function crowdedOut(named: Named): Refusal {
  return answer(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `the request waited for satellite ${named.key} and gave its place to one of another namespace: the router's places ` +
      "are taken, and most of them by requests for satellites of this namespace; try again later",
    "TooManyHeldRequests",
    named,
  );
}

/** The method wakes nothing, and the satellite is not awake. */
export function notAwake(named: Named): Refusal {
  const { key, phase } = named;
  return unavailable(
    "NotAwake",
    `satellite ${key} is ${phase ?? "not awake"}, and the router was told that this method wakes nothing ` +
      `(--wakes-nothing); call another method first, or ${wakeByHand(key)}`,
    named,
  );
}

/** The API server did not do its part. */
export function apiServerFailed(named: Named, error: Error): Refusal {
  const reason = error instanceof SatelliteError ? error.code : "InternalError";
  return unavailable(
    reason,
    `satellite ${named.key} cannot be woken: the API server said to the router: ${error.message}; try again, and if it ` +
      "stays, see the router's log and whether its account has the rights of the chart",
    named,
  );
}

/** It is said to run, but its VM does not answer. */
export function vmUnreachable(named: Named, forMs: number): Refusal {
  return unavailable(
    "VMUnreachable",
    `satellite ${named.key} is said to run, but its VM has not answered for ${seconds(forMs)}; do the class's security ` +
      `groups let routers reach its port, and does the guest serve there? ${describeCommand(named.key)} says more`,
    named,
  );
}

/** Another VM answers where its own should, so nothing is sent there. */
export function otherVm(named: Named): Refusal {
  return unavailable(
    "OtherVM",
    `at the address of satellite ${named.key} another VM answers than its own, so nothing is sent there; ` +
      "the satellite's conditions say what to do",
    named,
  );
}

/** It is wished on, and nobody does anything about it. */
export function operatorStalled(named: Named, forMs: number): Refusal {
  return unavailable(
    "OperatorStalled",
    `satellite ${named.key} is wished on, but nothing has moved for ${seconds(forMs)}; ` +
      "see whether the operator runs (kubectl get pods --all-namespaces -l app.kubernetes.io/component=operator) and leads: " +
      "kubectl get lease --all-namespaces shows satellites-operator",
    named,
  );
}

/** The request's own time is up. */
export function deadlineExceeded(named: Named, timeoutMs: number): Refusal {
  const { key, phase } = named;
  return answer(
    GrpcStatus.DEADLINE_EXCEEDED,
    `the deadline of ${seconds(timeoutMs)} passed while satellite ${key} was ${phase ?? "not awake"}; give calls that may ` +
      `wake it more time, minutes for the first one of all; ${describeCommand(key)} says what it waits for`,
    "DeadlineExceeded",
    named,
  );
}

/** The longest hold is over. */
export function holdExpired(named: Named, maxHoldMs: number): Refusal {
  const { key, phase } = named;
  return unavailable(
    "HoldExpired",
    `satellite ${key} did not wake within ${seconds(maxHoldMs)}; it is ${phase ?? "not awake"}, and ` +
      `${describeCommand(key)} says what it waits for`,
    named,
  );
}

function unavailable(reason: string, message: string, named: Named): Refusal {
  return answer(GrpcStatus.UNAVAILABLE, message, reason, named);
}

/** Every answer says what the satellite's conditions complain of: whoever waits is seldom who can look there. */
function answer(status: GrpcStatusCode, message: string, reason: string, named: Named): Refusal {
  const { phase, trouble } = named;
  if (trouble === undefined) {
    return refusal(status, message, reason, phase);
  }
  const why = trouble.message.slice(0, MAX_TROUBLE_LENGTH);
  const told = refusal(status, `${message}. It is not ready (${trouble.reason}): ${why}`, reason, phase);
  return { ...told, metadata: [...told.metadata, ["satellite-condition", trouble.reason]] };
}

function describeCommand(key: string): string {
  const { namespace = "", name } = parseKey(key);
  return `kubectl -n ${namespace} describe satellite ${name}`;
}

function wakeByHand(key: string): string {
  const { namespace = "", name } = parseKey(key);
  return `kubectl -n ${namespace} patch satellite ${name} --type=merge -p '{"spec":{"desiredPower":"on"}}'`;
}

function seconds(durationMs: number): string {
  return `${Math.round(durationMs / 100) / 10} s`;
}
