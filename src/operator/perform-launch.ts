import { SatelliteError } from "../base/errors.ts";
import type { LaunchPlan } from "../machines/cloud.ts";
import { timestamp } from "../satellite/conditions.ts";
import { SATELLITE_CLASSES, type LaunchIntent } from "../satellite/resource.ts";
import type { SatelliteClass } from "../satellite/types.ts";
import type { Action } from "./action.ts";
import type { Dependencies } from "./dependencies.ts";
import { ConfigurationError } from "./failures.ts";
import {
  asPlanned,
  intentOf,
  isHeld,
  launchRequest,
  planOf,
  requireClass,
  requireNamespaceAllowed,
  sizeOf,
} from "./launch-request.ts";
import { noteLaunched, notePlanned } from "./memory/launch.ts";
import type { Memory } from "./memory/memory.ts";
import { noteMiss } from "./memory/search.ts";
import type { Observation } from "./observation.ts";
import { healthOf } from "./older-status.ts";
import { renderStatus } from "./render-status.ts";

/** Resolves a launch into the status that holds it as the intent. @throws CloudError, ConfigurationError, KubeError */
export async function launchIntent(
  action: Extract<Action, { kind: "PlanLaunch" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Extract<Action, { kind: "WriteStatus" }>> {
  const { plan, intent } = await resolveLaunch(action, observed, memory, dependencies);
  const status = renderStatus(observed, { power: action.power, launch: intent });
  const message = `launching ${plan.type} from ${plan.image} in ${plan.zone}`;
  const announce = { type: "Normal", reason: "Launching", message } as const;
  return { kind: "WriteStatus", status, announce };
}

/**
 * The same for a machine that is to replace the one in use.
 *
 * @throws ConfigurationError when the class has meanwhile gone back to the machine's own image
 */
export async function replacementIntent(
  action: Extract<Action, { kind: "PlanReplacement" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Extract<Action, { kind: "WriteStatus" }>> {
  const { plan, intent } = await resolveLaunch(action, observed, memory, dependencies);
  const { machine } = observed.satellite.status;
  const isRecovery = healthOf(observed.satellite.status)?.trouble === "Replacing";
  if (plan.image === machine?.image && !isRecovery) {
    throw new ConfigurationError(
      "ImageUnchanged",
      `the class has the machine's image ${plan.image} again; nothing is replaced`,
    );
  }
  const status = renderStatus(observed, {
    power: action.power,
    launch: intent,
    replacement: { state: "Launching", image: plan.image, since: timestamp(observed.now) },
  });
  const message = `launching ${plan.type} from ${plan.image} to replace ${machine?.id ?? "the machine"}`;
  const announce = { type: "Normal", reason: "Replacing", message } as const;
  return { kind: "WriteStatus", status, announce };
}

/** Resolves every parameter of a launch, within what the class allows. The result of the launch before is forgotten. */
async function resolveLaunch(
  step: { readonly attempt: number; readonly combination: number },
  { satellite, satelliteClass: known }: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<{ readonly plan: LaunchPlan; readonly intent: LaunchIntent }> {
  const satelliteClass = requireClass(satellite, known);
  await requireHeld(satelliteClass, dependencies);
  await requireNamespaceAllowed(satelliteClass, satellite.metadata.namespace ?? "", dependencies.client);
  const userData = await dependencies.userDataFor(satelliteClass, satellite);
  const request = launchRequest(satellite, satelliteClass, step, userData);
  const { plan, combinations } = await dependencies.cloudOf(satelliteClass).resolve(request);
  notePlanned(memory, combinations);
  const size = sizeOf(satellite, satelliteClass);
  return { plan, intent: intentOf(plan, size, satelliteClass) };
}

/**
 * Asks the API server, since the cache may show a class that has gone. Whoever removes the finalizer of a class lists the
 * satellites first; so a class that has it now stays as long as this satellite.
 *
 * @throws SatelliteError when it has none
 */
async function requireHeld({ metadata: { name } }: SatelliteClass, { client }: Dependencies): Promise<void> {
  const current = await client.get<SatelliteClass>(SATELLITE_CLASSES, { name });
  if (!isHeld(current)) {
    throw new SatelliteError(
      "ClassNotHeld",
      `SatelliteClass ${name} was replaced or is being deleted; the launch is planned again when it is there`,
    );
  }
}

/** Sends the written intent, for the first time or again, and remembers the machine. @throws CloudError */
export async function launch(
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<void> {
  const satelliteClass = requireClass(observed.satellite, observed.satelliteClass);
  const intent = observed.satellite.status.launch;
  if (intent === undefined) {
    throw new Error("launch without a written intent");
  }
  const userData = await dependencies.userDataFor(asPlanned(satelliteClass, intent), observed.satellite);
  const machine = await dependencies.cloudOf(satelliteClass).launch(planOf(intent), userData);
  noteLaunched(memory, machine, intent.token);
}

/** Looks for the machine of the written intent, and remembers what was found, or that nothing was. @throws CloudError */
export async function findLaunched(
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<void> {
  const intent = observed.satellite.status.launch;
  if (intent === undefined) {
    throw new Error("a search without a written intent");
  }
  const cloud = dependencies.cloudOf(requireClass(observed.satellite, observed.satelliteClass));
  const machine = await cloud.findLaunched(planOf(intent));
  if (machine === undefined) {
    noteMiss(memory, intent.token, dependencies.clock.monotonicMs());
  } else {
    noteLaunched(memory, machine, intent.token);
  }
}
