import { createHash } from "node:crypto";
import type { Clock } from "../../src/base/clock.ts";
import type { InstanceSpec } from "../../src/local/ec2/hypervisor.ts";
import { VirtualHypervisor, type VirtualHypervisorScript } from "../../src/local/ec2/virtual-hypervisor.ts";

/** When a guest's port answers, in milliseconds after its VM runs. */
export interface GuestScript {
  bootMs: number;
  resumeMs: number;
}

/** An image that comes out in the course of a story. */
export const NEXT_IMAGE = "ami-0077000000000000c";

/** Between two attempts of a guest to install what it serves. */
const INSTALL_EVERY_MS = 5000;

/** VMs with guests in them: a port that answers a while after the boot, and a boot ID. */
export class Guests extends VirtualHypervisor {
  readonly guest: GuestScript;
  readonly #clock: Clock;
  readonly #answering = new Set<string>();
  /** What each guest has written on its console. */
  readonly #consoles = new Map<string, string>();
  readonly #broken = new Set<string>();
  /** Why guests cannot install what they serve; undefined: they can. */
  notInstallable: string | undefined;
  /** Called when a guest's port begins to answer, and when its VM is gone. */
  onChange: (id: string, isUp: boolean) => void = () => {};

  constructor(clock: Clock, script: Partial<VirtualHypervisorScript>, guest: GuestScript) {
    super(clock, { ...script, consoleOf: (id) => this.#consoles.get(id) ?? "" });
    this.#clock = clock;
    this.guest = guest;
  }

  /** Beside those of all virtual VMs, one that classes may choose later. */
  override images(): ReturnType<VirtualHypervisor["images"]> {
    return [...super.images(), { id: NEXT_IMAGE, name: "satellites/next/amd64", architecture: "x86_64" }];
  }

  override async launch(spec: InstanceSpec): Promise<void> {
    await super.launch(spec);
    this.#comesUp(spec.id, this.guest.bootMs);
  }

  override async start(spec: InstanceSpec): Promise<{ readonly resumed: boolean }> {
    const result = await super.start(spec);
    this.#comesUp(spec.id, result.resumed ? this.guest.resumeMs : this.guest.bootMs);
    return result;
  }

  override async stop(id: string, options: { readonly force: boolean }): Promise<void> {
    await super.stop(id, options);
    this.#goesDown(id);
  }

  override async hibernate(id: string): Promise<{ readonly hibernated: boolean }> {
    const result = await super.hibernate(id);
    this.#goesDown(id);
    return result;
  }

  override async terminate(id: string): Promise<void> {
    // The network of an instance that is being terminated is gone at once.
    this.#goesDown(id);
    await super.terminate(id);
  }

  /** The instance at an address, while its VM runs. */
  at(host: string): string | undefined {
    return this.ids().find((id) => {
      const vm = this.vm(id);
      return vm?.state === "running" && vm.spec.privateAddress === host;
    });
  }

  /** Whether the guest's port answers. */
  answers(id: string): boolean {
    return this.#answering.has(id);
  }

  /** The guest's port falls silent until the next boot. */
  hang(id: string): void {
    this.#goesDown(id);
  }

  /** The guest's port falls silent for ever: what is on its disk is broken. */
  breakDisk(id: string): void {
    this.#broken.add(id);
    this.#goesDown(id);
  }

  /** Fingerprint of the key that the guest made at its first boot and keeps on its disk. */
  key(id: string): string {
    return createHash("sha256").update(id).digest("hex");
  }

  bootID(id: string): string {
    return `boot-${this.vm(id)?.boot ?? 0}`;
  }

  #comesUp(id: string, afterMs: number): void {
    const boot = this.vm(id);
    this.#clock.setTimer(afterMs, () => {
      if (this.vm(id) !== boot || boot?.state !== "running" || this.#broken.has(id)) {
        return;
      }
      const failure = this.notInstallable;
      this.#say(id, failure === undefined ? "BuildKit 1.2.3 is installed" : `failed: ${failure}`);
      if (failure !== undefined) {
        this.#comesUp(id, INSTALL_EVERY_MS);
        return;
      }
      this.#answering.add(id);
      this.onChange(id, true);
    });
  }

  #say(id: string, text: string): void {
    this.#consoles.set(id, `${this.#consoles.get(id) ?? ""}satellites: ${text}\r\n`);
  }

  #goesDown(id: string): void {
    this.#answering.delete(id);
    this.onChange(id, false);
  }
}
