import type { Condition } from "./resource.ts";

/** Condition types of a Satellite (docs/api.md). */
export type ConditionType =
  | "Ready"
  | "Awake"
  | "Launched"
  | "Hibernatable"
  | "Healthy"
  | "Updated"
  | "EventScheduled"
  | "MachinesKeptAside"
  | "Reconciling"
  | "Stalled";

/** A condition as it should read now. */
export interface ConditionChange {
  readonly type: ConditionType;
  readonly status: Condition["status"];
  /** CamelCase, for machines. */
  readonly reason: string;
  /** For people; says what to do when something is wrong. */
  readonly message: string;
}

/** Bounds of the CRDs' schemas. */
const MAX_MESSAGE_LENGTH = 4096;
/** A message, cut to what the CRDs allow. */
export const boundedMessage = (message: string): string => message.slice(0, MAX_MESSAGE_LENGTH);
const MAX_REASON_LENGTH = 128;

/**
 * Sets conditions by type and leaves the others. `lastTransitionTime` moves only when `status` does
 * (Kubernetes API conventions, "Typical status properties").
 */
export function setConditions(
  current: readonly Condition[] | undefined,
  changes: readonly ConditionChange[],
  now: Date,
  observedGeneration: number,
): Condition[] {
  const conditions = [...(current ?? [])];
  for (const change of changes) {
    const index = conditions.findIndex((candidate) => candidate.type === change.type);
    const before = conditions[index];
    const after: Condition = {
      ...change,
      reason: change.reason.slice(0, MAX_REASON_LENGTH) || "Unknown",
      message: boundedMessage(change.message),
      lastTransitionTime:
        before !== undefined && before.status === change.status ? before.lastTransitionTime : timestamp(now),
      observedGeneration,
    };
    if (before === undefined) {
      conditions.push(after);
    } else {
      conditions[index] = after;
    }
  }
  return conditions;
}

/**
 * Adds what kstatus reads beside `observedGeneration` and Ready (sigs.k8s.io/cli-utils/pkg/kstatus: Flux, kpt and
 * others): Stalled where nothing goes on without a person, so that nobody waits until their time-out, and Reconciling
 * on the way. Both are of abnormal-true polarity: they are absent until they were true once.
 *
 * @param isStuck whether only a person can help; it says nothing where Ready is True
 */
export function withProgress(
  conditions: readonly Condition[],
  isStuck: boolean,
  now: Date,
  observedGeneration: number,
): Condition[] {
  const ready = findCondition(conditions, "Ready");
  const isOnTheWay = ready !== undefined && ready.status !== "True";
  const changes = (["Reconciling", "Stalled"] as const).flatMap((type): ConditionChange[] => {
    if (isOnTheWay && (type === "Stalled") === isStuck) {
      return [{ type, status: "True", reason: ready.reason, message: ready.message }];
    }
    return findCondition(conditions, type) === undefined
      ? []
      : [{ type, status: "False", reason: ready?.reason ?? "Unknown", message: "" }];
  });
  return setConditions(conditions, changes, now, observedGeneration);
}

/** The condition of that type. */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: ConditionType,
): Condition | undefined {
  return conditions?.find((candidate) => candidate.type === type);
}

/** RFC 3339 with whole seconds, as metav1.Time is written. */
export function timestamp(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, "Z");
}
