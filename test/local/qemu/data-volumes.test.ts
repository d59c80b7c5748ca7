import { expect } from "chai";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataVolumes } from "../../../src/local/qemu/data-volumes.ts";
import { InstanceStore } from "../../../src/local/qemu/instance-store.ts";

/** The monitor of a VM that knows its disks, and loses the connection before a command if told so. */
class Monitor {
  readonly commands: string[] = [];
  readonly nodes = new Set<string>();
  readonly devices = new Set<string>();
  failsAt: string | undefined;

  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (command === this.failsAt) {
      return Promise.reject(new Error("the connection broke"));
    }
    this.commands.push(command);
    switch (command) {
      case "blockdev-add":
        this.nodes.add(String(args["node-name"]));
        return Promise.resolve({});
      case "blockdev-del":
        this.nodes.delete(String(args["node-name"]));
        return Promise.resolve({});
      case "device_add":
        this.devices.add(String(args["id"]));
        return Promise.resolve({});
      case "query-block":
        return Promise.resolve(
          [...this.devices].map((id) => ({ qdev: `/machine/peripheral/${id}/virtio-backend` })),
        );
      default:
        return Promise.resolve([...this.nodes].map((name) => ({ "node-name": name })));
    }
  }
}

describe("data volumes of VMs", () => {
  let root: string;
  let store: InstanceStore;
  let volumes: DataVolumes;
  let running: Map<string, Monitor>;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "volumes-"));
    store = new InstanceStore(root, "mkfs.ext4");
    await store.open();
    for (const id of ["i-1", "i-2"]) {
      mkdirSync(join(root, id));
    }
    running = new Map();
    volumes = new DataVolumes({
      directory: join(root, "volumes"),
      store,
      exclusively: (_instance, task) => task(),
      monitorOf: (instance) => running.get(instance),
    });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("are sparse files, made once, that no list of instances shows", async () => {
    await volumes.create("vol-1", 3);
    const before = statSync(volumes.file("vol-1"));
    expect(before).to.include({ size: 3 * 1024 ** 3, blocks: 0 });
    await volumes.create("vol-1", 5);
    expect(statSync(volumes.file("vol-1"))).to.include({ size: before.size, ino: before.ino });
    expect(await store.list()).to.have.members(["i-1", "i-2"]);
    await volumes.remove("vol-1");
    await volumes.remove("vol-1");
    expect(existsSync(volumes.file("vol-1"))).to.equal(false);
  });

  it("are plugged into a VM that runs, once, and noted for its next start", async () => {
    const monitor = new Monitor();
    running.set("i-1", monitor);
    await volumes.attach("vol-1", "i-1");
    await volumes.attach("vol-1", "i-1");
    expect(monitor.commands.filter((command) => !command.startsWith("query"))).to.deep.equal([
      "blockdev-add",
      "device_add",
    ]);
    expect(await store.dataVolume("i-1")).to.equal("vol-1");
    expect(await store.dataVolume("i-2")).to.equal(undefined);
  });

  it("are plugged in the end where that was cut off in its midst", async () => {
    const monitor = new Monitor();
    running.set("i-1", monitor);
    for (const command of ["blockdev-add", "device_add"]) {
      monitor.failsAt = command;
      const failure: unknown = await volumes.attach("vol-1", "i-1").catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(Error);
    }
    monitor.failsAt = undefined;
    await volumes.attach("vol-1", "i-1");
    expect([...monitor.nodes], "disks").to.deep.equal(["data-volume"]);
    expect([...monitor.devices]).to.deep.equal(["data"]);
  });

  it("go from one instance to another, but not from under a guest that runs", async () => {
    running.set("i-1", new Monitor());
    await volumes.attach("vol-1", "i-1");
    const failure: unknown = await volumes.detach("vol-1", "i-1").catch((error: unknown) => error);
    expect(failure).to.include({ code: "VolumeInUse" });
    running.delete("i-1");
    await volumes.detach("vol-1", "i-1");
    await volumes.detach("vol-1", "i-1");
    expect(await store.dataVolume("i-1")).to.equal(undefined);
    await volumes.attach("vol-1", "i-2");
    expect(await store.dataVolume("i-2")).to.equal("vol-1");
  });

  it("outlive their instance", async () => {
    await volumes.create("vol-1", 1);
    await volumes.attach("vol-1", "i-1");
    await store.remove("i-1");
    await volumes.detach("vol-1", "i-1");
    expect(existsSync(volumes.file("vol-1"))).to.equal(true);
  });

  it("take the one place that a VM has for them", async () => {
    await volumes.attach("vol-1", "i-1");
    const failure: unknown = await volumes.attach("vol-2", "i-1").catch((error: unknown) => error);
    expect(failure).to.include({ code: "VolumePlaceTaken" });
  });

  it("are named by IDs alone, so that none is a file elsewhere", () => {
    expect(() => volumes.file("vol-1/../../x")).to.throw(/not a volume ID/);
  });
});
