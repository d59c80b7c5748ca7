import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import type { GuestImage } from "../../../src/local/qemu/image.ts";
import { explainDiskError, InstanceStore } from "../../../src/local/qemu/instance-store.ts";

const SHAPE = {
  machine: "m",
  accelerator: "tcg" as const,
  qemuVersion: "7",
  vcpus: 1,
  memoryMiB: 64,
  dataVolume: "none",
};

describe("the instance store", () => {
  let directory: string;
  let root: string;
  let store: InstanceStore;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "store-"));
    root = join(directory, "vms");
    writeFileSync(join(directory, "mkfs"), "#!/bin/sh\nexit 0\n");
    writeFileSync(
      join(directory, "mkfs-full"),
      "#!/bin/sh\necho 'mkfs: No space left on device' >&2; exit 1\n",
    );
    for (const name of ["vmlinuz", "initramfs", "root", "metadata"]) {
      writeFileSync(join(directory, name), name);
    }
    chmodSync(join(directory, "mkfs"), 0o755);
    chmodSync(join(directory, "mkfs-full"), 0o755);
    store = new InstanceStore(root, join(directory, "mkfs"));
    await store.open();
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const create = (target = store, rootVolume: GuestImage["rootVolume"] = "empty"): Promise<void> =>
    target.create("i-1", {
      image: {
        key: "k",
        kernel: join(directory, "vmlinuz"),
        initramfs: join(directory, "initramfs"),
        rootFilesystem: join(directory, "root"),
        rootVolume,
        metadataProgram: join(directory, "metadata"),
      },
      facts: {
        instanceId: "i-1",
        imageId: "ami-1",
        privateAddress: "127.77.0.1",
        instanceType: "t",
        zone: "z",
        region: "r",
        hostname: "h",
        tags: {},
        userData: "secret",
        architecture: "x86_64",
        pendingTime: "2026-01-01T00:00:00Z",
      },
      rootVolumeGiB: 3,
    });

  it("makes an instance whole: a sparse volume, its own link to the image, files for its owner alone", async () => {
    await create();
    const files = store.files("i-1");
    expect(await store.list()).to.deep.equal(["i-1"]);
    expect(statSync(files.disk).size).to.equal(3 * 1024 ** 3);
    expect(statSync(files.disk).blocks).to.be.lessThan(1000);
    rmSync(join(directory, "root"));
    expect(existsSync(files.rootFilesystem)).to.equal(true);
    expect(statSync(files.directory).mode & 0o077).to.equal(0);
  });

  it("begins a volume as a copy of the image where the image says so, and lets the guest grow it", async () => {
    writeFileSync(join(directory, "root"), "a file system");
    await create(store, "copy");
    const files = store.files("i-1");
    expect(existsSync(files.rootFilesystem)).to.equal(false);
    expect(statSync(files.disk).size).to.equal(3 * 1024 ** 3);
    await using disk = await open(files.disk, "r+");
    const { buffer } = await disk.read(Buffer.alloc(14), 0, 14, 0);
    expect(buffer.toString()).to.equal("a file system\0");
    await disk.write("changed", 0);
    expect(readFileSync(join(directory, "root"), "utf8"), "it is the image's no more").to.equal(
      "a file system",
    );
  });

  it("leaves nothing behind when the disk is full, and says so", async () => {
    const full = new InstanceStore(root, join(directory, "mkfs-full"));
    const failure = await create(full).catch((error: unknown) => error);
    expect(failure).to.include({ code: "DiskFull" });
    expect(readdirSync(root)).to.deep.equal([]);
  });

  it("clears what a crash left half-made or half-removed", async () => {
    mkdirSync(join(root, ".new-i-2"));
    mkdirSync(join(root, ".gone-i-3"));
    await store.open();
    expect(readdirSync(root)).to.deep.equal([]);
  });

  it("has a memory image only once it is committed, and none after it is discarded", async () => {
    await create();
    writeFileSync(store.files("i-1").partialMemory, "memory");
    expect(await store.hasMemory("i-1")).to.equal(false);
    await store.commitMemory("i-1", SHAPE);
    expect(await store.hasMemory("i-1")).to.equal(true);
    expect(await store.memoryShape("i-1")).to.deep.equal(SHAPE);
    await store.discardMemory("i-1");
    expect(await store.hasMemory("i-1")).to.equal(false);
    expect(
      readdirSync(store.files("i-1").directory).filter((name) => name.startsWith("memory")),
    ).to.deep.equal([]);
  });

  it("shows the newest output of a console, and nothing where there is none", async () => {
    expect(await store.consoleTail("i-1", 10)).to.have.length(0);
    await create();
    writeFileSync(store.files("i-1").console, "0123456789");
    expect((await store.consoleTail("i-1", 4)).toString()).to.equal("6789");
    expect((await store.consoleTail("i-1", 64)).toString()).to.equal("0123456789");
  });

  it("removes an instance, also one that is not there", async () => {
    await create();
    await store.remove("i-1");
    await store.remove("i-1");
    expect(await store.exists("i-1")).to.equal(false);
    expect(readdirSync(root)).to.deep.equal([]);
  });

  it("refuses IDs that are none, and folders too deep for sockets", () => {
    expect(() => store.files("../etc"))
      .to.throw()
      .with.property("code", "InvalidInstanceId");
    expect(() => new InstanceStore(`/${"d".repeat(100)}`, "mkfs").files("i-1"))
      .to.throw()
      .with.property("code", "StatePathTooLong");
  });

  it("explains a full disk by its error code, and hands other errors on", () => {
    const full = Object.assign(new Error("write"), { code: "ENOSPC" });
    expect(explainDiskError(full, "/x")).to.include({ code: "DiskFull" });
    const other = new Error("other");
    expect(explainDiskError(other, "/x")).to.equal(other);
  });
});
