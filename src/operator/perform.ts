import type { JsonPatchOperation } from "../kube/client.ts";
import { isConflict, isInvalid, isNotFound, isRejected } from "../kube/errors.ts";
import { objectKey } from "../kube/objects.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import { dataVolumeTags, ownerTags, Tag } from "../machines/tags.ts";
import { test } from "../satellite/json-patch.ts";
import { idleOffPatch, PowerReason, removeActivityPatch, scheduledWakePatch } from "../satellite/power.ts";
import { FINALIZER, OPERATOR_FIELD_MANAGER, SATELLITES } from "../satellite/resource.ts";
import { sameJson, statusPatch } from "../satellite/status-patch.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Action } from "./action.ts";
import type { Dependencies } from "./dependencies.ts";
import { ConfigurationError } from "./failures.ts";
import { addFinalizer, removeFinalizer } from "./finalizers.ts";
import { requireClass } from "./launch-request.ts";
import { RejectedWrite } from "./rejected-write.ts";
import { noteAccepted, noteOwnedStart, noteTerminated } from "./memory/accepted-calls.ts";
import { noteType } from "./memory/machine-type.ts";
import type { Memory } from "./memory/memory.ts";
import { noteClaim, noteRetained } from "./memory/ownership.ts";
import { noteReboot } from "./memory/port.ts";
import type { Observation } from "./observation.ts";
import { performReadLastWords } from "./guest-words.ts";
import { findLaunched, launch, launchIntent, replacementIntent } from "./perform-launch.ts";
import { probe, probeReplacement } from "./perform-probe.ts";
import { performOnVolume } from "./perform-volume.ts";

/** The result of a step. */
export type StepResult =
  /** Done; the next step is decided at once. */
  | { readonly kind: "done" }
  /** The API server refused a write because the object had changed; the cache has the newest one now. */
  | { readonly kind: "stale" }
  /** The API server accepted a write and stored nothing: the CRD is older than this operator, and lacks a field. */
  | { readonly kind: "unstored" };

const DONE: StepResult = { kind: "done" };

/** Time-out of a write to the API server, in milliseconds; less than the leader's margin. */
const WRITE_TIMEOUT_MS = 5000;

/**
 * Carries out one action: at most one side effect.
 *
 * @param memory what this process remembers of the satellite; the step notes what it did
 * @throws CloudError, ConfigurationError or KubeError when it failed
 */
export async function perform(
  action: Exclude<Action, { kind: "Wait" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<StepResult> {
  const epoch = observed.satellite.status.power.epoch;
  const { clock } = dependencies;
  switch (action.kind) {
    case "AddFinalizer":
      return patch(
        observed.satellite,
        ofItself(observed.satellite, addFinalizer(observed.satellite, FINALIZER)),
        {},
        dependencies,
      );
    case "RemoveFinalizer":
      dependencies.directory.forget(observed.satellite.status.machine?.id ?? "");
      return patch(
        observed.satellite,
        ofItself(observed.satellite, removeFinalizer(observed.satellite, FINALIZER)),
        {},
        dependencies,
      );
    case "WriteStatus":
      return writeStatus(action, observed, memory, dependencies);
    case "DesireOff":
      return patch(observed.satellite, idleOffPatch(observed.satellite), {}, dependencies);
    case "DesireOn":
      return patch(observed.satellite, scheduledWakePatch(observed.satellite), {}, dependencies);
    case "PruneRouters":
      return patch(
        observed.satellite,
        removeActivityPatch(observed.satellite, ...action.routers),
        { status: true },
        dependencies,
      );
    case "ListMachines":
      await dependencies.listMachines();
      return DONE;
    case "PlanLaunch":
      return writeStatus(
        await launchIntent(action, observed, memory, dependencies),
        observed,
        memory,
        dependencies,
      );
    case "Launch":
      await launch(observed, memory, dependencies);
      return DONE;
    case "FindLaunched":
      await findLaunched(observed, memory, dependencies);
      return DONE;
    case "PlanReplacement":
      return writeStatus(
        await replacementIntent(action, observed, memory, dependencies),
        observed,
        memory,
        dependencies,
      );
    case "ProbeReplacement":
      await probeReplacement(action, observed, memory, dependencies);
      return DONE;
    case "CreateVolume":
    case "FindVolume":
    case "AttachVolume":
    case "DetachVolume":
    case "DeleteVolume":
      await performOnVolume(action, observed, memory, cloudFor(observed, dependencies), clock);
      return DONE;
    case "Start":
      await cloudFor(observed, dependencies).start(action.id);
      noteAccepted(memory, "start", epoch, clock.monotonicMs());
      return DONE;
    case "Stop":
      await cloudFor(observed, dependencies).stop(action.id, {
        hibernate: action.hibernate,
        force: action.force,
      });
      noteAccepted(memory, "stop", epoch, clock.monotonicMs());
      return DONE;
    case "Reboot":
      await cloudFor(observed, dependencies).reboot(action.id);
      noteReboot(memory, epoch, clock.monotonicMs());
      return DONE;
    case "Terminate":
      await cloudFor(observed, dependencies).terminate(action.id);
      noteTerminated(memory, action.id, clock.monotonicMs());
      return DONE;
    case "Claim":
      noteClaim(memory, action.id, { atMs: clock.monotonicMs(), isDone: false });
      await cloudFor(observed, dependencies).tag(action.id, claimTags(observed, action.id));
      noteClaim(memory, action.id, { atMs: clock.monotonicMs(), isDone: true });
      return DONE;
    case "ChangeType":
      await changeType(action, observed, memory, dependencies);
      return DONE;
    case "Retain":
      await cloudFor(observed, dependencies).tag(action.id, retainedTags());
      noteRetained(memory, action.id);
      return DONE;
    case "ReadLastWords":
      await performReadLastWords(action, observed, memory, dependencies);
      return DONE;
    case "Probe":
      await probe(action, observed, memory, dependencies);
      return DONE;
  }
}

function cloudFor(observed: Observation, { cloudOf }: Dependencies): MachineCloud {
  return cloudOf(requireClass(observed.satellite, observed.satelliteClass));
}

/** A machine with these tags is not listed, counted or collected by this cluster any more. */
function retainedTags(): Record<string, string> {
  return { [Tag.retained]: "true", [Tag.cluster]: "", [Tag.uid]: "" };
}

/** What says that a machine or a data volume is the satellite's, and in use. @param id of it */
function claimTags(observed: Observation, id: string): Record<string, string> {
  const { cluster, satellite, adopteeVolume } = observed;
  const { namespace = "", name, uid = "" } = satellite.metadata;
  const owner = { namespace, name, uid, className: satellite.spec.className };
  const tags = { ...ownerTags(cluster, owner), [Tag.orphanedAt]: "", [Tag.retained]: "" };
  const isVolume = [satellite.status.volume?.id, adopteeVolume?.id].includes(id);
  return isVolume ? dataVolumeTags(tags) : tags;
}

/** @throws ConfigurationError when the machine's zone has none of the types */
async function changeType(
  action: Extract<Action, { kind: "ChangeType" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<void> {
  const { spec, status } = observed.satellite;
  try {
    const cloud = cloudFor(observed, dependencies);
    const [type] = await cloud.suitableTypes({
      types: action.types,
      architecture: spec.architecture,
      zone: observed.machine?.zone ?? status.machine?.zone ?? "",
    });
    if (type === undefined) {
      throw new ConfigurationError(
        "NoTypeAvailable",
        `the machine's zone has none of the types ${action.types.join(", ")} for ${spec.architecture}; add types ` +
          "to the size in the SatelliteClass",
      );
    }
    await cloud.changeType(action.id, type);
    noteType(memory, { changed: { type, atMs: dependencies.clock.monotonicMs() } });
  } catch (error) {
    noteType(memory, { fixedEpoch: status.power.epoch });
    throw error;
  }
}

async function patch(
  satellite: Satellite,
  operations: readonly JsonPatchOperation[],
  options: { readonly status?: boolean },
  dependencies: Dependencies,
): Promise<StepResult> {
  return dependencies.writes.run(
    () => patchNow(satellite, operations, options, dependencies),
    satellite.metadata.namespace,
  );
}

async function patchNow(
  satellite: Satellite,
  operations: readonly JsonPatchOperation[],
  options: { readonly status?: boolean },
  { assertMayAct, client, satellites }: Dependencies,
): Promise<StepResult> {
  // The lead may have been lost while this waited for its turn.
  assertMayAct(satellite);
  const key = objectKey(satellite);
  try {
    const written = await client.patch<Satellite>(
      SATELLITES,
      key,
      { type: "json", operations },
      {
        fieldManager: OPERATOR_FIELD_MANAGER,
        timeoutMs: WRITE_TIMEOUT_MS,
        ...(options.status === true ? { subresource: "status" as const } : {}),
      },
    );
    satellites.upsert(written);
    const isNew = written.metadata.resourceVersion !== satellite.metadata.resourceVersion;
    return isNew ? DONE : { kind: "unstored" };
  } catch (error) {
    if (isNotFound(error)) {
      return { kind: "stale" };
    }
    if (isRejected(error)) {
      throw new RejectedWrite(error);
    }
    if (!isInvalid(error) && !isConflict(error)) {
      throw error;
    }
    satellites.upsert(await client.get<Satellite>(SATELLITES, key));
    return { kind: "stale" };
  }
}

/** The patch, for this very satellite and no later one of its name. */
function ofItself({ metadata }: Satellite, operations: readonly JsonPatchOperation[]): JsonPatchOperation[] {
  return [test("/metadata/uid", metadata.uid), ...operations];
}

async function writeStatus(
  action: Extract<Action, { kind: "WriteStatus" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<StepResult> {
  const operations = statusPatch(observed.satellite, action.status);
  if (operations === undefined) {
    return DONE;
  }
  const result = await patch(observed.satellite, operations, { status: true }, dependencies);
  if (result.kind === "done") {
    noteOwnedStart(memory, action.status.power);
    measureWake(observed, action, dependencies);
    countRecovery(observed, action, dependencies);
    if (action.announce !== undefined) {
      dependencies.announce(observed.satellite, action.announce);
    }
  }
  return result;
}

/** A step against a silent port is one that `status.recoveries` got a time for. */
function countRecovery(
  observed: Observation,
  { status }: Extract<Action, { kind: "WriteStatus" }>,
  { metrics }: Dependencies,
): void {
  const { spec, status: before } = observed.satellite;
  const last = status.recoveries?.at(-1);
  if (status.health !== undefined && last !== undefined && !sameJson(status.recoveries, before.recoveries)) {
    metrics.recoverySteps.inc({ class: spec.className, step: status.health.trouble });
  }
}

function measureWake(
  observed: Observation,
  { status }: Extract<Action, { kind: "WriteStatus" }>,
  { metrics }: Dependencies,
): void {
  const { power, sleep } = observed.satellite.status;
  if (power.state !== "Starting" || status.power.state !== "Running") {
    return;
  }
  const kind = power.reason === PowerReason.Launch ? "Launched" : (sleep?.kind ?? "Unknown");
  metrics.wakeSeconds.observe({ kind }, (observed.now.getTime() - Date.parse(power.since ?? "")) / 1000 || 0);
  if (power.reason !== PowerReason.Launch) {
    metrics.wakes.inc();
  }
}
