import { sleep, type Clock } from "../../base/clock.ts";
import type { Hypervisor, InstanceSpec, VmState, VolumeHost } from "./hypervisor.ts";

/** How long things take and what goes wrong. A test may change any field while the hypervisor is in use. */
export interface VirtualHypervisorScript {
  /** Milliseconds from launch to running. */
  launchMs: number;
  /** Milliseconds from the start of a stopped VM to running. */
  startMs: number;
  /** Milliseconds from the start of a hibernated VM to running. */
  resumeMs: number;
  stopMs: number;
  hibernateMs: number;
  terminateMs: number;
  /** Called at each hibernation; true makes the guest shut down instead of hibernating, without an error. */
  hibernationFails: (id: string) => boolean;
  /** Called at each launch and start; an error makes it fail. */
  bootFails: (id: string) => Error | undefined;
  /** Called when the console is read; what the guest has written there. */
  consoleOf: (id: string) => string;
  /** Called at each stop and hibernation without force; true makes the guest hang until it is forced off. */
  stopHangs: (id: string) => boolean;
}

/** Delays as seen with EC2 (start to running 17 s; run to running 4.8 s; stop to stopped some 23 s). */
export const EC2_LIKE_SCRIPT: Readonly<VirtualHypervisorScript> = {
  launchMs: 4_800,
  startMs: 17_000,
  resumeMs: 17_000,
  stopMs: 23_000,
  hibernateMs: 23_000,
  terminateMs: 5_000,
  hibernationFails: () => false,
  bootFails: () => undefined,
  stopHangs: () => false,
  consoleOf: () => "",
};

/** What a virtual VM is at the moment. */
export interface VirtualVm {
  readonly spec: InstanceSpec;
  readonly state: VmState;
  /** A new number for each cold boot; it survives hibernation, as the boot ID of a real guest does. */
  readonly boot: number;
}

/** VMs without a guest: each only has a state, which changes after the scripted time. */
export class VirtualHypervisor implements Hypervisor {
  readonly script: VirtualHypervisorScript;
  readonly #clock: Clock;
  readonly #vms = new Map<string, VirtualVm>();
  readonly #exitListeners: ((id: string) => void)[] = [];
  readonly #forced = new Map<string, AbortController>();
  readonly #images: ReturnType<Hypervisor["images"]>;
  #boots = 0;
  /** The instances that each volume was attached to, in order. */
  readonly volumeUsers = new Map<string, string[]>();
  readonly volumes: VolumeHost = {
    create: (volume) => {
      this.volumeUsers.set(volume, this.volumeUsers.get(volume) ?? []);
      return Promise.resolve();
    },
    attach: (volume, instance) => {
      this.volumeUsers.set(volume, [...(this.volumeUsers.get(volume) ?? []), instance]);
      return Promise.resolve();
    },
    detach: () => Promise.resolve(),
    remove: (volume) => {
      this.volumeUsers.delete(volume);
      return Promise.resolve();
    },
  };

  /** @param script delays and faults; those that are left out take no time and do not happen */
  constructor(clock: Clock, script: Partial<VirtualHypervisorScript> = {}) {
    this.#clock = clock;
    this.script = {
      ...EC2_LIKE_SCRIPT,
      launchMs: 0,
      startMs: 0,
      resumeMs: 0,
      stopMs: 0,
      hibernateMs: 0,
      terminateMs: 0,
      ...script,
    };
    this.#images = [
      { id: "ami-0077000000000000a", name: "satellites/demo/amd64-2026.01.01", architecture: "x86_64" },
      { id: "ami-0077000000000000b", name: "satellites/demo/arm64-2026.01.01", architecture: "arm64" },
    ];
  }

  async launch(spec: InstanceSpec): Promise<void> {
    await sleep(this.#clock, this.script.launchMs);
    this.#boot(spec);
  }

  async start(spec: InstanceSpec): Promise<{ readonly resumed: boolean }> {
    const resumed = this.#vms.get(spec.id)?.state === "hibernated";
    await sleep(this.#clock, resumed ? this.script.resumeMs : this.script.startMs);
    const vm = this.#vms.get(spec.id);
    if (vm?.state === "hibernated") {
      this.#failBoot(spec.id);
      this.#vms.set(spec.id, { ...vm, spec, state: "running" });
      return { resumed: true };
    }
    this.#boot(spec);
    return { resumed: false };
  }

  async stop(id: string, options: { readonly force: boolean }): Promise<void> {
    if (options.force) {
      this.#forced.get(id)?.abort();
    } else {
      await this.#shutDown(id, this.script.stopMs);
    }
    this.#set(id, "stopped");
  }

  async hibernate(id: string): Promise<{ readonly hibernated: boolean }> {
    const forced = await this.#shutDown(id, this.script.hibernateMs);
    const hibernated = !forced && !this.script.hibernationFails(id);
    this.#set(id, hibernated ? "hibernated" : "stopped");
    return { hibernated };
  }

  async terminate(id: string): Promise<void> {
    this.#forced.get(id)?.abort();
    await sleep(this.#clock, this.script.terminateMs);
    this.#vms.delete(id);
  }

  consoleTail(id: string, maxBytes: number): Promise<Buffer> {
    const all = Buffer.from(this.#vms.has(id) ? this.script.consoleOf(id) : "");
    return Promise.resolve(all.subarray(Math.max(0, all.length - maxBytes)));
  }

  state(id: string): Promise<VmState> {
    return Promise.resolve(this.#vms.get(id)?.state ?? "missing");
  }

  onExit(listener: (id: string) => void): void {
    this.#exitListeners.push(listener);
  }

  images(): ReturnType<Hypervisor["images"]> {
    return this.#images;
  }

  /** The VM; undefined when there is none. */
  vm(id: string): VirtualVm | undefined {
    return this.#vms.get(id);
  }

  /** IDs of all VMs that were not terminated. */
  ids(): string[] {
    return [...this.#vms.keys()];
  }

  /** Ends a VM without a request, as when its guest shuts down or its process dies. */
  exit(id: string): void {
    this.#set(id, "stopped");
    for (const listener of this.#exitListeners) {
      listener(id);
    }
  }

  #boot(spec: InstanceSpec): void {
    const vm = this.#vms.get(spec.id);
    if (vm?.state === "running") {
      return;
    }
    this.#failBoot(spec.id);
    this.#boots += 1;
    this.#vms.set(spec.id, { spec, state: "running", boot: this.#boots });
  }

  #failBoot(id: string): void {
    const failure = this.script.bootFails(id);
    if (failure !== undefined) {
      throw failure;
    }
  }

  /** Waits for the guest; returns whether it was forced off meanwhile. */
  async #shutDown(id: string, durationMs: number): Promise<boolean> {
    const controller = new AbortController();
    this.#forced.set(id, controller);
    try {
      await (this.script.stopHangs(id)
        ? aborted(controller.signal)
        : sleep(this.#clock, durationMs, controller.signal));
    } catch (error) {
      if (!controller.signal.aborted) {
        throw error;
      }
    } finally {
      if (this.#forced.get(id) === controller) {
        this.#forced.delete(id);
      }
    }
    return controller.signal.aborted;
  }

  #set(id: string, state: VmState): void {
    const vm = this.#vms.get(id);
    if (vm !== undefined) {
      this.#vms.set(id, { ...vm, state });
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
