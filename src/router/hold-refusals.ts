import { SatelliteError } from "../base/errors.ts";
import type { Phase } from "../satellite/resource.ts";
import { GrpcStatus } from "./engine.ts";
import { refusal, type Refusal } from "./refusal.ts";

/** A satellite as answers name it: "namespace/name", and its phase where that is known. */
export interface Named {
  readonly key: string;
  readonly phase: Phase | undefined;
}

/** The client gave the request up; nobody reads this. */
export const CANCELLED = refusal(
  GrpcStatus.CANCELLED,
  "the client cancelled the request while it was held",
  "Cancelled",
);

/** No room in the hold queue. */
export function tooManyHeld({ key, phase }: Named): Refusal {
  return refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `too many requests wait for satellite ${key} or for others; try again later`,
    "TooManyHeldRequests",
    phase,
  );
}

/** The method wakes nothing, and the satellite is not awake. */
export function notAwake({ key, phase }: Named): Refusal {
  return unavailable(
    "NotAwake",
    `satellite ${key} is ${phase ?? "not awake"}, and this method wakes nothing`,
    phase,
  );
}

/** The API server did not do its part. */
export function apiServerFailed({ key, phase }: Named, error: Error): Refusal {
  const reason = error instanceof SatelliteError ? error.code : "InternalError";
  return unavailable(
    reason,
    `satellite ${key} cannot be woken: the API server said: ${error.message}`,
    phase,
  );
}

/** It is said to run, but its VM does not answer. */
export function vmUnreachable({ key, phase }: Named, forMs: number): Refusal {
  return unavailable(
    "VMUnreachable",
    `satellite ${key} is said to run, but its VM has not answered for ${seconds(forMs)}`,
    phase,
  );
}

/** Another VM answers where its own should, so nothing is sent there. */
export function otherVm({ key, phase }: Named): Refusal {
  return unavailable(
    "OtherVM",
    `at the address of satellite ${key} another VM answers than its own, so nothing is sent there; ` +
      "the satellite's conditions say what to do",
    phase,
  );
}

/** It is wished on, and nobody does anything about it. */
export function operatorStalled({ key, phase }: Named, forMs: number): Refusal {
  return unavailable(
    "OperatorStalled",
    `satellite ${key} is wished on, but nothing has moved for ${seconds(forMs)}; ` +
      "see whether the operator runs and has a leader",
    phase,
  );
}

/** The request's own time is up. */
export function deadlineExceeded({ key, phase }: Named, timeoutMs: number): Refusal {
  return refusal(
    GrpcStatus.DEADLINE_EXCEEDED,
    `the deadline of ${seconds(timeoutMs)} passed while satellite ${key} was ${phase ?? "not awake"}`,
    "DeadlineExceeded",
    phase,
  );
}

/** The longest hold is over. */
export function holdExpired({ key, phase }: Named, maxHoldMs: number): Refusal {
  return unavailable(
    "HoldExpired",
    `satellite ${key} did not wake within ${seconds(maxHoldMs)}; it is ${phase ?? "not awake"}`,
    phase,
  );
}

function unavailable(reason: string, message: string, phase: Phase | undefined): Refusal {
  return refusal(GrpcStatus.UNAVAILABLE, message, reason, phase);
}

function seconds(durationMs: number): string {
  return `${Math.round(durationMs / 100) / 10} s`;
}
