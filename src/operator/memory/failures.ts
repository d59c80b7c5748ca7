import type { CloudErrorClass } from "../../machines/errors.ts";

/** A failed action, remembered until it succeeds or what it depended on changes. */
export interface Failure {
  /** `kind` of the action that failed. */
  readonly action: string;
  readonly class: CloudErrorClass | "configuration";
  /** CamelCase, for conditions and events. */
  readonly reason: string;
  readonly message: string;
  /** `status.launch.attempt` at that time. */
  readonly attempt: number | undefined;
  /** Whether the action may have taken effect all the same. */
  readonly outcomeUnknown: boolean;
  /** How often in a row. */
  readonly count: number;
  /** Only a person can help; it is shown as phase Failed. */
  readonly terminal: boolean;
  /** Monotonic milliseconds before which it is not tried again, unless its inputs change. */
  readonly retryAtMs: number;
  /** Type of the machine at that time. */
  readonly machineType: string | undefined;
  /** When it failed last; monotonic milliseconds. */
  readonly atMs: number;
  /** What the action was decided on; a change of it clears the failure. */
  readonly inputs: string;
}

/** What has failed and has not succeeded since. */
export interface FailureMemory {
  /** The last failure of all: it is shown. */
  last?: Failure;
  /** The last failure of each action, so that two that fail in turn both keep their growing pauses. */
  byAction?: Readonly<Record<string, Failure>>;
  /** The write that the API server has rejected. */
  rejection?: Failure;
  /** Why the machine could not be seen the last time. */
  blindness?: Failure;
}

interface Holder {
  readonly failures: FailureMemory;
}

export function noteFailure({ failures }: Holder, failure: Failure): void {
  failures.last = failure;
  failures.byAction = { ...failures.byAction, [failure.action]: failure };
}

/** Forgets the failure of an action that has succeeded. A new plan alone does not end the failure of a launch. */
export function noteWorked({ failures }: Holder, action: string): void {
  if (failures.last?.action === action) {
    delete failures.last;
  }
  if (failures.byAction?.[action] !== undefined) {
    const { [action]: _over, ...rest } = failures.byAction;
    failures.byAction = rest;
  }
  if (failures.rejection?.action === action) {
    delete failures.rejection;
  }
}

export function noteRejection({ failures }: Holder, rejection: Failure): void {
  failures.rejection = rejection;
}

/** @param blindness why the machine cannot be seen; `undefined` when it was seen */
export function noteBlindness({ failures }: Holder, blindness: Failure | undefined): void {
  if (blindness === undefined) {
    delete failures.blindness;
  } else {
    failures.blindness = blindness;
  }
}
