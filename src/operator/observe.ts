import type { Machine, MachineCloud, Volume } from "../machines/cloud.ts";
import { isPaused } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { launchIsUnsettled } from "./decide-launch.ts";
import type { Dependencies } from "./dependencies.ts";
import { noteContradiction, noteSighting } from "./memory/sightings.ts";
import { requireClass } from "./launch-request.ts";
import { isAlive } from "./machine-directory.ts";
import type { Blocker } from "./blocker.ts";
import type { Memory } from "./memory/memory.ts";
import type { Observation } from "./observation.ts";
import { observeAdoption } from "./observe-adoption.ts";
import { offerOf } from "./ownership.ts";
import { noteStretch } from "./memory/stretch.ts";
import { cloudTraits } from "./unknown-cloud.ts";

/** What is known of a satellite without asking the cloud; of its machine that is nothing. */
export function observeBlindly(
  key: string,
  satellite: Satellite,
  memory: Memory,
  { cluster, clock, classes, cloudOf, idle, directory, hostEvents }: Dependencies,
): Observation {
  const satelliteClass = classes.get(satellite.spec.className);
  return {
    cluster,
    satellite,
    satelliteClass,
    cloud: cloudTraits(satelliteClass, cloudOf),
    machine: undefined,
    replacement: undefined,
    retired: undefined,
    volume: undefined,
    stray: undefined,
    strayVolume: undefined,
    keptAside: directory.keptAside(key, satellite.metadata.uid ?? ""),
    adoptee: undefined,
    adopteeVolume: undefined,
    adopteeUser: undefined,
    adopteeVolumeUser: undefined,
    adoptionRefusal: undefined,
    event: hostEvents.of(satellite.status.machine?.id),
    eventsKnown: hostEvents.known,
    awakeLimit: undefined,
    idleness: idle.idleness(key, satellite),
    listed: directory.complete,
    memory,
    now: clock.now(),
    nowMs: clock.monotonicMs(),
  };
}

/**
 * Gathers what one decision about a satellite needs. A machine that changes state is read again; for one at rest the
 * last list will do, so that satellites at rest cost no calls.
 *
 * @throws CloudError, ConfigurationError when the machine cannot be seen
 */
export async function observe(
  key: string,
  satellite: Satellite,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Observation> {
  const blind = observeBlindly(key, satellite, memory, dependencies);
  noteStretch(memory, satellite, blind.now, blind.nowMs);
  const { satelliteClass } = blind;
  const base = {
    ...blind,
    awakeLimit: awakeLimit(satellite, satelliteClass, dependencies),
    ...(await observeBesides(satellite, satelliteClass, memory, dependencies)),
  };
  if (satellite.status.machine === undefined) {
    const found = await findStray(key, base, dependencies);
    const adoption = await observeAdoption({ ...base, ...found }, memory, dependencies);
    return { ...base, ...adoption, ...found };
  }
  const cloud = dependencies.cloudOf(requireClass(satellite, satelliteClass));
  const { id } = satellite.status.machine;
  const machine = await describe(cloud, id, maxAgeMs(satellite, memory, dependencies), memory, dependencies);
  noteContradiction(satellite, machine, memory, base.nowMs);
  const volume = base.volume ?? (await missingVolume(satellite, machine, cloud, memory, dependencies));
  return { ...base, machine, volume };
}

/**
 * Describes a machine that the status names, and notes whether it was seen. That a list shows it as terminated is believed
 * at once.
 */
async function describe(
  cloud: MachineCloud,
  id: string,
  ageMs: number,
  memory: Memory,
  { directory, clock }: Dependencies,
): Promise<Machine | undefined> {
  const machine = await cloud.describe(id, ageMs);
  const listed = directory.get(id);
  const ended = listed?.state === "terminated" ? listed : undefined;
  const sighting = {
    byID: machine !== undefined || ended !== undefined,
    inList: listed !== undefined,
    lists: directory.lists,
  };
  noteSighting(memory, id, sighting, clock.monotonicMs());
  return machine ?? ended;
}

/** Describes the data volume that the status names, and notes whether it was seen. */
async function describeVolume(
  cloud: MachineCloud,
  id: string,
  memory: Memory,
  { directory, clock }: Dependencies,
): Promise<Volume | undefined> {
  const volume = await cloud.describeVolume(id);
  const sighting = {
    byID: volume !== undefined,
    inList: directory.volumes.has(id),
    lists: directory.volumeLists,
  };
  noteSighting(memory, id, sighting, clock.monotonicMs());
  return volume;
}

/** What there is beside the machine in use while that is replaced or the satellite deleted. */
async function observeBesides(
  satellite: Satellite,
  satelliteClass: SatelliteClass | undefined,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Pick<Observation, "replacement" | "retired" | "volume">> {
  const { metadata, status } = satellite;
  const deleting = metadata.deletionTimestamp !== undefined;
  const isMoving = deleting || status.power.state === "Updating";
  const volumeId = isMoving ? status.volume?.id : undefined;
  const [replacementId, retiredId] = [status.replacement?.machine?.id, status.retired?.id];
  if (replacementId === undefined && retiredId === undefined && volumeId === undefined) {
    return { replacement: undefined, retired: undefined, volume: undefined };
  }
  const cloud = dependencies.cloudOf(requireClass(satellite, satelliteClass));
  const beside = (id: string | undefined): Promise<Machine | undefined> =>
    id === undefined
      ? Promise.resolve(undefined)
      : describe(cloud, id, dependencies.settings.transitionPollMs / 2, memory, dependencies);
  const [replacement, retired, volume] = await Promise.all([
    beside(replacementId),
    beside(retiredId),
    volumeId === undefined ? undefined : describeVolume(cloud, volumeId, memory, dependencies),
  ]);
  return { replacement, retired, volume };
}

/** The data volume, where a machine that is being started does not have it. */
async function missingVolume(
  { status }: Satellite,
  machine: Machine | undefined,
  cloud: MachineCloud,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Volume | undefined> {
  const id = status.volume?.id;
  return id !== undefined && status.power.state === "Starting" && machine?.volumes.includes(id) === false
    ? describeVolume(cloud, id, memory, dependencies)
    : undefined;
}

function awakeLimit(
  satellite: Satellite,
  satelliteClass: SatelliteClass | undefined,
  { quota }: Dependencies,
): Blocker | undefined {
  const { metadata, spec, status } = satellite;
  const isToStart =
    spec.desiredPower === "on" && status.power.state === "Off" && metadata.deletionTimestamp === undefined;
  return isToStart && satelliteClass !== undefined && !isPaused(satellite)
    ? quota.admit(satellite, satelliteClass)
    : undefined;
}

function maxAgeMs(
  satellite: Satellite,
  { sightings: { absent } }: Memory,
  { settings }: Dependencies,
): number {
  const { power, endpoint, machine } = satellite.status;
  if (absent?.[machine?.id ?? ""] !== undefined) {
    return 0;
  }
  if (power.state === "Starting" && power.accepted && endpoint !== undefined) {
    return settings.comingUpMaxAgeMs;
  }
  const resting =
    satellite.metadata.deletionTimestamp === undefined &&
    power.state === (satellite.spec.desiredPower === "on" ? "Running" : "Off");
  return resting ? settings.restingMaxAgeMs : settings.transitionPollMs / 2;
}

const NO_STRAY = { stray: undefined, strayVolume: undefined } as const;

/**
 * A live machine of the satellite that its status does not name, and the volume on it where no other is named. The machine is
 * read again, since the list may be old.
 */
async function findStray(
  key: string,
  observed: Observation,
  { directory, cloudOf }: Dependencies,
): Promise<Pick<Observation, "stray" | "strayVolume">> {
  const { metadata, status } = observed.satellite;
  const listed = directory.ownedBy(key, metadata.uid ?? "", offerOf(observed));
  if (listed === undefined || observed.satelliteClass === undefined || launchIsUnsettled(observed)) {
    return NO_STRAY;
  }
  const cloud = cloudOf(observed.satelliteClass);
  const machine = await cloud.describe(listed.id, 0);
  if (machine === undefined || !isAlive(machine)) {
    return NO_STRAY;
  }
  const [volumeID] = status.volume === undefined ? machine.volumes : [];
  const strayVolume = volumeID === undefined ? undefined : await cloud.describeVolume(volumeID);
  return { stray: machine, strayVolume };
}
