import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Hypervisor, InstanceSpec, VmState } from "../ec2/hypervisor.ts";
import { type Accelerator, chooseAccelerator, probeMachine } from "./accelerator.ts";
import { DEFAULT_PORTS, MACHINE, qemuArguments } from "./command-line.ts";
import { DataVolumes } from "./data-volumes.ts";
import type { GuestImage } from "./image.ts";
import { explainDiskError, InstanceStore } from "./instance-store.ts";
import type { MachineShape } from "./machine-shape.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { tryKvmBoot } from "./kvm-trial.ts";
import { loadMemory, saveMemory } from "./memory-image.ts";
import type { InstanceFacts } from "./metadata-service.ts";
import type { ToolPaths } from "./prerequisites.ts";
import { runTool } from "./run-tool.ts";
import { Vm } from "./vm.ts";
import { startQemu } from "./vm-process.ts";

/** An image that instances name by its ID. */
export interface BootableImage {
  /** As EC2 writes it, "ami-…". */
  readonly id: string;
  readonly name: string;
  readonly files: GuestImage;
}

/** What the hypervisor needs. */
export interface QemuHypervisorOptions {
  /** Absolute folder for disks, memory images, sockets and pidfiles; data volumes are in `volumes` below it. */
  readonly stateDirectory: string;
  readonly images: readonly BootableImage[];
  readonly tools: ToolPaths;
  /** The Node.js executable that serves the metadata. */
  readonly nodePath: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** TCP ports that appear on an instance's address. Default: that of the guest service. */
  readonly ports?: readonly number[];
  /** Milliseconds that a guest gets to shut down before its VM is ended. Default 20 s. */
  readonly shutdownTimeoutMs?: number;
  /** Used without probing the machine. */
  readonly accelerator?: Accelerator;
}

const DEFAULT_SHUTDOWN_TIMEOUT_MS = 20_000;

/** QEMU's version, and the accelerator that it uses. */
interface Emulator {
  readonly accelerator: Accelerator;
  readonly version: string;
}

/**
 * Runs instances as QEMU processes of their own, which outlive this one.
 *
 * Disk and memory must match, so `memory.img` exists only while the VM does not run. It is written under another
 * name, flushed and renamed before QEMU ends; it is loaded into a paused VM and removed before that continues. So a
 * `memory.img` that is there after a crash, at any point, may be resumed.
 */
export class QemuHypervisor implements Hypervisor {
  readonly volumes: DataVolumes;
  readonly #options: QemuHypervisorOptions;
  readonly #store: InstanceStore;
  readonly #emulator: Emulator;
  readonly #lock = new KeyedLock();
  readonly #vms = new Map<string, Vm>();
  readonly #exitListeners = new Set<(id: string) => void>();

  private constructor(options: QemuHypervisorOptions, store: InstanceStore, emulator: Emulator) {
    this.#options = options;
    this.#store = store;
    this.#emulator = emulator;
    this.volumes = new DataVolumes({
      directory: join(options.stateDirectory, "volumes"),
      store,
      exclusively: (instance, task) => this.#lock.run(instance, task),
      monitorOf: (instance) => this.#vms.get(instance)?.qmp,
    });
  }

  /**
   * Opens the state folder and takes over the VMs that run already.
   *
   * @throws SatelliteError `NoImage` without an image, `ToolFailed` when QEMU can't tell its version,
   *   `QmpUnreachable` when another process already holds a VM
   */
  static async open(options: QemuHypervisorOptions): Promise<QemuHypervisor> {
    const [image] = options.images;
    if (image === undefined) {
      throw new SatelliteError("NoImage", "the hypervisor was given no image to boot");
    }
    const qemu = qemuProgram(options.tools);
    const version = /version (\S+)/.exec(await runTool(qemu, ["--version"]))?.[1] ?? "unknown";
    const accelerator =
      options.accelerator ??
      (await chooseAccelerator(await probeMachine(() => tryKvmBoot(qemu, image.files))));
    const store = new InstanceStore(options.stateDirectory, options.tools["mkfs.ext4"] ?? "mkfs.ext4");
    await store.open();
    const hypervisor = new QemuHypervisor(options, store, { accelerator, version });
    for (const id of await store.list()) {
      await hypervisor.#takeOver(id);
    }
    return hypervisor;
  }

  /** How this machine runs guests. */
  get accelerator(): Accelerator {
    return this.#emulator.accelerator;
  }

  launch(spec: InstanceSpec): Promise<void> {
    return this.#lock.run(spec.id, async () => {
      if (!(await this.#store.exists(spec.id))) {
        await this.#store.create(spec.id, {
          image: this.#image(spec.image).files,
          facts: this.#facts(spec, this.#options.clock.now().toISOString()),
          rootVolumeGiB: spec.rootVolumeGiB,
        });
      }
      if (!this.#vms.has(spec.id) && !(await this.#store.hasMemory(spec.id))) {
        await this.#boot(spec);
      }
    });
  }

  start(spec: InstanceSpec): Promise<{ readonly resumed: boolean }> {
    return this.#lock.run(spec.id, async () => {
      await this.#requireInstance(spec.id);
      if (this.#vms.has(spec.id)) {
        return { resumed: false };
      }
      const { pendingTime } = await this.#store.readFacts(spec.id);
      await this.#store.writeFacts(spec.id, this.#facts(spec, pendingTime));
      if ((await this.#store.hasMemory(spec.id)) && (await this.#resume(spec))) {
        return { resumed: true };
      }
      await this.#boot(spec);
      return { resumed: false };
    });
  }

  stop(id: string, { force }: { readonly force: boolean }): Promise<void> {
    return this.#lock.run(id, async () => {
      const vm = this.#vms.get(id);
      if (vm === undefined) {
        if (force && (await this.#store.hasMemory(id))) {
          await this.#store.discardMemory(id);
        }
        return;
      }
      const timeoutMs = this.#options.shutdownTimeoutMs ?? DEFAULT_SHUTDOWN_TIMEOUT_MS;
      if (force || !(await vm.shutDown(timeoutMs))) {
        await vm.end();
      }
      this.#forget(id, vm);
    });
  }

  hibernate(id: string): Promise<{ readonly hibernated: boolean }> {
    return this.#lock.run(id, async () => {
      const vm = this.#vms.get(id);
      if (vm === undefined) {
        return { hibernated: await this.#store.hasMemory(id) };
      }
      await vm.qmp.execute("stop");
      try {
        const sizeBytes = await saveMemory(vm.qmp, vm.files);
        await this.#store.commitMemory(id, await this.#shapeOf(id, vm));
        this.#options.logger.info("saved the VM's memory", { instance: id, sizeBytes });
      } catch (thrown) {
        // Nothing is lost: the VM continues.
        await this.#store.discardMemory(id);
        await vm.continueWithTime();
        throw explainDiskError(thrown, vm.files.directory);
      }
      await vm.end();
      this.#forget(id, vm);
      return { hibernated: true };
    });
  }

  terminate(id: string): Promise<void> {
    return this.#lock.run(id, async () => {
      const vm = this.#vms.get(id);
      if (vm !== undefined) {
        await vm.end();
        this.#forget(id, vm);
      }
      await this.#store.remove(id);
    });
  }

  consoleTail(id: string, maxBytes: number): Promise<Buffer> {
    return this.#store.consoleTail(id, maxBytes);
  }

  async state(id: string): Promise<VmState> {
    if (this.#vms.has(id)) {
      return "running";
    }
    if (!(await this.#store.exists(id))) {
      return "missing";
    }
    return (await this.#store.hasMemory(id)) ? "hibernated" : "stopped";
  }

  onExit(listener: (id: string) => void): void {
    this.#exitListeners.add(listener);
  }

  images(): readonly { readonly id: string; readonly name: string; readonly architecture: "x86_64" }[] {
    return this.#options.images.map(({ id, name }) => ({ id, name, architecture: "x86_64" }));
  }

  /** Closes the connections to all VMs, which keep running; another hypervisor may then open the folder. */
  close(): void {
    for (const [id, vm] of this.#vms) {
      vm.ending = true;
      vm.qmp.close();
      this.#vms.delete(id);
    }
  }

  /** Takes over a VM that runs already, and finishes what a crash may have interrupted; the class comment says why each step is safe. */
  async #takeOver(id: string): Promise<void> {
    const vm = await Vm.attach(this.#store.files(id), this.#options);
    if (vm === undefined) {
      return;
    }
    const status = await vm.status();
    if (await this.#store.hasMemory(id)) {
      // The VM has not run since the image was made: either it was about to quit, or about to load it.
      this.#options.logger.info("ended a VM whose memory is safe on disk", { instance: id, status });
      await vm.end();
      return;
    }
    if (status !== "running") {
      // Its memory is only in the QEMU process: a hibernation or a resume was interrupted. It continues.
      this.#options.logger.info("continued a VM that was left paused", { instance: id, status });
      await this.#store.discardMemory(id);
      await vm.continueWithTime();
    }
    this.#watch(id, vm);
  }

  async #boot(spec: InstanceSpec): Promise<void> {
    await this.#store.discardMemory(spec.id);
    this.#watch(spec.id, await this.#spawn(spec, false));
  }

  /** @returns false when the memory image can't be used; it is then void */
  async #resume(spec: InstanceSpec): Promise<boolean> {
    const { logger } = this.#options;
    const [saved, wanted] = [await this.#store.memoryShape(spec.id), await this.#shape(spec.id, spec)];
    if (JSON.stringify(saved) !== JSON.stringify(wanted)) {
      logger.warn("the memory image belongs to another machine; booting instead", {
        instance: spec.id,
        saved,
        wanted,
      });
      return false;
    }
    const vm = await this.#spawn(spec, true);
    try {
      await loadMemory(vm.qmp, vm.files);
    } catch (thrown) {
      logger.warn("the memory image could not be loaded; booting instead", {
        instance: spec.id,
        error: toError(thrown),
      });
      await vm.end();
      return false;
    }
    try {
      await vm.forwardPorts(spec.privateAddress, this.#options.ports ?? DEFAULT_PORTS);
    } catch (thrown) {
      await vm.end();
      throw thrown;
    }
    await this.#store.discardMemory(spec.id);
    await vm.continueWithTime();
    this.#watch(spec.id, vm);
    return true;
  }

  async #spawn(spec: InstanceSpec, incoming: boolean): Promise<Vm> {
    const files = this.#store.files(spec.id);
    const { rootVolume, served } = this.#image(spec.image).files;
    const dataVolume = await this.#store.dataVolume(spec.id);
    const args = qemuArguments({
      id: spec.id,
      shape: await this.#shape(spec.id, spec),
      address: spec.privateAddress,
      ports: this.#options.ports ?? DEFAULT_PORTS,
      files,
      rootVolume,
      ...(dataVolume === undefined ? {} : { dataVolume: this.volumes.file(dataVolume) }),
      metadataCommand: [this.#options.nodePath, files.metadataProgram, files.directory],
      ...(served === undefined ? {} : { fileCommand: [this.#options.nodePath, served.program, served.file] }),
      incoming,
    });
    await startQemu(qemuProgram(this.#options.tools), args, spec.privateAddress);
    const vm = await Vm.attach(files, this.#options);
    if (vm === undefined) {
      throw new SatelliteError("QemuFailed", `the VM of ${spec.id} ended at once; see ${files.console}`);
    }
    return vm;
  }

  /** From now on `vm` is the instance's VM, until it ends. */
  #watch(id: string, vm: Vm): void {
    this.#vms.set(id, vm);
    void this.#reportEnd(id, vm);
  }

  async #reportEnd(id: string, vm: Vm): Promise<void> {
    await vm.qmp.closed;
    if (!vm.ending) {
      this.#forget(id, vm);
      this.#options.logger.warn("a VM ended without having been asked to", { instance: id });
      this.#exitListeners.forEach((listener) => listener(id));
    }
  }

  #forget(id: string, vm: Vm): void {
    vm.qmp.close();
    if (this.#vms.get(id) === vm) {
      this.#vms.delete(id);
    }
  }

  async #shape(
    id: string,
    { vcpus, memoryMiB }: Pick<InstanceSpec, "vcpus" | "memoryMiB">,
  ): Promise<MachineShape> {
    const { accelerator, version } = this.#emulator;
    const dataVolume = (await this.#store.dataVolume(id)) ?? "none";
    return { machine: MACHINE, accelerator, qemuVersion: version, vcpus, memoryMiB, dataVolume };
  }

  /** The machine of a running VM, asked from QEMU itself: it may have been started by another process. */
  async #shapeOf(id: string, vm: Vm): Promise<MachineShape> {
    const cpus = (await vm.qmp.execute("query-cpus-fast")) as readonly object[];
    const memory = (await vm.qmp.execute("query-memory-size-summary")) as { readonly "base-memory": number };
    return this.#shape(id, { vcpus: cpus.length, memoryMiB: memory["base-memory"] / 1024 ** 2 });
  }

  #image(id: string): BootableImage {
    const image = this.#options.images.find((candidate) => candidate.id === id);
    if (image === undefined) {
      const known = this.#options.images.map((candidate) => candidate.id).join(", ");
      throw new SatelliteError("ImageNotFound", `there is no image ${id}; this hypervisor has ${known}`);
    }
    return image;
  }

  #facts({ metadata, ...spec }: InstanceSpec, pendingTime: string): InstanceFacts {
    return {
      ...metadata,
      instanceId: spec.id,
      imageId: spec.image,
      privateAddress: spec.privateAddress,
      userData: spec.userData,
      architecture: "x86_64",
      pendingTime,
    };
  }

  async #requireInstance(id: string): Promise<void> {
    if (!(await this.#store.exists(id))) {
      throw new SatelliteError(
        "InstanceMissing",
        `instance ${id} has no files here; it was never launched or is gone`,
      );
    }
  }
}

function qemuProgram(tools: ToolPaths): string {
  return tools["qemu-system-x86_64"] ?? "qemu-system-x86_64";
}
