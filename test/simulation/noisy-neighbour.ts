/**
 * The wakes of a quiet tenant, alone and beside one that asks for all that is shared, against EC2's documented request
 * limits, on a virtual clock:
 *
 *     node test/simulation/noisy-neighbour.ts [--wakes 30]
 */
import { parseArgs } from "node:util";
import { DOCUMENTED_LIMITS } from "../../src/local/ec2/request-buckets.ts";
import { simulate } from "./simulate.ts";
import { isAsleep, isRunning, PATIENCE_MS } from "./workload.ts";
import { World } from "./world.ts";

const QUIET = "quiet";
const NOISY = "noisy";
const MAX_STORY_MS = 4 * 3_600_000;
const POLL_MS = 20;

/** What a tenant does that costs others: each kind asks for another shared budget. */
export const NOISES = [
  "none",
  "adoption of what does not exist",
  "creation and deletion",
  "wishes on and off",
] as const;
export type Noise = (typeof NOISES)[number];

/** How long each wake of the quiet tenant took, in milliseconds from call to first answer, shortest first. */
export async function wakesBeside(noise: Noise, wakes: number): Promise<readonly number[]> {
  const world = new World(
    { workload: "use-and-wake", seed: 1, faults: [] },
    { routers: 1, limits: DOCUMENTED_LIMITS },
  );
  const latencies: number[] = [];
  await world.tell(async () => {
    world.createClass("default");
    [QUIET, NOISY].forEach((name) => world.createNamespace(name));
    world.createSatellite("ada", { idleTimeout: "1h" }, {}, QUIET);
    await world.until(isRunning(world, `${QUIET}/ada`), PATIENCE_MS);
    const progress = { isOver: false };
    const noisy = makeNoise(world, noise, progress);
    await world.sleep(20_000);
    for (let wake = 0; wake < wakes; wake++) {
      world.kubectl("PATCH", `namespaces/${QUIET}/satellites/ada`, { spec: { desiredPower: "off" } });
      await world.until(isAsleep(world, `${QUIET}/ada`), PATIENCE_MS);
      latencies.push(await answerMs(world));
    }
    progress.isOver = true;
    await noisy;
  }, MAX_STORY_MS);
  return latencies.toSorted((a, b) => a - b);
}

async function answerMs(world: World): Promise<number> {
  const startMs = world.clock.elapsedMs;
  const call = world.call(`${QUIET}/ada`, { router: 0, streamMs: 1 });
  while (!call.isDone && world.clock.elapsedMs - startMs < PATIENCE_MS) {
    await world.sleep(POLL_MS);
  }
  return world.clock.elapsedMs - startMs;
}

async function makeNoise(world: World, noise: Noise, progress: { readonly isOver: boolean }): Promise<void> {
  const path = (name: string): string => `namespaces/${NOISY}/satellites/${name}`;
  switch (noise) {
    case "none":
      return;
    case "adoption of what does not exist":
      for (let index = 0; index < 400; index++) {
        const id = index % 2 === 0 ? `i-zz${index}` : `i-${String(index).padStart(17, "0")}`;
        world.createSatellite(`adopts-${index}`, {}, { "satellites.dev/adopt": id }, NOISY);
      }
      return;
    case "creation and deletion":
      for (let round = 0; !progress.isOver; round++) {
        for (const index of [0, 1, 2, 3]) {
          world.createSatellite(`churns-${round}-${index}`, {}, {}, NOISY);
          if (round >= 10) {
            world.kubectl("DELETE", path(`churns-${round - 10}-${index}`));
          }
        }
        await world.sleep(1000);
      }
      return;
    case "wishes on and off": {
      const names = Array.from({ length: 60 }, (_, index) => `toggles-${index}`);
      names.forEach((name) => world.createSatellite(name, { idleTimeout: "1h" }, {}, NOISY));
      for (let round = 0; !progress.isOver; round++) {
        await world.sleep(5000);
        const desiredPower = round % 2 === 0 ? "off" : "on";
        names.forEach((name) => world.kubectl("PATCH", path(name), { spec: { desiredPower } }));
      }
    }
  }
}

/** The latency that so large a share of wakes does not pass. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { wakes: { type: "string", default: "30" } } });
  // What the libraries load late takes real time, which the virtual clock would not see.
  await simulate({ workload: "manual", seed: 1, faults: [] });
  for (const noise of NOISES) {
    const latencies = await wakesBeside(noise, Number(values.wakes));
    const [p50, p99] = [0.5, 0.99].map((share) => (percentile(latencies, share) / 1000).toFixed(2));
    console.log(`noisy-neighbour: ${noise}: ${latencies.length} wakes, p50 ${p50} s, p99 ${p99} s`);
  }
}
