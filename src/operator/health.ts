import { boundedMessage } from "../satellite/conditions.ts";
import type { Attempts, Health, Hibernation, Power } from "../satellite/resource.ts";
import { attemptTrouble } from "./attempts.ts";
import type { Observation } from "./observation.ts";
import { healthOf, hibernationOf } from "./older-status.ts";
import { isKeyTrouble, keyTrouble } from "./vm-key.ts";

/** Troubles that the operator does nothing more about. */
const FOR_PERSON: ReadonlySet<Health["trouble"]> = new Set<Health["trouble"]>([
  "Unreachable",
  "MachineLost",
  "OtherVM",
  "TLSNotServed",
]);

/** Whether only a person can help. */
export function healthNeedsPerson(health: Health | undefined): boolean {
  return health !== undefined && FOR_PERSON.has(health.trouble);
}

/** A trouble, with its message cut to what the CRD allows. */
export function healthField(trouble: Health["trouble"], message: string): Health {
  return { trouble, message: boundedMessage(message) };
}

/** The fields of the status after a step that health depends on. */
interface Standing {
  readonly power: Power;
  readonly attempts?: Attempts | undefined;
}

/**
 * `status.health` after a step that does not set it: what the last look at the port showed, else what was wrong before, as
 * long as that lasts.
 */
export function healthAfter(observed: Observation, after: Standing): Health | undefined {
  const seen = keyTrouble(observed, after.power);
  if (seen !== undefined) {
    return healthField(seen.reason, seen.message);
  }
  const before = healthOf(observed.satellite.status);
  return before === undefined || isOver(before, observed, after) ? undefined : before;
}

/** Whether the VM's port answered at the last look, in this epoch. */
export function answers(
  {
    memory: {
      port: { probe },
    },
  }: Observation,
  { epoch }: Power,
): boolean {
  return probe?.epoch === epoch && probe.ready;
}

/** Whether this step is the intent to stop a machine that was awake. */
export function isLeaving(observed: Observation, after: Power): boolean {
  return observed.satellite.status.power.state === "Running" && after.state === "Stopping";
}

/** A silent port is over when it has answered. One that sleeps as wished gets all steps of recovery again at its next wake. */
function isOver({ trouble }: Health, observed: Observation, { power, attempts }: Standing): boolean {
  const wish = observed.satellite.spec.desiredPower;
  if (answers(observed, power) && (power.state === "Running" || isLeaving(observed, power))) {
    return true;
  }
  if (power.state === "Off" && wish === "off" && trouble !== "MachineLost") {
    return true;
  }
  return isKeyTrouble(trouble) && wish === "on" && attemptTrouble({ power, attempts }) !== undefined;
}

/**
 * `status.machine.hibernation` after a step that does not set it: a refusal holds as long as the machine is the same one, a
 * loss of memory until the next wake has ended.
 */
export function hibernationAfter(
  observed: Observation,
  power: Power,
  machineId: string,
): Hibernation | undefined {
  const { status } = observed.satellite;
  const before = status.machine?.id === machineId ? hibernationOf(status) : undefined;
  const hasWoken = power.state === "Running" && status.power.state === "Starting";
  return before?.trouble === "MemoryLost" && hasWoken ? undefined : before;
}
