import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, type Clock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { processGroupConfinement } from "../guest/confinement.ts";
import { guestIdentity } from "../guest/identity.ts";
import { loadGuestSchema } from "../guest/schema.ts";
import { startGuestServer, type GuestServer } from "../guest/server.ts";
import type { Hypervisor, InstanceSpec, VmState } from "../local/ec2/hypervisor.ts";
import { KeyedLock } from "../local/qemu/keyed-lock.ts";

/** What {@link VirtualVms} needs. */
export interface VirtualVmsOptions {
  /** Folder for the VMs' states and the commands' files. */
  readonly directory: string;
  /** Image whose guests serve plain text. */
  readonly image: string;
  /** Image whose guests serve TLS. */
  readonly tlsImage: string;
  /** Milliseconds that each change of state takes. */
  readonly delayMs: number;
  readonly clock: Clock;
}

/** What is kept of a VM when this process ends, so that it is found again as it was. */
interface VmRecord {
  readonly spec: InstanceSpec;
  readonly state: Exclude<VmState, "missing">;
  /** New with each cold boot; kept over hibernation, as a kernel's boot ID is. */
  readonly bootID: string;
}

const GUEST_PORT = 8372;
/** The user and group "nobody" of Debian. */
const NOBODY = 65_534;

/**
 * VMs without virtualization: each is a guest service inside this process, at its instance's own address, so that
 * everything up to the guest's port is real. Commands run on this machine, as "nobody" where this process is
 * root. For tests, and for machines without QEMU; a guest can read every file of this machine that others may read.
 *
 * The state of a VM is in its file. A change of state that is interrupted has not happened. A VM that ran is served
 * again, with the same boot ID, when the folder is opened again; only its streams are lost.
 */
export class VirtualVms implements Hypervisor {
  readonly #options: VirtualVmsOptions;
  readonly #schema = loadGuestSchema();
  readonly #lock = new KeyedLock();
  readonly #guests = new Map<string, GuestServer>();

  private constructor(options: VirtualVmsOptions) {
    this.#options = options;
  }

  /** Opens the folder and serves the guests that ran. */
  static async open(options: VirtualVmsOptions): Promise<VirtualVms> {
    mkdirSync(join(options.directory, "work"), { recursive: true });
    const vms = new VirtualVms(options);
    for (const record of vms.#records()) {
      if (record.state === "running") {
        await vms.#serve(record);
      }
    }
    return vms;
  }

  launch(spec: InstanceSpec): Promise<void> {
    return this.#lock.run(spec.id, async () => {
      if (this.#find(spec.id) === undefined) {
        await this.#boot(spec);
      }
    });
  }

  start(spec: InstanceSpec): Promise<{ readonly resumed: boolean }> {
    return this.#lock.run(spec.id, async () => {
      const known = this.#find(spec.id);
      if (known?.state === "running") {
        return { resumed: false };
      }
      if (known?.state === "hibernated") {
        await this.#takeTime();
        await this.#run({ ...known, spec });
        return { resumed: true };
      }
      await this.#boot(spec);
      return { resumed: false };
    });
  }

  stop(id: string, { force }: { readonly force: boolean }): Promise<void> {
    return this.#lock.run(id, async () => {
      if (!force) {
        await this.#takeTime();
      }
      await this.#end(id, "stopped");
    });
  }

  hibernate(id: string): Promise<{ readonly hibernated: boolean }> {
    return this.#lock.run(id, async () => {
      await this.#takeTime();
      await this.#end(id, "hibernated");
      return { hibernated: this.#find(id)?.state === "hibernated" };
    });
  }

  terminate(id: string): Promise<void> {
    return this.#lock.run(id, async () => {
      await this.#takeTime();
      await this.#end(id, "stopped");
      rmSync(this.#file(id), { force: true });
      rmSync(this.#identityDirectory(id), { force: true, recursive: true });
    });
  }

  /** Virtual VMs have no console. */
  consoleTail(): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(0));
  }

  state(id: string): Promise<VmState> {
    return Promise.resolve(this.#find(id)?.state ?? "missing");
  }

  /** Virtual VMs never end by themselves. */
  onExit(): void {}

  images(): ReturnType<Hypervisor["images"]> {
    const { image, tlsImage } = this.#options;
    return [
      { id: image, name: "satellites-virtual", architecture: "x86_64" },
      { id: tlsImage, name: "satellites-virtual-tls", architecture: "x86_64" },
    ];
  }

  /** Ends all guests; they are served again when the folder is opened again. */
  async close(): Promise<void> {
    await Promise.all([...this.#guests.values()].map((guest) => guest.close(0)));
    this.#guests.clear();
  }

  #takeTime(): Promise<void> {
    return sleep(this.#options.clock, this.#options.delayMs);
  }

  async #boot(spec: InstanceSpec): Promise<void> {
    await this.#takeTime();
    await this.#run({ spec, state: "running", bootID: randomUUID() });
  }

  async #run(record: VmRecord): Promise<void> {
    await this.#serve(record);
    this.#save({ ...record, state: "running" });
  }

  async #end(id: string, state: "hibernated" | "stopped"): Promise<void> {
    const record = this.#find(id);
    if (record?.state === "running") {
      await this.#guests.get(id)?.close(0);
      this.#guests.delete(id);
    }
    if (record?.state === "running" || (record?.state === "hibernated" && state === "stopped")) {
      this.#save({ ...record, state });
    }
  }

  async #serve({ spec, bootID }: VmRecord): Promise<void> {
    const workDirectory = join(this.#options.directory, "work");
    const isRoot = process.getuid?.() === 0;
    const guest = await startGuestServer({
      schema: this.#schema,
      clock: this.#options.clock,
      address: `${spec.privateAddress}:${GUEST_PORT}`,
      bootID,
      workDirectory,
      baseEnv: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: workDirectory, LANG: "C.UTF-8" },
      confinement: processGroupConfinement,
      ...(spec.image === this.#options.tlsImage
        ? { identity: guestIdentity(this.#identityDirectory(spec.id), spec.id) }
        : {}),
      ...(isRoot ? { user: { uid: NOBODY, gid: NOBODY } } : {}),
    });
    this.#guests.set(spec.id, guest);
  }

  /** What TLS needs of a VM's disk. */
  #identityDirectory(id: string): string {
    return join(this.#options.directory, "identities", id);
  }

  #file(id: string): string {
    return join(this.#options.directory, `${id}.json`);
  }

  #records(): VmRecord[] {
    return readdirSync(this.#options.directory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => this.#find(name.slice(0, -".json".length)))
      .filter((record) => record !== undefined);
  }

  #find(id: string): VmRecord | undefined {
    let text: string;
    try {
      text = readFileSync(this.#file(id), "utf8");
    } catch (error) {
      if (error instanceof Error && Reflect.get(error, "code") === "ENOENT") {
        return undefined;
      }
      throw new SatelliteError("VmStateUnreadable", `cannot read ${this.#file(id)}`, { cause: error });
    }
    return JSON.parse(text) as VmRecord;
  }

  #save(record: VmRecord): void {
    const file = this.#file(record.spec.id);
    writeFileSync(`${file}.new`, JSON.stringify(record));
    renameSync(`${file}.new`, file);
  }
}
