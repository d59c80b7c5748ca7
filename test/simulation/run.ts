/**
 * Tells every derived plan and many random ones, and says which did harm:
 *
 *     node test/simulation/run.ts [--plans all|small|none] [--seeds N] [--jobs N] [--kind TEXT] [--workload NAME]
 *     node test/simulation/run.ts --replay '<plan>' [--logs]
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  cloudPlans,
  derivePlans,
  PLAN_KINDS,
  scriptedPlans,
  stateReasonPlans,
  type DerivedPlan,
} from "./derive.ts";
import { Judge } from "./judge.ts";
import { formatPlan, parsePlan, type Plan } from "./plan.ts";
import { Pool } from "./pool.ts";
import { randomPlan } from "./random-plan.ts";
import { simulate } from "./simulate.ts";
import { WORKLOADS } from "./workloads.ts";

const REPORT_FOLDER = join(import.meta.dirname, "..", "..", ".satellites");
/** It takes long: how far it has come is said to standard error this often. */
const PROGRESS_MS = 60_000;
/** Survivors that are printed. */
const MAX_PRINTED = 20;
const SEED = 1;

interface Survivor {
  readonly kind: string;
  readonly plan: Plan;
  readonly faults: readonly string[];
}

const { values } = parseArgs({
  options: {
    plans: { type: "string", default: "all" },
    seeds: { type: "string", default: "1000" },
    "first-seed": { type: "string", default: "1" },
    jobs: { type: "string", default: String(availableParallelism()) },
    kind: { type: "string" },
    workload: { type: "string" },
    replay: { type: "string" },
    logs: { type: "boolean", default: false },
    "stop-at": { type: "string" },
  },
});

process.exitCode = values.replay === undefined ? await runAll() : await replay(values.replay);

async function replay(text: string): Promise<number> {
  const plan = parsePlan(text);
  const { trace } = await simulate(plan, { logs: values.logs });
  console.log(trace.toString());
  const faults = await new Judge().judge(plan, { compares: true });
  console.log(faults.length === 0 ? "no harm done" : faults.map((fault) => `HARM: ${fault}`).join("\n"));
  return faults.length === 0 ? 0 : 1;
}

async function runAll(): Promise<number> {
  const startedMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1000);
  const pool = new Pool(Number(values.jobs));
  const survivors: Survivor[] = [];
  const report = (survivor: Survivor): void => {
    survivors.push(survivor);
    if (survivors.length <= MAX_PRINTED) {
      print(survivor);
    }
    if (survivors.length === Number(values["stop-at"])) {
      process.exit(1);
    }
  };
  let saidMs = startedMs;
  const progress = (told: number, total: number, what: string): void => {
    if (performance.now() - saidMs >= PROGRESS_MS) {
      saidMs = performance.now();
      process.stderr.write(`${told} of ${total} ${what}, ${survivors.length} survivors, ${seconds()} s\n`);
    }
  };
  const plans = await allPlans();
  const harm = new Map<string, number>();
  await pool.judgeAll(
    plans.map(({ plan }) => ({ plan, compares: true })),
    (number, faults) => {
      progress(number, plans.length, "plans");
      const derived = plans[number];
      if (derived !== undefined && faults.length > 0) {
        harm.set(derived.kind, (harm.get(derived.kind) ?? 0) + 1);
        report({ ...derived, faults });
      }
    },
  );
  console.log(`${plans.length} plans were told in ${seconds()} s`);
  const kinds = PLAN_KINDS.map((kind) => ({
    kind,
    plans: plans.filter((derived) => derived.kind === kind).length,
    survivors: harm.get(kind) ?? 0,
  }));
  const seeds = Number(values.seeds);
  const firstSeed = Number(values["first-seed"]);
  const walks = Array.from({ length: seeds }, (_, index) => randomPlan(firstSeed + index));
  await pool.judgeAll(
    walks.map((plan) => ({ plan, compares: false })),
    (number, faults) => {
      progress(number, walks.length, "random walks");
      const plan = walks[number];
      if (plan !== undefined && faults.length > 0) {
        report({ kind: "random walk", plan, faults });
      }
    },
  );
  await pool.close();
  for (const { kind, plans: count, survivors: left } of kinds) {
    console.log(`${String(count).padStart(6)} plans, ${String(left).padStart(4)} survivors: ${kind}`);
  }
  console.log(`${String(seeds).padStart(6)} random walks; ${seconds()} s in all`);
  mkdirSync(REPORT_FOLDER, { recursive: true });
  const result = { plans: plans.length, seeds, firstSeed, seconds: seconds(), kinds, survivors };
  writeFileSync(join(REPORT_FOLDER, "simulate.json"), `${JSON.stringify(result, undefined, 2)}\n`);
  console.log(`simulate: ${plans.length} plans, ${seeds} seeds, ${survivors.length} survivors`);
  return survivors.length === 0 ? 0 : 1;
}

async function allPlans(): Promise<DerivedPlan[]> {
  if (values.plans === "none") {
    return [];
  }
  const judge = new Judge();
  const derived: DerivedPlan[][] = [];
  for (const { name, isSmall, every } of WORKLOADS) {
    const isChosen = values.workload === undefined || values.workload === name;
    if (isChosen && (values.plans === "all" || isSmall)) {
      const reference = await judge.reference({ workload: name, seed: SEED, faults: [] });
      derived.push(derivePlans(name, SEED, reference, every));
    }
  }
  const plans = [...derived, cloudPlans(SEED), stateReasonPlans(SEED), scriptedPlans(SEED)].flat();
  return plans.filter(
    ({ kind, plan }) =>
      (values.kind === undefined || kind.includes(values.kind) || plan.faults.length === 0) &&
      (values.workload === undefined || plan.workload === values.workload),
  );
}

function print({ kind, plan, faults }: Survivor): void {
  console.log(`SURVIVOR (${kind}):`);
  for (const fault of faults.slice(0, 4)) {
    console.log(`  ${fault}`);
  }
  console.log(`  node test/simulation/run.ts --replay '${formatPlan(plan)}'`);
}
