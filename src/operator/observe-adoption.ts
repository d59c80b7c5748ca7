import { backoffMs } from "../base/backoff.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Dependencies } from "./dependencies.ts";
import { ConfigurationError } from "./failures.ts";
import { requireNamespaceAllowed } from "./launch-request.ts";
import type { Memory } from "./memory/memory.ts";
import { noteAdoption, type Adoption } from "./memory/ownership.ts";
import type { Observation } from "./observation.ts";
import { adoptionBlocker, isOffered, wantedAdoption } from "./ownership.ts";

/** Pauses between looks at a machine that may not be taken over yet, or does not exist. */
const AGAIN = { baseMs: 30_000, maxMs: 10 * 60_000, jitter: 0.2 };

const NOTHING: Adoption = {
  adoptee: undefined,
  adopteeVolume: undefined,
  adopteeUser: undefined,
  adopteeVolumeUser: undefined,
  adoptionRefusal: undefined,
};

/**
 * The machine that the satellite is to take over, the volume on it, and who uses them already. While it may not be taken over, the pauses
 * between looks grow; a change of the annotations ends them. Otherwise people could cause calls without end by naming
 * machines that do not exist or are not theirs.
 *
 * @throws CloudError, KubeError when it cannot be seen
 */
export async function observeAdoption(
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<Adoption> {
  const id = wantedAdoption(observed.satellite);
  const { satelliteClass } = observed;
  if (id === undefined || satelliteClass === undefined || !observed.cloud.isMachineID(id)) {
    return NOTHING;
  }
  const inputs = inputsOf(observed);
  const known = memory.ownership.adoption?.inputs === inputs ? memory.ownership.adoption : undefined;
  if (known !== undefined && known.againAtMs > observed.nowMs) {
    return known.adoption;
  }
  const adoption = await look(id, observed, satelliteClass, dependencies);
  const isBlocked = adoptionBlocker({ ...observed, ...adoption }) !== undefined;
  const count = isBlocked ? (known?.count ?? 0) + 1 : 0;
  const pauseMs = isBlocked ? backoffMs(count - 1, AGAIN, dependencies.random) : 0;
  noteAdoption(memory, { inputs, count, adoption, againAtMs: observed.nowMs + pauseMs });
  return adoption;
}

async function look(
  id: string,
  observed: Observation,
  satelliteClass: SatelliteClass,
  { client, cloudOf, satellites }: Dependencies,
): Promise<Adoption> {
  const { namespace = "" } = observed.satellite.metadata;
  try {
    await requireNamespaceAllowed(satelliteClass, namespace, client);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) {
      throw error;
    }
    return { ...NOTHING, adoptionRefusal: { reason: error.code, message: error.message } };
  }
  const cloud = cloudOf(satelliteClass);
  const adoptee = await cloud.lookUp(id);
  const adopteeUser = nameOf(satellites.list().find(({ status }) => status.machine?.id === id));
  // Nothing is read of what is on other people's machines.
  const [volumeID] = adoptee !== undefined && isOffered(observed, adoptee) ? adoptee.volumes : [];
  if (volumeID === undefined) {
    return { ...NOTHING, adoptee, adopteeUser };
  }
  const adopteeVolume = await cloud.describeVolume(volumeID);
  const others = satellites.list().filter(({ metadata }) => metadata.uid !== observed.satellite.metadata.uid);
  const adopteeVolumeUser = nameOf(others.find(({ status }) => status.volume?.id === volumeID));
  return { ...NOTHING, adoptee, adopteeUser, adopteeVolume, adopteeVolumeUser };
}

function nameOf(satellite: Satellite | undefined): string | undefined {
  return satellite === undefined ? undefined : keyString(objectKey(satellite));
}

function inputsOf({ satellite: { metadata }, satelliteClass }: Observation): string {
  return JSON.stringify([metadata.generation, metadata.annotations, satelliteClass?.metadata.generation]);
}
