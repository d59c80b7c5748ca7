import { Ec2ApiError } from "./api-error.ts";
import type { Instance } from "./instance.ts";
import type { InstanceType } from "./instance-types.ts";

/** What an instance's state and protection have against a change (EC2 API reference, "Error codes"). */

/** @throws Ec2ApiError `IncorrectInstanceState` */
export function checkStart({ id, state }: Instance): void {
  if (state !== "stopped" && state !== "running" && state !== "pending") {
    throw incorrectState(id, "started");
  }
}

/** @throws Ec2ApiError `IncorrectInstanceState`, `OperationNotPermitted` */
export function checkStop({ id, state, disableApiStop }: Instance): void {
  if (state !== "running" && state !== "stopping" && state !== "stopped") {
    throw incorrectState(id, "stopped");
  }
  if (disableApiStop) {
    throw notPermitted(id, "stopped", "disableApiStop");
  }
}

/**
 * @param readyAfterMs how long after a cold boot it is too early
 * @throws Ec2ApiError `UnsupportedHibernationConfiguration`; `UnsupportedOperation` while it is too early
 */
export function checkHibernate(instance: Instance, now: Date, readyAfterMs: number): void {
  if (!instance.hibernationConfigured) {
    throw new Ec2ApiError(
      "UnsupportedHibernationConfiguration",
      `The instance '${instance.id}' is not configured for hibernation.`,
    );
  }
  const uptimeMs = now.getTime() - Date.parse(instance.bootedAt ?? instance.launchTime);
  if (instance.state === "running" && uptimeMs < readyAfterMs) {
    throw new Ec2ApiError(
      "UnsupportedOperation",
      `The instance '${instance.id}' is not ready to hibernate yet. Please retry in a few minutes.`,
    );
  }
}

/** @throws Ec2ApiError `OperationNotPermitted` for one that is protected */
export function checkTerminate({ id, disableApiTermination }: Instance): void {
  if (disableApiTermination) {
    throw notPermitted(id, "terminated", "disableApiTermination");
  }
}

/** @throws Ec2ApiError `IncorrectState` */
export function checkReboot({ id, state }: Instance): void {
  if (state !== "running") {
    throw new Ec2ApiError("IncorrectState", `The instance '${id}' is not in the 'running' state.`);
  }
}

/** @throws Ec2ApiError `IncorrectInstanceState`, `InvalidParameterValue` when the architectures differ */
export function checkChangeType(
  id: string,
  instance: Instance | undefined,
  type: InstanceType,
): asserts instance is Instance {
  if (instance?.state !== "stopped") {
    throw incorrectState(id, "modified: the type of an instance can be changed while it is stopped");
  }
  if (type.architecture !== instance.architecture) {
    throw new Ec2ApiError(
      "InvalidParameterValue",
      `The type ${type.name} does not have the architecture of ${id}`,
    );
  }
}

function incorrectState(id: string, done: string): Ec2ApiError {
  return new Ec2ApiError(
    "IncorrectInstanceState",
    `The instance '${id}' is not in a state from which it can be ${done}.`,
  );
}

function notPermitted(id: string, done: string, attribute: string): Ec2ApiError {
  return new Ec2ApiError(
    "OperationNotPermitted",
    `The instance '${id}' may not be ${done}. Modify its '${attribute}' instance attribute and try again.`,
  );
}
