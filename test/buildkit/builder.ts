import { join } from "node:path";
import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import { SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { type RunningClient, Workshop } from "../clients/builds.ts";
import { TestSystem } from "../e2e/local-system.ts";
import { ensureArchive } from "./archive.ts";
import { GuestShell } from "./guest-shell.ts";

/** A stock VM takes this long at most from nothing to its first answer, emulated and on a busy machine. */
const BOOT_PATIENCE_MS = 1_200_000;

const BUILDKIT_CLASS = "buildkit";

/** The one-machine system with one satellite that runs BuildKit in a VM, and clients of it. */
export class Builder {
  readonly system: TestSystem;
  readonly shop = new Workshop();

  private constructor(system: TestSystem) {
    this.system = system;
  }

  static async start(
    report: (line: string) => void,
    options: { readonly accessControl?: boolean } = {},
  ): Promise<Builder> {
    const buildkitArchive = await ensureArchive(report);
    return new Builder(
      await TestSystem.start({ ...options, buildkitArchive, mayInstall: true, progress: report }),
    );
  }

  /** Creates the satellite. */
  create(spec: Partial<Satellite["spec"]>): Promise<Satellite> {
    return this.system.create(BUILDKIT_SATELLITE, { className: BUILDKIT_CLASS, ...spec });
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

  /** The VM that a satellite has now, from within. @throws Error when it has none */
  shell(satellite = BUILDKIT_SATELLITE): GuestShell {
    const id = this.system.find(satellite)?.status.machine?.id;
    if (id === undefined) {
      throw new Error(`${satellite} has no machine`);
    }
    return new GuestShell(join(this.system.stateDir, "ec2/vms", id, "agent.sock"));
  }

  /** Changes the class that satellites here are of, for those that are launched from now on. */
  async patchClass(spec: Record<string, unknown>): Promise<void> {
    await this.system.client.patch(
      SATELLITE_CLASSES,
      { name: BUILDKIT_CLASS },
      { type: "merge", body: { spec } },
    );
  }

  async close(): Promise<void> {
    await this.shop.close();
    await this.system.destroy();
  }
}
