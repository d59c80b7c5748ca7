import { backoffMs, type Random } from "../base/backoff.ts";
import type { KubeError } from "../kube/errors.ts";
import { setConditions, timestamp, withProgress } from "../satellite/conditions.ts";
import { OPERATOR_FIELDS, type OperatorStatus } from "../satellite/status-patch.ts";
import { ConfigurationError } from "./failures.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";
import { unreadyOf } from "./older-status.ts";

/** Most causes that a message names. */
const NAMED_CAUSES = 3;
/** A rejected write is repeated all the same, since an administrator may have corrected the CRD. */
const RETRY = { baseMs: 1000, maxMs: 120_000 };

/**
 * A write that the API server refuses because it does not fit the CRD's schema. Sending it again does not help, and it is no
 * sign that the object has changed.
 */
export class RejectedWrite extends ConfigurationError {
  constructor(cause: KubeError) {
    super("WriteRejected", rejectionMessage(cause), { cause });
  }
}

/** For people: the causes that the API server names, and what to do. */
export function rejectionMessage({ causes, message }: KubeError): string {
  const named = causes
    .slice(0, NAMED_CAUSES)
    .map((cause) => `${cause.field ?? "the object"}: ${cause.message ?? cause.reason ?? "invalid"}`);
  return (
    `the API server refuses what the operator writes (${named.join("; ") || message}); see that the CRDs are those of ` +
    "the operator's version. If they are, this is a bug: please report it"
  );
}

/** The same failure with the time at which a rejected write is tried again. */
export function rejectionOf(
  failure: Failure,
  context: { readonly nowMs: number; readonly random: Random },
): Failure {
  return { ...failure, retryAtMs: context.nowMs + backoffMs(failure.count - 1, RETRY, context.random) };
}

/** The status as it is, and that it cannot be brought up to date. */
export function rejectedStatus(
  { satellite, now }: Observation,
  { reason, message }: Failure,
): OperatorStatus {
  const { status, metadata } = satellite;
  const fields = Object.fromEntries(OPERATOR_FIELDS.map((field) => [field, status[field]]));
  const ready = { type: "Ready", status: "False", reason, message } as const;
  const generation = metadata.generation ?? 0;
  const conditions = setConditions(status.conditions, [ready], now, generation);
  return {
    ...fields,
    power: status.power,
    phase: "Failed",
    observedGeneration: generation,
    unready: { since: unreadyOf(status)?.since ?? timestamp(now), needsPerson: true },
    conditions: withProgress(conditions, true, now, generation),
  };
}
