import { copyFile, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stockInit } from "./guest-files.ts";
import { bundleFileProgram, bundleMetadataProgram } from "./guest-programs.ts";
import { buildInitramfs, DRIVERS, type GuestImage, imageKey, type ImageOptions } from "./image.ts";
import { fetchKernel, moveIntoPlace } from "./kernel-package.ts";
import { runTool } from "./run-tool.ts";
import {
  bootstrapDebian,
  debianRelease,
  fitToVm,
  SERVICES,
  STOCK_FILES,
  STOCK_PACKAGES,
} from "./stock-root.ts";

/** Raise when the layout of the image changes in a way that its inputs do not show. */
const LAYOUT_VERSION = "1";
/** Room for the tree; an instance's volume is larger, and cloud-init grows the file system to it as on EC2. */
const SIZE_MIB = 1024;

/** How to build a stock image. */
export interface StockImageOptions extends Omit<ImageOptions, "nodePath"> {
  /** A file that its guests may fetch by its name. */
  readonly served: string;
}

/**
 * Returns an image of stock Debian with systemd and cloud-init, which finds the metadata service by itself, as on EC2.
 * Built once for each set of inputs; its Debian tree is kept beside it.
 *
 * @throws SatelliteError `RootNeeded`, `NotDebian`, `KernelUnavailable`, `ToolFailed`
 */
export async function ensureStockImage(options: StockImageOptions): Promise<GuestImage> {
  const { cacheDirectory, tools, progress } = options;
  await mkdir(cacheDirectory, { recursive: true });
  const kernel = await fetchKernel(cacheDirectory, tools, progress);
  const [metadataProgram, fileProgram] = await Promise.all([bundleMetadataProgram(), bundleFileProgram()]);
  const tree = await ensureTree(options);
  const key = imageKey([
    LAYOUT_VERSION,
    tree,
    kernel.release,
    JSON.stringify([STOCK_FILES, SERVICES]),
    stockInit(DRIVERS),
    metadataProgram,
    fileProgram,
  ]);
  const directory = join(cacheDirectory, `stock-${key.slice(0, 16)}`);
  const image: GuestImage = {
    key,
    kernel: join(directory, "vmlinuz"),
    initramfs: join(directory, "initramfs.cpio"),
    rootFilesystem: join(directory, "root.ext4"),
    rootVolume: "copy",
    metadataProgram: join(directory, "metadata.cjs"),
    served: { program: join(directory, "file.cjs"), file: options.served },
  };
  if ((await stat(directory).catch(() => undefined)) !== undefined) {
    return image;
  }
  progress("building the stock image");
  const scratch = await mkdtemp(join(cacheDirectory, ".stock-"));
  try {
    const [result, root] = [join(scratch, "image"), join(scratch, "root")];
    await mkdir(result);
    await copyFile(kernel.image, join(result, "vmlinuz"));
    await writeFile(join(result, "metadata.cjs"), metadataProgram);
    await writeFile(join(result, "file.cjs"), fileProgram);
    await writeFile(join(result, "initramfs.cpio"), await buildInitramfs(kernel, tools, stockInit));
    await runTool("cp", ["--archive", "--reflink=auto", tree, root]);
    await fitToVm(root, kernel);
    const mkfs = tools["mkfs.ext4"] ?? "mkfs.ext4";
    await runTool(mkfs, ["-q", "-d", root, join(result, "root.ext4"), `${SIZE_MIB}M`]);
    await moveIntoPlace(result, directory);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return image;
}

/** The Debian tree that images are made of: a chroot with everything that a stock image holds. */
export async function ensureTree({
  cacheDirectory,
  tools,
  progress,
}: Omit<StockImageOptions, "served">): Promise<string> {
  const release = await debianRelease();
  const key = imageKey([LAYOUT_VERSION, release, ...STOCK_PACKAGES]);
  const tree = join(cacheDirectory, `debian-${release}-${key.slice(0, 16)}`);
  if ((await stat(tree).catch(() => undefined)) !== undefined) {
    return tree;
  }
  progress(`making a stock Debian (${release}) with debootstrap, once; this takes a minute or two`);
  const scratch = await mkdtemp(join(cacheDirectory, ".debian-"));
  try {
    await bootstrapDebian(join(scratch, "root"), release, tools["debootstrap"] ?? "debootstrap");
    await moveIntoPlace(join(scratch, "root"), tree);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return tree;
}
