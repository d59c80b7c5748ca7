import { mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

import { SatelliteError } from "../../base/errors.ts";
import type { ToolPaths } from "./prerequisites.ts";
import { runTool } from "./run-tool.ts";

/** A kernel unpacked from its Debian package. */
export interface Kernel {
  /** For example 6.1.0-56-cloud-amd64. */
  readonly release: string;
  /** Compressed kernel image. */
  readonly image: string;
  /** Folder of its modules. */
  readonly modules: string;
}

/** Debian's kernel for virtual machines: small, with virtio and without drivers for hardware. */
const META_PACKAGE = "linux-image-cloud-amd64";

/**
 * Downloads Debian's current cloud kernel with apt-get and unpacks it below `cacheDirectory`. Nothing is
 * installed on the host. A kernel that is already in the cache is used without asking the network.
 *
 * @throws SatelliteError `KernelUnavailable` when the package cannot be downloaded
 */
export async function fetchKernel(
  cacheDirectory: string,
  tools: ToolPaths,
  progress: (line: string) => void,
): Promise<Kernel> {
  const cached = await newestCachedKernel(cacheDirectory);
  if (cached !== undefined) {
    return cached;
  }
  const scratch = await mkdtemp(join(cacheDirectory, ".kernel-"));
  try {
    progress(`downloading the guest's kernel (${META_PACKAGE})`);
    const root = await downloadAndUnpack(scratch, tools);
    const [release] = await readdir(join(root, "lib/modules"));
    if (release === undefined) {
      throw new SatelliteError("KernelUnavailable", `${META_PACKAGE} holds no modules`);
    }
    const target = join(cacheDirectory, `kernel-${release}`);
    await moveIntoPlace(root, target);
    return kernelAt(target, release);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function newestCachedKernel(cacheDirectory: string): Promise<Kernel | undefined> {
  const names = (await readdir(cacheDirectory)).filter((name) => name.startsWith("kernel-")).sort();
  const name = names.at(-1);
  return name === undefined ? undefined : kernelAt(join(cacheDirectory, name), name.slice("kernel-".length));
}

function kernelAt(root: string, release: string): Kernel {
  return {
    release,
    image: join(root, `boot/vmlinuz-${release}`),
    modules: join(root, "lib/modules", release),
  };
}

async function downloadAndUnpack(scratch: string, tools: ToolPaths): Promise<string> {
  const aptGet = tools["apt-get"] ?? "apt-get";
  const dependencies = await runTool(aptGet.replace(/apt-get$/, "apt-cache"), [
    "depends",
    META_PACKAGE,
  ]).catch(unavailable);
  const packageName = /Depends: (linux-image-\S+)/.exec(dependencies)?.[1];
  if (packageName === undefined) {
    throw new SatelliteError(
      "KernelUnavailable",
      `apt knows no ${META_PACKAGE}; run "apt-get update", and check that Debian's "main" is among the sources`,
    );
  }
  await runTool(aptGet, ["download", packageName], { cwd: scratch }).catch(unavailable);
  const archive = (await readdir(scratch)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) {
    throw new SatelliteError("KernelUnavailable", `apt-get downloaded no file for ${packageName}`);
  }
  const root = join(scratch, "root");
  await runTool(tools["dpkg-deb"] ?? "dpkg-deb", ["-x", join(scratch, archive), root]);
  return root;
}

function unavailable(cause: unknown): never {
  throw new SatelliteError(
    "KernelUnavailable",
    `the guest's kernel (${META_PACKAGE}) can't be downloaded; check the network and run "apt-get update"`,
    { cause },
  );
}

/**
 * Renames a finished folder to its final name. Of two builders that finish at once the first one wins; the
 * second one's result is equal and is dropped with its scratch folder.
 */
export async function moveIntoPlace(source: string, target: string): Promise<void> {
  try {
    await rename(source, target);
  } catch (thrown) {
    const present = await stat(target).catch(() => undefined);
    if (present?.isDirectory() !== true) {
      throw thrown;
    }
  }
}
