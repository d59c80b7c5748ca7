import { randomBytes } from "node:crypto";
import {
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";

import { SatelliteError, toError } from "../../base/errors.ts";
import type { GuestImage } from "./image.ts";
import type { MachineShape } from "./machine-shape.ts";
import type { InstanceFacts } from "./metadata-service.ts";
import { runTool } from "./run-tool.ts";

/** Paths of one instance's files, all in its own folder. */
export interface InstanceFiles {
  readonly directory: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly rootFilesystem: string;
  readonly metadataProgram: string;
  /** The root volume: a sparse file that grows as the guest writes. */
  readonly disk: string;
  readonly console: string;
  readonly pidFile: string;
  readonly qmpSocket: string;
  readonly agentSocket: string;
  readonly migrationSocket: string;
  /** A complete memory image; it never exists while the VM runs. */
  readonly memory: string;
  /** A memory image that is being written. */
  readonly partialMemory: string;
  /** The machine that the memory image belongs to. */
  readonly memoryShape: string;
}

/** Longest path of a unix socket (sun_path in unix(7), less its NUL). */
const MAX_SOCKET_PATH = 107;
const GIB = 1024 ** 3;
const INSTANCE_ID = /^i-[0-9a-z]+$/;

/** What {@link InstanceStore.create} needs. */
export interface CreateInstance {
  readonly facts: InstanceFacts;
  readonly image: GuestImage;
  readonly rootVolumeGiB: number;
}

/** Keeps each instance's files in a folder of its own, so that instances survive the process that made them. */
export class InstanceStore {
  readonly #root: string;
  readonly #mkfs: string;

  /** @param root an absolute folder; @param mkfs the mkfs.ext4 program */
  constructor(root: string, mkfs: string) {
    this.#root = root;
    this.#mkfs = mkfs;
  }

  /** Makes the store's folder and clears what an interrupted create or remove left behind. */
  async open(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#root)) {
      if (name.startsWith(".")) {
        await rm(join(this.#root, name), { recursive: true, force: true });
      }
    }
  }

  /** IDs of all instances. */
  async list(): Promise<string[]> {
    return (await readdir(this.#root)).filter((name) => INSTANCE_ID.test(name));
  }

  /**
   * Paths of an instance's files, whether they exist or not.
   *
   * @throws SatelliteError `InvalidInstanceId`, `StatePathTooLong`
   */
  files(id: string): InstanceFiles {
    if (!INSTANCE_ID.test(id)) {
      throw new SatelliteError(
        "InvalidInstanceId",
        `"${id}" is not an instance ID; they look like i-0123abcd`,
      );
    }
    const directory = join(this.#root, id);
    const at = (name: string): string => join(directory, name);
    if (Buffer.byteLength(at("migration.sock")) > MAX_SOCKET_PATH) {
      throw new SatelliteError(
        "StatePathTooLong",
        `the state folder ${this.#root} is too long a path for unix sockets (${MAX_SOCKET_PATH} bytes); choose a shorter one`,
      );
    }
    return {
      directory,
      kernel: at("vmlinuz"),
      initramfs: at("initramfs.cpio"),
      rootFilesystem: at("root.ext4"),
      metadataProgram: at("metadata.cjs"),
      disk: at("disk.img"),
      console: at("console.log"),
      pidFile: at("qemu.pid"),
      qmpSocket: at("qmp.sock"),
      agentSocket: at("agent.sock"),
      migrationSocket: at("migration.sock"),
      memory: at("memory.img"),
      partialMemory: at("memory.partial"),
      memoryShape: at("memory.json"),
    };
  }

  /** Whether the instance's files are there, all of them. */
  async exists(id: string): Promise<boolean> {
    return (await stat(this.files(id).disk).catch(() => undefined)) !== undefined;
  }

  /**
   * Makes an instance's folder under a scratch name and renames it, so that it is there completely or not at all.
   * The image's files are linked, so the instance keeps booting what it was launched with when the cache
   * changes.
   *
   * @throws SatelliteError `DiskFull`, `ToolFailed`
   */
  async create(id: string, spec: CreateInstance): Promise<void> {
    const { directory } = this.files(id);
    const scratch = join(this.#root, `.new-${id}`);
    await rm(scratch, { recursive: true, force: true });
    try {
      await mkdir(scratch, { mode: 0o700 });
      await linkOrCopy(spec.image.kernel, join(scratch, "vmlinuz"));
      await linkOrCopy(spec.image.initramfs, join(scratch, "initramfs.cpio"));
      await linkOrCopy(spec.image.metadataProgram, join(scratch, "metadata.cjs"));
      await writeFile(join(scratch, "metadata.json"), JSON.stringify(spec.facts));
      await writeFile(join(scratch, "metadata.key"), randomBytes(32), { mode: 0o600 });
      await this.#makeVolume(scratch, spec);
      await rename(scratch, directory);
    } catch (thrown) {
      await rm(scratch, { recursive: true, force: true });
      throw explainDiskError(thrown, this.#root);
    }
  }

  async #makeVolume(directory: string, { image, rootVolumeGiB }: CreateInstance): Promise<void> {
    const disk = join(directory, "disk.img");
    if (image.rootVolume === "copy") {
      await runTool("cp", ["--sparse=always", "--reflink=auto", image.rootFilesystem, disk]);
      await truncate(disk, rootVolumeGiB * GIB);
      return;
    }
    await linkOrCopy(image.rootFilesystem, join(directory, "root.ext4"));
    await writeFile(disk, "");
    await truncate(disk, rootVolumeGiB * GIB);
    await runTool(this.#mkfs, ["-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", disk]);
  }

  /** The data volume that the instance has; undefined without one, and where there is no such instance. */
  async dataVolume(id: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.files(id).directory, "data-volume"), "utf8");
    } catch (thrown) {
      if ((toError(thrown) as NodeJS.ErrnoException).code === "ENOENT") {
        return undefined;
      }
      throw thrown;
    }
  }

  /** Notes which data volume the instance has from now on. */
  async setDataVolume(id: string, volume: string | undefined): Promise<void> {
    const file = join(this.files(id).directory, "data-volume");
    if (volume === undefined) {
      await rm(file, { force: true });
      return;
    }
    await writeFile(`${file}.new`, volume);
    await rename(`${file}.new`, file);
  }

  /** Writes the facts that the metadata service serves. */
  async writeFacts(id: string, facts: InstanceFacts): Promise<void> {
    const file = join(this.files(id).directory, "metadata.json");
    await writeFile(`${file}.new`, JSON.stringify(facts));
    await rename(`${file}.new`, file);
  }

  /** Reads the facts as they were written last. */
  async readFacts(id: string): Promise<InstanceFacts> {
    return JSON.parse(
      await readFile(join(this.files(id).directory, "metadata.json"), "utf8"),
    ) as InstanceFacts;
  }

  /** The newest output of its console, `maxBytes` at most; nothing before its first start, and after its end. */
  async consoleTail(id: string, maxBytes: number): Promise<Buffer> {
    try {
      await using file = await open(this.files(id).console, "r");
      const { size } = await file.stat();
      const tail = Buffer.alloc(Math.min(size, maxBytes));
      const { bytesRead } = await file.read(tail, 0, tail.length, size - tail.length);
      return tail.subarray(0, bytesRead);
    } catch (thrown) {
      if ((toError(thrown) as NodeJS.ErrnoException).code === "ENOENT") {
        return Buffer.alloc(0);
      }
      throw thrown;
    }
  }

  /** Removes an instance's folder; a rename makes it disappear in one step. */
  async remove(id: string): Promise<void> {
    const { directory } = this.files(id);
    const scratch = join(this.#root, `.gone-${id}`);
    await rm(scratch, { recursive: true, force: true });
    try {
      await rename(directory, scratch);
    } catch (thrown) {
      if ((toError(thrown) as NodeJS.ErrnoException).code === "ENOENT") {
        return;
      }
      throw thrown;
    }
    await rm(scratch, { recursive: true, force: true });
  }

  /** Whether there is a complete memory image. */
  async hasMemory(id: string): Promise<boolean> {
    return (await stat(this.files(id).memory).catch(() => undefined)) !== undefined;
  }

  /** Renames a complete, flushed memory image to its final name, durably. */
  async commitMemory(id: string, shape: MachineShape): Promise<void> {
    const files = this.files(id);
    await writeFile(files.memoryShape, JSON.stringify(shape), { flush: true });
    await rename(files.partialMemory, files.memory);
    await flushDirectory(files.directory);
  }

  /** The machine that the memory image belongs to. */
  async memoryShape(id: string): Promise<MachineShape> {
    return JSON.parse(await readFile(this.files(id).memoryShape, "utf8")) as MachineShape;
  }

  /**
   * Removes the memory image durably: when this resolves, a power cut does not bring it back. Must be done before the
   * VM runs again; an old memory with a newer disk would corrupt the disk.
   */
  async discardMemory(id: string): Promise<void> {
    const files = this.files(id);
    await rm(files.memory, { force: true });
    await rm(files.partialMemory, { force: true });
    await rm(files.memoryShape, { force: true });
    await flushDirectory(files.directory);
  }
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (thrown) {
    const { code } = toError(thrown) as NodeJS.ErrnoException;
    if (code !== "EXDEV" && code !== "EPERM" && code !== "EMLINK") {
      throw thrown;
    }
    await copyFile(source, target);
  }
}

async function flushDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, "r");
  await handle.sync();
}

/** Turns "no space left" into an error that says where and what to do; other errors pass. */
export function explainDiskError(thrown: unknown, path: string): Error {
  const error = toError(thrown) as NodeJS.ErrnoException;
  if (error.code === "ENOSPC" || error.code === "EDQUOT" || /No space left on device/i.test(error.message)) {
    return new SatelliteError("DiskFull", `no space is left for ${path}; free some and try again`, {
      cause: error,
    });
  }
  return error;
}
