import { boundedMessage } from "../satellite/conditions.ts";
import type { Attempts, Health, Hibernation, Power } from "../satellite/resource.ts";
import { attemptTrouble } from "./attempts.ts";
import type { Observation } from "./observation.ts";
import { healthOf, hibernationOf } from "./older-status.ts";
import { isKeyTrouble, keyTrouble } from "./vm-key.ts";

/** Troubles after which nothing happens by itself. */
const HOPELESS: ReadonlySet<Health["trouble"]> = new Set<Health["trouble"]>([
  "Unreachable",
  "MachineLost",
  "OtherVM",
  "TLSNotServed",
]);

/** Whether only a person can help. */
export function isHopeless(health: Health | undefined): boolean {
  return health !== undefined && HOPELESS.has(health.trouble);
}

/** A trouble as the status has room for it. */
export function healthField(trouble: Health["trouble"], message: string): Health {
  return { trouble, message: boundedMessage(message) };
}

/** What a step leaves of the rest of the status, as far as health goes by it. */
interface Standing {
  readonly power: Power;
  readonly attempts?: Attempts | undefined;
}

/**
 * `status.health` after a step that does not say anything about it: what the last look at the port showed, else what was
 * wrong before, until that is over.
 */
export function healthAfter(observed: Observation, after: Standing): Health | undefined {
  const seen = keyTrouble(observed, after.power);
  if (seen !== undefined) {
    return healthField(seen.reason, seen.message);
  }
  const before = healthOf(observed.satellite.status);
  return before === undefined || isOver(before, observed, after) ? undefined : before;
}

/** Whether the VM's port has answered in this epoch, and the last look was not in vain. */
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

/** Whether the machine is about to be stopped, after it was awake. */
export function isLeaving(observed: Observation, after: Power): boolean {
  return observed.satellite.status.power.state === "Running" && after.state === "Stopping";
}

/** A silent port is well again when it has answered; asleep as wished, the steps against it begin anew. */
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
 * `status.machine.hibernation` after a step that says nothing about it: a refusal holds while the machine is the same, and a
 * loss of memory until the end of the next wake.
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
