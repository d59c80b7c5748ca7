import type { Secret } from "../kube/resources.ts";
import { buildkitUserData } from "../machines/buildkit/user-data.ts";
import { ConfigurationError } from "../operator/failures.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";

/** Key of a class's Secret that holds the user data. */
const SECRET_KEY = "userData";
/** Before base64 (EC2 user guide, "Work with instance user data"). */
const MAX_BYTES = 16_384;

/**
 * What a machine runs at its first boot, by the class's kind of guest.
 *
 * @param readSecret reads a Secret of the operator's namespace
 * @throws ConfigurationError `UserDataMissing` when the Secret lacks the key, `UserDataTooLong`; KubeError when the
 *   Secret cannot be read
 */
export async function userDataFor(
  satelliteClass: SatelliteClass,
  satellite: Satellite,
  readSecret: (name: string) => Promise<Secret>,
): Promise<string> {
  const userData = await render(satelliteClass, satellite, readSecret);
  const bytes = Buffer.byteLength(userData);
  if (bytes > MAX_BYTES) {
    const shorten =
      satelliteClass.spec.guest.kind === "custom"
        ? "let it fetch what it needs"
        : "shorten caCertificates, registryMirrors or extraConfig of spec.guest, or put them into the image";
    throw new ConfigurationError(
      "UserDataTooLong",
      `the user data has ${bytes} bytes, and EC2 takes ${MAX_BYTES}; ${shorten}`,
    );
  }
  return userData;
}

async function render(
  satelliteClass: SatelliteClass,
  satellite: Satellite,
  readSecret: (name: string) => Promise<Secret>,
): Promise<string> {
  const { guest } = satelliteClass.spec;
  switch (guest.kind) {
    case "image":
      return "";
    case "buildkit":
      return buildkitUserData({
        ...guest,
        port: satellite.spec.port,
        dataVolume: satelliteClass.spec.ec2.dataVolume !== undefined || satellite.status.volume !== undefined,
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
