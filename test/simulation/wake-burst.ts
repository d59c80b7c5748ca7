/**
 * Many wakes at once against EC2's documented request limits, on a virtual clock:
 *
 *     node test/simulation/wake-burst.ts [--satellites 1000]
 */
import { parseArgs } from "node:util";
import { DOCUMENTED_LIMITS } from "../../src/local/ec2/request-buckets.ts";
import { fleet } from "./long-workloads.ts";
import { simulate } from "./simulate.ts";
import { World } from "./world.ts";

const MAX_STORY_MS = 4 * 3_600_000;

const { values } = parseArgs({ options: { satellites: { type: "string", default: "1000" } } });
const count = Number(values.satellites);
const workload = fleet(count);

// What the libraries load late takes real time, which the virtual clock would not see.
await simulate({ workload: "manual", seed: 1, faults: [] });
const world = new World(
  { workload: workload.name, seed: 1, faults: [] },
  { ...workload.world, routers: workload.routers },
);
await world.tell(() => workload.tell(world), MAX_STORY_MS);

const burstMs = world.moments.get("burst") ?? NaN;
const servedMs = world.moments.get("served") ?? NaN;
const burstAt = world.clock.now().getTime() - world.clock.elapsedMs + burstMs;
const calls = world.endpoint.log.calls().filter(({ time }) => Date.parse(time) >= burstAt);
const starts = calls.filter(({ action }) => action === "StartInstances");
const refused = calls.filter(({ outcome }) => outcome === "RequestLimitExceeded");
const started = new Set(starts.flatMap(({ ids, outcome }) => (outcome === "ok" ? ids : [])));
const { burst, refillPerSecond } = DOCUMENTED_LIMITS["StartInstances"]?.requests ?? {
  burst: 0,
  refillPerSecond: 1,
};
const lastStartMs = Math.max(...starts.map(({ time }) => Date.parse(time))) - burstAt;
const faults = [...world.oracles.violations, ...(workload.judge?.(world) ?? [])];

console.log(`${count} satellites asleep, one request for each at once, over ${workload.routers} routers:`);
console.log(
  `  ${starts.length} StartInstances for ${started.size} instances, the last after ${seconds(lastStartMs)} s`,
);
console.log(`  ${calls.length} EC2 calls in all, ${refused.length} refused for the request limit`);
console.log(`  every request served after ${seconds(servedMs - burstMs)} s of virtual time`);
console.log(
  `  one call for each would need ${seconds((Math.max(0, count - burst) / refillPerSecond) * 1000)} s ` +
    `(bucket of ${burst}, ${refillPerSecond} per second)`,
);
faults.forEach((fault) => console.log(`  HARM: ${fault}`));
console.log(
  `wake-burst: ${count} wakes, ${starts.length} StartInstances, ${refused.length} refused, ${seconds(servedMs - burstMs)} s`,
);
process.exitCode = faults.length === 0 && started.size === count ? 0 : 1;

function seconds(durationMs: number): string {
  return (durationMs / 1000).toFixed(1);
}
