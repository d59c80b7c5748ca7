import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { addShards, addSleepers, countInPhase, createSatellite, readSatellite, wish } from "./cluster.ts";
import { runInNode } from "../../test/cluster/inside.ts";
import { isInNode } from "../../test/cluster/node/environment.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { Figures } from "./figures.ts";
import type { Fleet } from "./fleet.ts";
import { startInCluster } from "./in-cluster.ts";
import { MeasuredOperators } from "./operator-process.ts";
import { bundle, type Place, startOnMachine } from "./place.ts";
import { usageOf } from "./process-usage.ts";
import { printTable } from "./report.ts";

/**
 * Measures the operator, as it is bundled for production, with fleets of growing size on kube-apiserver and an EC2
 * endpoint that keeps EC2's documented limits:
 *
 *   node bench/operator/bench.ts [--sizes 100,1000,10000] [--rest-seconds 120] [--shards 1] [--heap-mib 256] [--cpu-prof DIRECTORY]
 *   node bench/operator/bench.ts --in-cluster [--sizes 10000] [--rest-seconds 120] [--images FOLDER]
 *
 * The latter measures it in a pod of the chart, in a Kubernetes of two nodes on this machine (test/cluster), where "--images"
 * keeps the images from one run to the next.
 *
 * With more than one shard so many operators share each fleet: CPU time is that of all, memory that of the largest.
 *
 * It judges nothing: it prints the figures with the targets beside them and writes them to bench/results.
 */
const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "100,1000,10000" },
    "rest-seconds": { type: "string", default: "120" },
    shards: { type: "string", default: "1" },
    "heap-mib": { type: "string", default: "256" },
    "cpu-prof": { type: "string" },
    "in-cluster": { type: "boolean", default: false },
    images: { type: "string" },
  },
});
const sizes = values.sizes.split(",").map(Number);
// Two periods of the list of all machines, so that no window misses one.
const restSeconds = Number(values["rest-seconds"]);
const shards = Number(values.shards);

const ROOT = join(import.meta.dirname, "../..");
const RESULTS = join(ROOT, "bench/results");
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

async function atRest(operator: MeasuredOperators, fleet: Fleet): Promise<Figures["rest"]> {
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

async function measure(satellites: number, startPlace: () => Promise<Place>): Promise<Figures> {
  const place = await startPlace();
  const { server, fleet } = place;
  const started: MeasuredOperators[] = [];
  const start = async (...flags: readonly string[][]): Promise<MeasuredOperators> => {
    const operators = new MeasuredOperators(
      await Promise.all(flags.map((more) => place.startOperator(more))),
    );
    started.push(operators);
    return operators;
  };
  try {
    const flags = await addShards(server.admin, shards);
    const preparing = await start([]);
    await preparing.untilSynced();
    await createSatellite(server.admin, fleet.guestPort);
    const phaseIs = (phase: string) => async (): Promise<boolean> =>
      (await readSatellite(server.admin, 0)).status?.phase === phase;
    await eventually("the first satellite runs", phaseIs("Running"), PATIENCE);
    await wish(server.admin, 1, "off");
    await eventually("the first satellite sleeps", phaseIs("Asleep"), PATIENCE);
    await preparing.stop();
    await addSleepers(server.admin, fleet, satellites, shards);
    fleet.slowDown();

    const operator = await start(...flags);
    const syncedSeconds = await operator.untilSynced();
    const reconciledSeconds = await operator.untilReconciled(satellites);
    const atStart = operator.usage();
    const rest = await atRest(operator, fleet);

    const woken = Math.min(MAX_WAKES, satellites);
    const processes = (): Figures["wake"]["cpuSeconds"] => ({
      operator: operator.usage().cpuSeconds,
      apiServer: usageOf(server.process.pid).cpuSeconds,
      etcd: usageOf(server.etcd.pid).cpuSeconds,
      bench: usageOf(process.pid).cpuSeconds,
    });
    const before = { usage: operator.usage(), metrics: await operator.metrics(), cpu: processes() };
    fleet.log.clear();
    const [machine, startedAt] = [busySeconds(), Date.now()];
    const startedMs = performance.now();
    await wish(server.admin, woken, "on", shards);
    const wishedSeconds = (performance.now() - startedMs) / 1000;
    // Asked of the operator: 10,000 satellites listed again and again would keep the API server from its work.
    const running = async (): Promise<number> =>
      (await operator.metrics()).sum("satellites_phase", 'phase="Running"');
    await eventually("all woken satellites run", async () => (await running()) >= woken, PATIENCE);
    const seconds = (performance.now() - startedMs) / 1000;
    const machineBusyPercent = ((busySeconds() - machine) / seconds / os.cpus().length) * 100;
    const after = { usage: operator.usage(), metrics: await operator.metrics(), cpu: processes() };
    expectEqual(await countInPhase(server.admin, "Running"), woken);
    const mean = (histogram: string, label?: string): number =>
      (after.metrics.sum(`${histogram}_sum`, label) - before.metrics.sum(`${histogram}_sum`, label)) /
      (after.metrics.sum(`${histogram}_count`, label) - before.metrics.sum(`${histogram}_count`, label));
    const container = await operator.all[0]?.process.container?.();
    const lastStart = fleet.log.calls("StartInstances").at(-1)?.time ?? "";
    const requests = (each: typeof before): number => each.metrics.sum("rest_client_requests_total");
    const ec2Calls = countByAction(fleet);
    return {
      satellites,
      syncedSeconds,
      reconciledSeconds,
      reconcilesPerSecond: satellites / Math.max(0.001, reconciledSeconds - syncedSeconds),
      startCpuMsPerSatellite: (atStart.cpuSeconds * 1000) / satellites,
      peakRssMiB: atStart.peakRssMiB,
      rest,
      wake: {
        satellites: woken,
        seconds,
        machineBusyPercent,
        wishedSeconds,
        startedSeconds: (Date.parse(lastStart) - startedAt) / 1000,
        cpuSeconds: {
          operator: after.cpu.operator - before.cpu.operator,
          apiServer: after.cpu.apiServer - before.cpu.apiServer,
          etcd: after.cpu.etcd - before.cpu.etcd,
          bench: after.cpu.bench - before.cpu.bench,
        },
        writeMs: mean("rest_client_request_duration_seconds", 'verb="PATCH"') * 1000,
        queueMs: mean("workqueue_queue_duration_seconds", 'name="satellite"') * 1000,
        startInstancesCalls: ec2Calls["StartInstances"] ?? 0,
        ec2Calls,
        throttledCalls: fleet.log.calls().filter(({ outcome }) => outcome === "RequestLimitExceeded").length,
        apiRequestsPerSatellite: (requests(after) - requests(before)) / woken,
        cpuMsPerSatellite: ((after.usage.cpuSeconds - before.usage.cpuSeconds) * 1000) / woken,
        peakRssMiB: after.usage.peakRssMiB,
      },
      ...(container === undefined ? {} : { container }),
    };
  } catch (error) {
    started.at(-1)?.all.forEach(({ process: { logTail } }) => console.error(logTail()));
    throw error;
  } finally {
    await place.stop();
  }
}

/** Measures fleets of all sizes, prints their figures and writes them down. */
async function measureAll(startPlace: () => Promise<Place>, resultFile: string): Promise<void> {
  const figures: Figures[] = [];
  for (const size of sizes) {
    console.error(`measuring ${size} satellites`);
    figures.push(await measure(size, startPlace));
  }
  printTable(figures);
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: ROOT,
    encoding: "utf8",
  }).trim();
  const machine = { cpus: os.cpus().length, model: os.cpus()[0]?.model, memoryGiB: os.totalmem() / 2 ** 30 };
  const versions = { node: process.version, kernel: os.release(), commit };
  mkdirSync(RESULTS, { recursive: true });
  const result = { measuredAt: new Date().toISOString(), machine, versions, restSeconds, shards, figures };
  writeFileSync(join(RESULTS, resultFile), `${JSON.stringify(result, null, 2)}\n`);
}

if (shards > 1 && values["in-cluster"]) {
  throw new Error(
    "several operators are measured as processes of this machine alone: leave out --in-cluster",
  );
}
if (!values["in-cluster"]) {
  const built = bundle(Number(values["heap-mib"]), values["cpu-prof"]);
  try {
    await measureAll(
      () => startOnMachine(built),
      shards === 1 ? "operator.json" : `operator-${shards}-shards.json`,
    );
  } finally {
    built.stop();
  }
} else if (isInNode(process.env)) {
  await measureAll(startInCluster, "operator-in-cluster.json");
  // Programs of the nodes go on until their namespaces end with this process.
  process.exit();
} else {
  const { status } = await runInNode([process.execPath, ...process.argv.slice(1)], values.images);
  process.exitCode = status;
}
