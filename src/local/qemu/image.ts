import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type CpioEntry, writeCpio } from "./cpio.ts";
import { earlyInit, mainInit } from "./guest-files.ts";
import {
  bundleGuestService,
  bundleMetadataProgram,
  GUEST_ENTRY,
  type GuestProgram,
} from "./guest-programs.ts";
import { layOutGuestRoot } from "./guest-root.ts";
import { collectModules } from "./kernel-modules.ts";
import { fetchKernel, type Kernel, moveIntoPlace } from "./kernel-package.ts";
import type { ToolPaths } from "./prerequisites.ts";
import { runTool } from "./run-tool.ts";

/** Files that a VM boots from; immutable once built. */
export interface GuestImage {
  /** Hash of everything that went in, 64 hexadecimal digits. */
  readonly key: string;
  readonly kernel: string;
  readonly initramfs: string;
  /** Root file system, ext4. */
  readonly rootFilesystem: string;
  /**
   * What an instance's volume is at first: "empty", beside the image's root file system that all instances share, or a
   * "copy" of it, as on EC2.
   */
  readonly rootVolume: "empty" | "copy";
  /** Program that serves the metadata of an instance. */
  readonly metadataProgram: string;
  /** A file that the guests may fetch by its name from {@link FILES_ADDRESS}, and the program that serves it. */
  readonly served?: { readonly program: string; readonly file: string };
}

/** How to build the image. */
export interface ImageOptions {
  /** Where kernels and images are kept between runs, for example ~/.cache/satellites. Made when absent. */
  readonly cacheDirectory: string;
  readonly tools: ToolPaths;
  /** The Node.js executable that the guest gets: normally `process.execPath`. */
  readonly nodePath: string;
  readonly progress: (line: string) => void;
}

/** Address of the guest's network where the image's file is served, beside that of the metadata. */
export const FILES_ADDRESS = "169.254.169.200";
/** Drivers that Debian's cloud kernel has as modules; ext4 and the serial port are built in. */
export const DRIVERS = ["virtio_pci", "virtio_blk", "virtio_net"];
/** Raise when the layout of the image changes in a way that its inputs do not show. */
const LAYOUT_VERSION = "1";
const ROOT_SIZE_MIB = 256;

/**
 * Returns the guest image, and builds it when the cache has none of exactly these inputs. Safe with several
 * builders at once: each builds in its own scratch folder and the first one to finish names the result.
 *
 * @throws SatelliteError `KernelUnavailable`, `KernelModuleMissing`, `ToolFailed`
 */
export async function ensureGuestImage(options: ImageOptions): Promise<GuestImage> {
  await mkdir(options.cacheDirectory, { recursive: true });
  const kernel = await fetchKernel(options.cacheDirectory, options.tools, options.progress);
  const [program, metadataProgram] = await Promise.all([bundleGuestService(), bundleMetadataProgram()]);
  const node = await stat(options.nodePath);
  const busybox = await stat(busyboxOf(options.tools));
  const key = imageKey([
    LAYOUT_VERSION,
    kernel.release,
    `${process.version} ${node.size} ${node.mtimeMs}`,
    `${busybox.size} ${busybox.mtimeMs}`,
    earlyInit(DRIVERS),
    mainInit(GUEST_ENTRY),
    metadataProgram,
    ...[...program].flat(),
  ]);
  const directory = join(options.cacheDirectory, `image-${key.slice(0, 16)}`);
  const image: GuestImage = {
    key,
    kernel: join(directory, "vmlinuz"),
    initramfs: join(directory, "initramfs.cpio"),
    rootFilesystem: join(directory, "root.ext4"),
    rootVolume: "empty",
    metadataProgram: join(directory, "metadata.cjs"),
  };
  if ((await stat(directory).catch(() => undefined)) !== undefined) {
    return image;
  }
  options.progress("building the guest image");
  const scratch = await mkdtemp(join(options.cacheDirectory, ".image-"));
  try {
    const result = join(scratch, "image");
    await mkdir(result);
    await copyFile(kernel.image, join(result, "vmlinuz"));
    await writeFile(join(result, "metadata.cjs"), metadataProgram);
    const initramfs = await buildInitramfs(kernel, options.tools, earlyInit);
    await writeFile(join(result, "initramfs.cpio"), initramfs);
    await buildRootFilesystem(join(scratch, "root"), join(result, "root.ext4"), program, options);
    await moveIntoPlace(result, directory);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return image;
}

/** Hash of parts, each preceded by its length so that no two lists of parts give the same bytes. */
export function imageKey(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = Buffer.from(part);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest("hex");
}

/** An initramfs that loads the drivers of the disks and then runs the script that `init` makes for them. */
export async function buildInitramfs(
  kernel: Kernel,
  tools: ToolPaths,
  init: (modules: readonly string[]) => string,
): Promise<Buffer> {
  const modules = await collectModules(kernel.modules, DRIVERS);
  const directories = ["bin", "modules", "dev", "proc", "root"];
  const entries: CpioEntry[] = directories.map((path) => ({ kind: "directory", path, mode: 0o755 }));
  entries.push({ kind: "file", path: "bin/busybox", mode: 0o755, content: await readFile(busyboxOf(tools)) });
  for (const { name, content } of modules) {
    entries.push({ kind: "file", path: `modules/${name}.ko`, mode: 0o644, content });
  }
  const script = init(modules.map(({ name }) => name));
  entries.push({ kind: "file", path: "init", mode: 0o755, content: Buffer.from(script) });
  return writeCpio(entries);
}

function busyboxOf(tools: ToolPaths): string {
  return tools["busybox"] ?? "/bin/busybox";
}

async function buildRootFilesystem(
  root: string,
  target: string,
  program: GuestProgram,
  options: ImageOptions,
): Promise<void> {
  await mkdir(root);
  await layOutGuestRoot(root, { nodePath: options.nodePath, program, tools: options.tools });
  const mkfs = options.tools["mkfs.ext4"] ?? "mkfs.ext4";
  await runTool(mkfs, ["-q", "-O", "^has_journal", "-m", "0", "-d", root, target, `${ROOT_SIZE_MIB}M`]);
}
