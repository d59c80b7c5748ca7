import type { Fault, Plan } from "./plan.ts";
import { between, pick, seededRandom } from "./random.ts";
import { LONG_WORKLOADS } from "./long-workloads.ts";
import type { Workload } from "./workload.ts";
import { WORKLOADS } from "./workloads.ts";

const MAX_FAULTS = 4;
const MAX_EFFECT = 24;
const MAX_NOTIFICATION = 28;
const STORY_MS = 70_000;

/** Long stories are walked less often, and large ones not at all: they would take most of the time. */
const WALKED = [...WORKLOADS, ...WORKLOADS.filter((workload) => !LONG_WORKLOADS.includes(workload))].filter(
  ({ every }) => every !== 0,
);

/** A random walk: workload, order of events and some faults, all decided by one seed. */
export function randomPlan(seed: number, workloads: readonly Workload[] = WALKED): Plan {
  const random = seededRandom(seed);
  const workload = pick(random, workloads);
  const operators = random() < 0.3 ? 2 : 1;
  const processes = [
    ...Array.from(
      { length: operators * (workload.world?.shards?.length ?? 1) },
      (_, index) => `operator-${index}`,
    ),
    ...Array.from({ length: workload.routers }, (_, index) => `router-${index}`),
  ];
  const faults = Array.from({ length: between(random, 0, MAX_FAULTS) }, () => randomFault(random, processes));
  return { workload: workload.name, seed, ...(operators === 1 ? {} : { operators }), faults };
}

function randomFault(random: () => number, processes: readonly string[]): Fault {
  const chance = random();
  if (chance < 0.45) {
    return {
      on: "effect",
      process: pick(random, ["operator-0", ...processes]),
      index: between(random, 0, MAX_EFFECT),
      what: pick(random, [
        "crash-before",
        "crash-during",
        "crash-after",
        "lose-request",
        "lose-answer",
        "late",
        "pause",
        "cut-off",
      ]),
      forMs: between(random, 1000, 60_000),
      ...(random() < 0.2 ? { rewind: between(random, 1, 10) } : {}),
    };
  }
  if (chance < 0.75) {
    return {
      on: "notification",
      process: pick(random, processes),
      index: between(random, 0, MAX_NOTIFICATION),
      what: pick(random, ["drop", "duplicate", "delay", "swap", "expire", "cut"]),
      forMs: between(random, 1000, 30_000),
    };
  }
  if (chance < 0.85) {
    return {
      on: "cloud",
      action: pick(random, [
        "RunInstances",
        "StartInstances",
        "StopInstances",
        "TerminateInstances",
        "DescribeInstances",
      ]),
      from: between(random, 0, 3),
      times: between(random, 1, 4),
      ...pick(random, [
        { what: "refuse", code: "InternalError", status: 500 },
        { what: "refuse", code: "RequestLimitExceeded", status: 503 },
        { what: "refuse", code: "InsufficientInstanceCapacity", status: 500 },
        { what: "forget" },
        { what: "drop" },
      ] as const),
    };
  }
  if (chance < 0.92) {
    return { on: "guest", what: pick(random, ["cold", "hangs"]), index: between(random, 0, 2) };
  }
  return {
    on: "time",
    atMs: between(random, 0, STORY_MS),
    what: pick(random, [
      { patch: { spec: { desiredPower: "off" } } },
      { patch: { spec: { desiredPower: "on" } } },
      { patch: { spec: { idleTimeout: "10s" } } },
      { request: "default/ada" },
      { crash: "operator-0" },
      { crash: "router-0" },
      {
        missing: pick(random, ["lists", "descriptions", "both"] as const),
        forMs: between(random, 1000, 1_000_000),
      },
    ]),
  };
}
