import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import type { KubeApiServer } from "../../test/support/kube-apiserver.ts";
import { type Stop, stopAll } from "../../test/support/stops.ts";
import { startCluster, SYSTEM_NAMESPACE } from "./cluster.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { MeasuredOperator } from "./operator-process.ts";

const ROOT = join(import.meta.dirname, "../..");
/**
 * As in a container of the chart's 512 MiB: half of it for old objects, which Node.js takes by itself there, and the
 * image's own option for new ones. On a large machine Node.js lets garbage lie until it has four gigabytes.
 */
const heap = (mib: number): readonly string[] => [`--max-old-space-size=${mib}`, "--max-semi-space-size=8"];

/** Where an operator runs, and what it works on: a new cluster with the product's kinds, and a new EC2. */
export interface Place {
  readonly server: KubeApiServer;
  readonly fleet: Fleet;
  /**
   * Starts an operator, once those before it have ended with which it does not share the fleet.
   *
   * @param flags more of them
   */
  startOperator(flags?: readonly string[]): Promise<MeasuredOperator>;
  stop(): Promise<void>;
}

/** The product as its image has it, in a folder that `stop` removes. */
export interface Bundle {
  /** What Node.js runs: its own options, and the program. */
  readonly program: readonly string[];
  stop(): void;
}

/**
 * @param heapMiB for old objects
 * @param profileFolder gets a profile of the processor's time of each operator
 */
export function bundle(heapMiB: number, profileFolder?: string): Bundle {
  const directory = mkdtempSync(join(os.tmpdir(), "satellites-bundle-"));
  const folder = join(directory, "dist");
  execFileSync(process.execPath, [join(ROOT, "build/bundle.ts"), folder], { stdio: "inherit" });
  const profile = profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`];
  return {
    program: [...profile, ...heap(heapMiB), join(folder, "satellites.mjs")],
    stop: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Operators as processes of this machine. */
export async function startOnMachine({ program }: Bundle): Promise<Place> {
  const directory = mkdtempSync(join(os.tmpdir(), "satellites-bench-"));
  const undo: Stop[] = [() => rmSync(directory, { recursive: true, force: true })];
  const fleet = await startFleet();
  undo.push(() => fleet.stop());
  let started = 0;
  const server = await startCluster();
  undo.push(() => server.stop());
  return {
    server,
    fleet,
    async startOperator(flags = []) {
      const options = ["--kubeconfig", server.adminKubeconfig, "--namespace", SYSTEM_NAMESPACE];
      const args = [...program, "operator", ...options, "--ec2-endpoint", fleet.url, "--log-level", "warn"];
      const log = join(directory, `operator-${started++}.log`);
      const operator = await MeasuredOperator.start([...args, ...flags], log);
      undo.push(() => operator.process.stop("SIGTERM"));
      return operator;
    },
    stop: () => stopAll(undo),
  };
}
