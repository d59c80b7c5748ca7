import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { SatelliteError } from "../base/errors.ts";
import { FILES_ADDRESS } from "../local/qemu/image.ts";

/** The satellite, in the namespace "default", that clients without metadata reach. */
export const BUILDKIT_SATELLITE = "builder";

/** Name of the archives of BuildKit's releases; the version may be anything without a slash. */
const NAME = /^buildkit-v([^/]+)\.linux-amd64\.tar\.gz$/;

/**
 * The class of `satellites local` whose satellites run BuildKit: the example's text, with version, address and checksum
 * of an archive that is served to the VMs of this machine.
 *
 * @throws SatelliteError `ArchiveName` when the file is not named as BuildKit's releases are
 */
export async function buildkitClass(example: string, archive: string): Promise<string> {
  const version = NAME.exec(basename(archive))?.[1];
  if (version === undefined) {
    throw new SatelliteError(
      "ArchiveName",
      `${archive} is not named as BuildKit's releases are: buildkit-vVERSION.linux-amd64.tar.gz`,
    );
  }
  const text = await readFile(example, "utf8");
  const digest = createHash("sha256")
    .update(await readFile(archive))
    .digest("hex");
  return text.replace("$VERSION", version).replace("$ADDRESS", FILES_ADDRESS).replace("$SHA256", digest);
}
