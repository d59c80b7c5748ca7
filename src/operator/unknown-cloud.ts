import type { MachineCloud } from "../machines/cloud.ts";
import { CloudError } from "../machines/errors.ts";
import type { SatelliteClass } from "../satellite/types.ts";

/** What messages and checks need of a cloud. */
export type CloudTraits = Pick<MachineCloud, "words" | "isMachineID">;

/** Stands in where the class is missing, or names no cloud that this operator knows. */
const UNKNOWN_CLOUD: CloudTraits = {
  words: {
    name: "the cloud",
    support: "its support",
    firewall: "its firewall",
    addressless: { meaning: "as in a network that has IPv6 alone", advice: "Choose a network with IPv4" },
  },
  isMachineID: () => true,
};

/** The cloud of a class; `undefined` when the class names none that this operator knows. */
export function knownCloud<Cloud>(
  satelliteClass: SatelliteClass,
  cloudOf: (satelliteClass: SatelliteClass) => Cloud,
): Cloud | undefined {
  try {
    return cloudOf(satelliteClass);
  } catch (error) {
    if (error instanceof CloudError) {
      return undefined;
    }
    throw error;
  }
}

/** The words and checks of a class's cloud, or those that suit any cloud. */
export function cloudTraits(
  satelliteClass: SatelliteClass | undefined,
  cloudOf: (satelliteClass: SatelliteClass) => MachineCloud,
): CloudTraits {
  return (satelliteClass === undefined ? undefined : knownCloud(satelliteClass, cloudOf)) ?? UNKNOWN_CLOUD;
}
