import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { SatelliteError } from "../../base/errors.ts";
import type { VolumeHost } from "../ec2/hypervisor.ts";
import { DATA_DEVICE, dataNode } from "./command-line.ts";
import { explainDiskError, type InstanceStore } from "./instance-store.ts";
import type { QmpClient } from "./qmp.ts";

const GIB = 1024 ** 3;
const VOLUME_ID = /^vol-[0-9a-z]+$/;

type Monitor = Pick<QmpClient, "execute">;

/** What {@link DataVolumes} needs. */
export interface DataVolumesOptions {
  /** Absolute folder for the disks. */
  readonly directory: string;
  readonly store: InstanceStore;
  /** Runs a task while nothing else happens to an instance. */
  readonly exclusively: <Result>(instance: string, task: () => Promise<Result>) => Promise<Result>;
  /** The monitor of an instance's VM; undefined while it does not run. */
  readonly monitorOf: (instance: string) => Monitor | undefined;
}

/**
 * Data volumes as sparse files beside the instances, so that they outlive these. An instance has one at most: that is the
 * place its VM has for it, filled while the VM runs or before it starts. Which one is noted in the instance's folder, and goes with
 * that.
 */
export class DataVolumes implements VolumeHost {
  readonly #options: DataVolumesOptions;

  constructor(options: DataVolumesOptions) {
    this.#options = options;
  }

  /** The file of a volume, whether it exists or not. @throws SatelliteError `InvalidVolumeId` */
  file(volume: string): string {
    if (!VOLUME_ID.test(volume)) {
      throw new SatelliteError(
        "InvalidVolumeId",
        `"${volume}" is not a volume ID; they look like vol-0123abcd`,
      );
    }
    return join(this.#options.directory, `${volume}.img`);
  }

  /** @throws SatelliteError `DiskFull` */
  async create(volume: string, sizeGiB: number): Promise<void> {
    const file = this.file(volume);
    if ((await stat(file).catch(() => undefined)) !== undefined) {
      return;
    }
    try {
      await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
      await using disk = await open(`${file}.new`, "w", 0o600);
      await disk.truncate(sizeGiB * GIB);
      await rename(`${file}.new`, file);
    } catch (thrown) {
      throw explainDiskError(thrown, file);
    }
  }

  /** @throws SatelliteError `VolumePlaceTaken` when the instance has another one, `QemuFailed` with QEMU's words */
  attach(volume: string, instance: string): Promise<void> {
    const { store, exclusively, monitorOf } = this.#options;
    return exclusively(instance, async () => {
      const has = await store.dataVolume(instance);
      if (has !== undefined && has !== volume) {
        throw new SatelliteError(
          "VolumePlaceTaken",
          `instance ${instance} has ${has}; a VM of this machine takes one data volume`,
        );
      }
      await store.setDataVolume(instance, volume);
      const monitor = monitorOf(instance);
      if (monitor !== undefined && !(await isPlugged(monitor))) {
        await monitor.execute("blockdev-add", dataNode(this.file(volume)));
        await monitor.execute("device_add", DATA_DEVICE);
      }
    });
  }

  /** @throws SatelliteError `VolumeInUse` while the VM runs, whose guest may have it mounted */
  detach(volume: string, instance: string): Promise<void> {
    const { store, exclusively, monitorOf } = this.#options;
    return exclusively(instance, async () => {
      if ((await store.dataVolume(instance)) !== volume) {
        return;
      }
      if (monitorOf(instance) !== undefined) {
        throw new SatelliteError("VolumeInUse", `the VM of ${instance} runs, and may use ${volume}`);
      }
      await store.setDataVolume(instance, undefined);
    });
  }

  async remove(volume: string): Promise<void> {
    await rm(this.file(volume), { force: true });
  }
}

/** Whether the VM has its data volume already. A disk without its device is what a crash between the two leaves. */
async function isPlugged(monitor: Monitor): Promise<boolean> {
  const disks = (await monitor.execute("query-block")) as readonly { readonly qdev?: string }[];
  if (disks.some(({ qdev }) => qdev?.split("/").includes(DATA_DEVICE.id) === true)) {
    return true;
  }
  const nodes = (await monitor.execute("query-named-block-nodes")) as readonly {
    readonly "node-name"?: string;
  }[];
  if (nodes.some((node) => node["node-name"] === DATA_DEVICE.drive)) {
    await monitor.execute("blockdev-del", { "node-name": DATA_DEVICE.drive });
  }
  return false;
}
