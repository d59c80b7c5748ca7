import type { Secret } from "../kube/resources.ts";
import { buildkitUserData } from "../machines/buildkit/user-data.ts";
import { ConfigurationError } from "../operator/failures.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";

/** Key of a class's Secret that holds the user data. */
const SECRET_KEY = "userData";

/** What user data is made from beside class and satellite. */
export interface UserDataSources {
  /** Whether the class gives its machines a data volume. */
  readonly hasDataVolume: boolean;
  /** Reads a Secret of the operator's namespace. */
  readonly readSecret: (name: string) => Promise<Secret>;
}

/**
 * What a machine runs at its first boot, by the class's kind of guest.
 * @throws ConfigurationError `UserDataMissing` when the Secret lacks the key; KubeError when it cannot be read
 */
export async function userDataFor(
  satelliteClass: SatelliteClass,
  satellite: Satellite,
  { hasDataVolume, readSecret }: UserDataSources,
): Promise<string> {
  const { guest } = satelliteClass.spec;
  switch (guest.kind) {
    case "image":
      return "";
    case "buildkit":
      return buildkitUserData({
        ...guest,
        port: satellite.spec.port,
        dataVolume: hasDataVolume || satellite.status.volume !== undefined,
      });
    case "custom": {
      const name = guest.userDataSecretRef?.name ?? "";
      const encoded = (await readSecret(name)).data?.[SECRET_KEY];
      if (encoded === undefined) {
        throw new ConfigurationError(
          "UserDataMissing",
          `Secret "${name}" in the operator's namespace has no key "${SECRET_KEY}"; add it`,
        );
      }
      return Buffer.from(encoded, "base64").toString("utf8");
    }
  }
}
