import { join } from "node:path";
import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { type RunningClient, Workshop } from "../clients/builds.ts";
import { TestSystem } from "../e2e/local-system.ts";
import { ensureArchive } from "./archive.ts";
import { GuestShell } from "./guest-shell.ts";

/** A stock VM takes this long at most from nothing to its first answer, emulated and on a busy machine. */
const BOOT_PATIENCE_MS = 600_000;

/** The one-machine system with one satellite that runs BuildKit in a VM, and clients of it. */
export class Builder {
  readonly system: TestSystem;
  readonly shop = new Workshop();

  private constructor(system: TestSystem) {
    this.system = system;
  }

  static async start(report: (line: string) => void): Promise<Builder> {
    const buildkitArchive = await ensureArchive(report);
    return new Builder(await TestSystem.start({ buildkitArchive, mayInstall: true, progress: report }));
  }

  /** Creates the satellite. */
  create(spec: Partial<Satellite["spec"]>): Promise<Satellite> {
    return this.system.create(BUILDKIT_SATELLITE, { className: "buildkit", ...spec });
  }

  patch(spec: Partial<Satellite["spec"]>): Promise<Satellite> {
    return this.system.patch(BUILDKIT_SATELLITE, spec);
  }

  /** Runs buildctl at the router. */
  buildctl(...args: readonly string[]): RunningClient {
    return this.shop.run("buildctl", [`--addr=tcp://${this.system.system.routerAddress}`, ...args]);
  }

  /** `buildctl build` of a context into a folder, with the cache that BuildKit has. */
  build(context: string, result: string, ...more: readonly string[]): RunningClient {
    return this.buildctl(
      "build",
      "--progress=plain",
      "--frontend=dockerfile.v0",
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      `--output=type=local,dest=${result}`,
      ...more,
    );
  }

  /** Waits until the satellite is as wished. */
  until(what: string, holds: (satellite: Satellite) => boolean): Promise<Satellite> {
    return this.system.until(BUILDKIT_SATELLITE, what, holds, {
      timeoutMs: BOOT_PATIENCE_MS,
    });
  }

  /** Waits until it sleeps. @throws Error when it sleeps in another way */
  async asleep(kind: "Hibernated" | "Stopped"): Promise<void> {
    const { status } = await this.until("sleep", ({ status: { phase } }) => phase === "Asleep");
    if (status.sleep?.kind !== kind) {
      throw new Error(`it should be ${kind}, but status.sleep is ${JSON.stringify(status.sleep)}`);
    }
  }

  /** The one VM that it ever had, from within. */
  async shell(): Promise<GuestShell> {
    const { id } = await this.system.onlyInstance(BUILDKIT_SATELLITE);
    return new GuestShell(join(this.system.stateDir, "ec2/vms", id, "agent.sock"));
  }

  async close(): Promise<void> {
    await this.shop.close();
    await this.system.destroy();
  }
}
