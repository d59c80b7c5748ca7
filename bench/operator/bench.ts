import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import {
  addSleepers,
  countInPhase,
  createSatellite,
  readSatellite,
  startCluster,
  SYSTEM_NAMESPACE,
  wish,
} from "./cluster.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { Figures } from "./figures.ts";
import { startFleet, type Fleet } from "./fleet.ts";
import { MeasuredOperator } from "./operator-process.ts";
import { printTable } from "./report.ts";

/**
 * Measures the operator, as it is bundled for production, with fleets of growing size on kube-apiserver and an EC2
 * endpoint that keeps EC2's documented limits:
 *
 *   node bench/operator/bench.ts [--sizes 100,1000,10000] [--rest-seconds 120] [--cpu-prof DIRECTORY]
 *
 * It judges nothing: it prints the figures with the targets beside them and writes bench/results/operator.json.
 */
const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "100,1000,10000" },
    "rest-seconds": { type: "string", default: "120" },
    "cpu-prof": { type: "string" },
  },
});
const sizes = values.sizes.split(",").map(Number);
// Two periods of the list of all machines, so that no window misses one.
const restSeconds = Number(values["rest-seconds"]);

const ROOT = join(import.meta.dirname, "../..");
const RESULTS = join(ROOT, "bench/results");
/**
 * As in a container of the chart's 512 MiB: half of it for old objects, which Node.js takes by itself there, and the
 * image's own option for new ones. On a large machine Node.js lets garbage lie until it has four gigabytes.
 */
const HEAP = ["--max-old-space-size=256", "--max-semi-space-size=8"];
const MAX_WAKES = 1000;
const PATIENCE = { timeoutMs: 600_000, pollMs: 250 };

/** What the operator says of itself must be so. */
function expectEqual(actual: number, expected: number): void {
  if (actual !== expected) {
    throw new Error(`${actual} satellites run at the API server, and ${expected} in the operator's metrics`);
  }
}

/** CPU time that all processes of the machine have used so far. */
function busySeconds(): number {
  return os
    .cpus()
    .reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) / 1000, 0);
}

function countByAction(fleet: Fleet): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { action } of fleet.log.calls()) {
    counts[action] = (counts[action] ?? 0) + 1;
  }
  return counts;
}

async function atRest(operator: MeasuredOperator, fleet: Fleet): Promise<Figures["rest"]> {
  const before = { usage: operator.usage(), metrics: await operator.metrics() };
  fleet.log.clear();
  await delay(restSeconds * 1000);
  const after = { usage: operator.usage(), metrics: await operator.metrics() };
  const requests = (each: typeof before): number => each.metrics.sum("rest_client_requests_total");
  return {
    rssMiB: after.usage.rssMiB,
    cpuPercent: ((after.usage.cpuSeconds - before.usage.cpuSeconds) / restSeconds) * 100,
    apiRequestsPerMinute: ((requests(after) - requests(before)) / restSeconds) * 60,
    ec2CallsPerMinute: (fleet.log.calls().length / restSeconds) * 60,
  };
}

async function measure(satellites: number, program: readonly string[]): Promise<Figures> {
  const directory = mkdtempSync(join(os.tmpdir(), "satellites-bench-"));
  const fleet = await startFleet();
  const server = await startCluster();
  const operators: MeasuredOperator[] = [];
  const startOperator = async (ec2Url: string): Promise<MeasuredOperator> => {
    const options = ["--kubeconfig", server.adminKubeconfig, "--namespace", SYSTEM_NAMESPACE];
    const args = [...program, "operator", ...options, "--ec2-endpoint", ec2Url, "--log-level", "warn"];
    const operator = await MeasuredOperator.start(args, join(directory, "operator.log"));
    operators.push(operator);
    return operator;
  };
  try {
    const preparing = await startOperator(fleet.openUrl);
    await preparing.untilSynced();
    await createSatellite(server.admin, fleet.guestPort);
    const phaseIs = (phase: string) => async (): Promise<boolean> =>
      (await readSatellite(server.admin, 0)).status?.phase === phase;
    await eventually("the first satellite runs", phaseIs("Running"), PATIENCE);
    await wish(server.admin, 1, "off");
    await eventually("the first satellite sleeps", phaseIs("Asleep"), PATIENCE);
    await preparing.process.stop("SIGTERM");
    await addSleepers(server.admin, fleet, satellites);
    fleet.slowDown();

    const operator = await startOperator(fleet.limitedUrl);
    const syncedSeconds = await operator.untilSynced();
    const reconciledSeconds = await operator.untilReconciled(satellites);
    const start = operator.usage();
    const rest = await atRest(operator, fleet);

    const woken = Math.min(MAX_WAKES, satellites);
    const before = { usage: operator.usage(), metrics: await operator.metrics() };
    fleet.log.clear();
    const machine = busySeconds();
    const startedMs = performance.now();
    await wish(server.admin, woken, "on");
    // Asked of the operator: 10,000 satellites listed again and again would keep the API server from its work.
    const running = async (): Promise<number> =>
      (await operator.metrics()).sum("satellites_phase", 'phase="Running"');
    await eventually("all woken satellites run", async () => (await running()) >= woken, PATIENCE);
    const seconds = (performance.now() - startedMs) / 1000;
    const machineBusyPercent = ((busySeconds() - machine) / seconds / os.cpus().length) * 100;
    expectEqual(await countInPhase(server.admin, "Running"), woken);
    const after = { usage: operator.usage(), metrics: await operator.metrics() };
    const requests = (each: typeof before): number => each.metrics.sum("rest_client_requests_total");
    const ec2Calls = countByAction(fleet);
    return {
      satellites,
      syncedSeconds,
      reconciledSeconds,
      reconcilesPerSecond: satellites / Math.max(0.001, reconciledSeconds - syncedSeconds),
      startCpuMsPerSatellite: (start.cpuSeconds * 1000) / satellites,
      peakRssMiB: start.peakRssMiB,
      rest,
      wake: {
        satellites: woken,
        seconds,
        machineBusyPercent,
        startInstancesCalls: ec2Calls["StartInstances"] ?? 0,
        ec2Calls,
        throttledCalls: fleet.log.calls().filter(({ outcome }) => outcome === "RequestLimitExceeded").length,
        apiRequestsPerSatellite: (requests(after) - requests(before)) / woken,
        cpuMsPerSatellite: ((after.usage.cpuSeconds - before.usage.cpuSeconds) * 1000) / woken,
        peakRssMiB: after.usage.peakRssMiB,
      },
    };
  } catch (error) {
    console.error(operators.at(-1)?.process.logTail());
    throw error;
  } finally {
    await Promise.all(operators.map((operator) => operator.process.stop("SIGTERM")));
    await server.stop();
    await fleet.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Bundles the product as its image does; returns how to run it. */
function bundle(directory: string): string[] {
  execFileSync(process.execPath, [join(ROOT, "build/bundle.ts"), directory], { stdio: "inherit" });
  const profile =
    values["cpu-prof"] === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values["cpu-prof"]}`];
  return [...profile, ...HEAP, join(directory, "satellites.mjs")];
}

const built = mkdtempSync(join(os.tmpdir(), "satellites-bundle-"));
try {
  const program = bundle(join(built, "dist"));
  const figures: Figures[] = [];
  for (const size of sizes) {
    console.error(`measuring ${size} satellites`);
    figures.push(await measure(size, program));
  }
  printTable(figures);
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: ROOT,
    encoding: "utf8",
  }).trim();
  const machine = { cpus: os.cpus().length, model: os.cpus()[0]?.model, memoryGiB: os.totalmem() / 2 ** 30 };
  const versions = { node: process.version, kernel: os.release(), commit };
  mkdirSync(RESULTS, { recursive: true });
  const result = { measuredAt: new Date().toISOString(), machine, versions, restSeconds, figures };
  writeFileSync(join(RESULTS, "operator.json"), `${JSON.stringify(result, null, 2)}\n`);
} finally {
  rmSync(built, { recursive: true, force: true });
}
