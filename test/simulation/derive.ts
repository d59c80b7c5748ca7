import { STATE_REASONS } from "../../src/machines/ec2/state-reasons.ts";
import type { CloudFault, EffectFault, Fault, GuestFault, NotificationFault, Plan } from "./plan.ts";
import type { Outcome } from "./simulate.ts";

/** Kinds of plans (docs/testing.md, "Simulation"). */
export const PLAN_KINDS = [
  "nothing goes wrong",
  "crash around a side effect",
  "request or answer lost, or late",
  "stale view before a destructive action",
  "notification lost, repeated or late",
  "two leaders, paused or cut off",
  "EC2 refuses or fails",
  "EC2 accepts, and fails later",
  "stale or missing descriptions",
  "a machine missing from reads",
  "hibernation, guests and capacity",
  "changes by people and others",
] as const;

export type PlanKind = (typeof PLAN_KINDS)[number];

/** A plan and where it comes from. */
export interface DerivedPlan {
  readonly kind: PlanKind;
  readonly plan: Plan;
}

/** What the operator does that cannot be undone, or takes something away. */
const DESTRUCTIVE =
  /^(?:StopInstances|TerminateInstances)|"state":"Stopping"|desiredPower="off"|\/metadata\/finalizers\/0/;

/** How long a machine is missing from reads: less and more than what is a proof. */
const MISSING_MS = [1000, 10_000, 120_000, 600_000, 1_500_000];

const LATE_MS = 12_000;
const AWAY_MS = 45_000;

/** Side effects of one story from which plans are derived, at most; more are a loop, which is found without them. */
const MAX_EFFECTS = 200;

/**
 * All plans that follow from one undisturbed story, which is the first of them.
 *
 * @param every from every nth side effect, notification and change only; 0: from none
 */
export function derivePlans(workload: string, seed: number, reference: Outcome, every = 1): DerivedPlan[] {
  const plans: DerivedPlan[] = [];
  const add = (kind: PlanKind, faults: readonly Fault[], operators = 1): void => {
    plans.push({ kind, plan: { workload, seed, ...(operators === 1 ? {} : { operators }), faults } });
  };
  add("nothing goes wrong", []);
  const destructive = numbered(reference, "effect").flatMap(({ process, text, atMs }) =>
    process.startsWith("operator") && DESTRUCTIVE.test(text) ? [atMs] : [],
  );
  const some = <T>(all: readonly T[]): T[] => all.filter((_one, index) => every > 0 && index % every === 0);
  for (const { process, index, text, atMs } of some(numbered(reference, "effect")).slice(0, MAX_EFFECTS)) {
    const effect = (what: EffectFault["what"], more: Partial<EffectFault> = {}): Fault => ({
      on: "effect",
      process,
      index,
      what,
      ...more,
    });
    for (const what of ["crash-before", "crash-during", "crash-after"] as const) {
      add("crash around a side effect", [effect(what)]);
    }
    add("request or answer lost, or late", [effect("lose-request")]);
    add("request or answer lost, or late", [effect("lose-answer")]);
    add("request or answer lost, or late", [effect("late", { forMs: LATE_MS })]);
    if (process.startsWith("operator")) {
      for (const missing of ["lists", "descriptions", "both"] as const) {
        for (const forMs of MISSING_MS) {
          add("a machine missing from reads", [{ on: "time", atMs, what: { missing, forMs } }]);
        }
      }
      // Somebody is quicker: what the operator has decided on is not so any more when its request arrives.
      for (const what of [
        { patch: { spec: { desiredPower: "on" } } },
        { patch: { spec: { desiredPower: "off" } } },
        { patch: { spec: { wakePolicy: "Manual" } } },
        { request: "default/ada" },
      ]) {
        add("changes by people and others", [{ on: "time", atMs, what }]);
      }
      for (const aheadMs of [2, 4]) {
        add("changes by people and others", [
          { on: "time", atMs: Math.max(0, atMs - aheadMs), what: { request: "default/ada" } },
        ]);
      }
      add("crash around a side effect", [effect("crash-during", { sameIdentity: true })]);
      add("two leaders, paused or cut off", [effect("crash-before")], 2);
      add("two leaders, paused or cut off", [effect("crash-during")], 2);
      add("two leaders, paused or cut off", [effect("pause", { forMs: AWAY_MS })], 2);
      add("two leaders, paused or cut off", [effect("cut-off", { forMs: AWAY_MS })], 2);
      if (DESTRUCTIVE.test(text)) {
        for (const rewind of [1, 3, 6, 10]) {
          add("stale view before a destructive action", [effect("crash-before", { rewind })]);
          add("stale view before a destructive action", [effect("crash-during", { rewind })]);
        }
        for (const notification of notificationsBefore(reference, process, index).slice(-3)) {
          const held: NotificationFault = {
            on: "notification",
            process,
            index: notification,
            what: "delay",
            forMs: LATE_MS,
          };
          add("stale view before a destructive action", [held]);
          add("stale view before a destructive action", [held, effect("crash-during")]);
        }
      }
    } else {
      if (text.includes("/status/activity")) {
        for (const landsAtMs of destructive.filter((ms) => ms > atMs)) {
          add("request or answer lost, or late", [effect("late", { forMs: landsAtMs + 10 - atMs })]);
        }
      }
      add("two leaders, paused or cut off", [effect("pause", { forMs: AWAY_MS })]);
      add("two leaders, paused or cut off", [effect("cut-off", { forMs: AWAY_MS })]);
    }
  }
  const notifications = some(numbered(reference, "notification")).slice(0, MAX_EFFECTS);
  for (const [place, { process, index }] of notifications.entries()) {
    const inTurn = place % 2 === 0 ? (["duplicate", "expire"] as const) : (["swap", "cut"] as const);
    for (const what of ["drop", "delay", ...inTurn] as const) {
      const more = what === "delay" ? { forMs: 15_000 } : {};
      add("notification lost, repeated or late", [{ on: "notification", process, index, what, ...more }]);
    }
  }
  // One shard hears of a namespace that changes hands when the other may act already, or should be about to.
  for (const { process, index, text } of numbered(reference, "notification")) {
    for (const forMs of text.startsWith("MODIFIED namespace ") ? [100_000, 240_000] : []) {
      const late = { on: "notification", process, index, what: "delay", forMs } as const;
      add("notification lost, repeated or late", [late]);
    }
  }
  for (const change of some(Array.from({ length: reference.instanceChanges }, (_, index) => index))) {
    for (const forMs of [1500, 4000, 8000]) {
      add("stale or missing descriptions", [{ on: "visibility", change, forMs }]);
    }
  }
  return plans;
}

function numbered(
  { trace }: Outcome,
  kind: "effect" | "notification",
): { readonly process: string; readonly index: number; readonly text: string; readonly atMs: number }[] {
  return trace.entries.flatMap(({ process, index, text, atMs, ...entry }) =>
    entry.kind === kind && index !== undefined ? [{ process, index, text, atMs }] : [],
  );
}

/** Numbers of the notifications that a process had got when it did its `index`th effect. */
function notificationsBefore({ trace }: Outcome, process: string, index: number): number[] {
  const numbers: number[] = [];
  for (const entry of trace.entries) {
    if (entry.process === process && entry.kind === "effect" && entry.index === index) {
      break;
    }
    if (entry.process === process && entry.kind === "notification" && entry.index !== undefined) {
      numbers.push(entry.index);
    }
  }
  return numbers;
}

/** How a call can go wrong; one code at least of each class of error. */
const CLOUD_ERRORS: readonly Omit<CloudFault, "on" | "action" | "from" | "times">[] = [
  { what: "refuse", code: "InsufficientInstanceCapacity", status: 500 },
  { what: "refuse", code: "Unsupported" },
  { what: "refuse", code: "RequestLimitExceeded", status: 503 },
  { what: "refuse", code: "IncorrectInstanceState" },
  { what: "refuse", code: "InvalidInstanceID.NotFound" },
  { what: "refuse", code: "VcpuLimitExceeded" },
  { what: "refuse", code: "InvalidParameterValue" },
  { what: "refuse", code: "InvalidAMIID.NotFound" },
  { what: "refuse", code: "UnauthorizedOperation", status: 403 },
  { what: "refuse", code: "OperationNotPermitted" },
  { what: "refuse", code: "IdempotentParameterMismatch" },
  { what: "refuse", code: "IdempotentInstanceTerminated" },
  { what: "refuse", code: "UnsupportedHibernationConfiguration" },
  {
    what: "refuse",
    code: "UnsupportedOperation",
    message: "The instance is not ready to hibernate yet. Please retry in a few minutes.",
  },
  { what: "refuse", code: "NobodyHasHeardOfThis" },
  { what: "refuse", code: "ExpiredToken" },
  { what: "refuse", code: "InternalError", status: 500 },
  { what: "forget", code: "InternalError", status: 500 },
  { what: "forget" },
  { what: "drop" },
];

/** Every EC2 action that is called, with the story in which it is. */
const ACTIONS: readonly (readonly [action: string, workload: string])[] = [
  ["RunInstances", "use-and-wake"],
  ["RunInstances", "delete-launching"],
  ["StartInstances", "use-and-wake"],
  ["StopInstances", "use-and-wake"],
  ["TerminateInstances", "delete-asleep"],
  ["CreateTags", "adopt"],
  ["ModifyInstanceAttribute", "resize"],
  ["RebootInstances", "silent"],
  ["GetConsoleOutput", "cannot-install"],
  ["DescribeInstances", "use-and-wake"],
  ["DescribeImages", "use-and-wake"],
  ["DescribeSubnets", "manual"],
  ["DescribeSecurityGroups", "manual"],
  ["DescribeInstanceTypes", "manual"],
  ["DescribeInstanceTypeOfferings", "manual"],
  ["CreateVolume", "update"],
  ["AttachVolume", "update"],
  ["DetachVolume", "update"],
  ["DeleteVolume", "delete-updating"],
  ["DescribeVolumes", "update"],
];

/** Every action × error × once, thrice and for ever. */
export function cloudPlans(seed: number): DerivedPlan[] {
  const plans: DerivedPlan[] = [];
  for (const [action, workload] of ACTIONS) {
    for (const error of CLOUD_ERRORS) {
      for (const times of [1, 3, undefined]) {
        const fault: CloudFault = {
          on: "cloud",
          action,
          from: 0,
          ...(times === undefined ? {} : { times }),
          ...error,
        };
        plans.push({ kind: "EC2 refuses or fails", plan: { workload, seed, faults: [fault] } });
      }
    }
  }
  // An answer is lost, and what follows is refused: only a refusal that looked at the token says what came of it.
  for (const error of CLOUD_ERRORS.filter(({ code }) => code !== "IdempotentInstanceTerminated")) {
    for (const [action, workload] of [
      ["RunInstances", "use-and-wake"],
      ["RunInstances", "delete-launching"],
      ["StartInstances", "use-and-wake"],
      ["StopInstances", "use-and-wake"],
    ] as const) {
      const lost: CloudFault = { on: "cloud", action, from: 0, times: 1, what: "forget" };
      const then: CloudFault = { on: "cloud", action, from: 1, times: 5, ...error };
      plans.push({ kind: "EC2 refuses or fails", plan: { workload, seed, faults: [lost, then] } });
    }
  }
  return plans;
}

/** Stories in which a machine is launched, is launched to replace another one, and is started, and the first call of each. */
const BEGINNINGS: readonly (readonly [action: string, workload: string, from: number])[] = [
  ["RunInstances", "use-and-wake", 0],
  ["StartInstances", "use-and-wake", 0],
  ["RunInstances", "update", 1],
  ["StartInstances", "manual", 0],
];

/** Launches and starts that are accepted and come to nothing: every documented StateReason × once, thrice and for ever. */
export function stateReasonPlans(seed: number): DerivedPlan[] {
  const plans: DerivedPlan[] = [];
  const add = (workload: string, faults: readonly Fault[]): void => {
    plans.push({ kind: "EC2 accepts, and fails later", plan: { workload, seed, faults } });
  };
  // Pauses are kept over a restart: the operator dies again and again meanwhile.
  const crashes = Array.from({ length: 60 }, (_, index): Fault => ({
    on: "time",
    atMs: 5000 + index * 5000,
    what: { crash: "operator-0" },
  }));
  for (const [action, workload, from] of BEGINNINGS) {
    const failure = (code: string, times?: number): Fault => ({
      on: "cloud",
      action,
      from,
      ...(times === undefined ? {} : { times }),
      what: "fail-later",
      code,
    });
    for (const code of Object.keys(STATE_REASONS)) {
      for (const times of [1, 3, undefined]) {
        add(workload, [failure(code, times)]);
      }
    }
    add(workload, [failure("Server.InternalError"), ...crashes]);
  }
  return plans;
}

/** Guests, hosts and capacity that fail, and people and others who interfere. */
export function scriptedPlans(seed: number): DerivedPlan[] {
  const plans: DerivedPlan[] = [];
  const add = (kind: PlanKind, workload: string, faults: readonly Fault[]): void => {
    plans.push({ kind, plan: { workload, seed, faults } });
  };
  const guest = (what: GuestFault["what"], more: Partial<GuestFault> = {}): Fault => ({
    on: "guest",
    what,
    ...more,
  });
  for (const workload of ["use-and-wake", "burst", "drain", "delete-asleep"]) {
    const hibernation = "hibernation, guests and capacity";
    for (const forMs of [30_000, 70_000, 400_000]) {
      add(hibernation, workload, [guest("not-ready", { forMs })]);
      add(hibernation, workload, [guest("slow", { forMs })]);
    }
    for (const index of [0, 1]) {
      add(hibernation, workload, [guest("cold", { index })]);
      add(hibernation, workload, [guest("hangs", { index })]);
      add(hibernation, workload, [guest("boot-fails", { index })]);
      add(hibernation, workload, [guest("boot-fails", { index }), guest("boot-fails", { index: index + 1 })]);
    }
    for (const atMs of [0, 10_000, 27_000, 31_000, 33_000]) {
      add(hibernation, workload, [
        { on: "time", atMs, what: { capacity: 0 } },
        { on: "time", atMs: atMs + 100_000, what: { capacity: null } },
      ]);
    }
    for (const atMs of everySecond(24_000, 36_000)) {
      add(hibernation, workload, [{ on: "time", atMs, what: { request: "default/ada" } }]);
    }
  }
  for (const workload of ["use-and-wake", "manual", "drain"]) {
    const people = "changes by people and others";
    for (const atMs of [1000, 4500, 6000, 10_000, 15_000, 20_000, 28_700, 30_000, 33_020, 34_000, 40_000]) {
      for (const [there, back] of SPEC_CHANGES) {
        for (const backMs of [300, 5000]) {
          add(people, workload, [
            { on: "time", atMs, what: { patch: { spec: there } } },
            { on: "time", atMs: atMs + backMs, what: { patch: { spec: back } } },
          ]);
        }
      }
      for (const outside of ["stop", "start", "terminate", "retag"] as const) {
        add(people, workload, [{ on: "time", atMs, what: { outside } }]);
      }
      add(people, workload, [
        { on: "time", atMs, what: { outside: "protect" } },
        { on: "time", atMs: atMs + 60_000, what: { outside: "unprotect" } },
      ]);
    }
  }
  return [...plans, ...fleetPlans(seed)];
}

/** Two hundred satellites at once; their story is long, so that few plans are told. */
function fleetPlans(seed: number): DerivedPlan[] {
  const workload = "fleet-of-200";
  const plans: DerivedPlan[] = [];
  const add = (kind: PlanKind, faults: readonly Fault[], operators = 1): void => {
    plans.push({ kind, plan: { workload, seed, ...(operators === 1 ? {} : { operators }), faults } });
  };
  for (const atMs of [3000, 40_000, 100_000, 121_000]) {
    add("crash around a side effect", [{ on: "time", atMs, what: { crash: "operator-0" } }]);
    add(
      "two leaders, paused or cut off",
      [{ on: "time", atMs, what: { pause: "operator-0", forMs: AWAY_MS } }],
      2,
    );
    add("crash around a side effect", [{ on: "time", atMs, what: { crash: "router-1" } }]);
  }
  for (const action of ["RunInstances", "StartInstances", "StopInstances"]) {
    for (const error of CLOUD_ERRORS.filter(
      ({ code, what }) => what !== "refuse" || code === "RequestLimitExceeded",
    )) {
      add("EC2 refuses or fails", [{ on: "cloud", action, from: 0, times: 3, ...error }]);
    }
  }
  add("hibernation, guests and capacity", [
    { on: "time", atMs: 115_000, what: { capacity: 60 } },
    { on: "time", atMs: 300_000, what: { capacity: null } },
  ]);
  return plans;
}

/** Changes of the spec, and back; the last ones are refused by the API server. */
const SPEC_CHANGES: readonly (readonly [Record<string, unknown>, Record<string, unknown>])[] = [
  [{ desiredPower: "off" }, { desiredPower: "on" }],
  [{ desiredPower: "on" }, { desiredPower: "off" }],
  [{ idleTimeout: "0s" }, { idleTimeout: "10s" }],
  [{ idleTimeout: "5s" }, { idleTimeout: "20s" }],
  [{ wakePolicy: "Manual" }, { wakePolicy: "OnRequest" }],
  [{ sleepMode: "Stop" }, { sleepMode: "Hibernate" }],
  [{ drainTimeout: "0s" }, { drainTimeout: "30s" }],
  [{ port: 9000 }, { port: 8372 }],
  [{ size: "unknown" }, { size: null }],
  [{ className: "unknown" }, { className: "default" }],
  [{ deletionPolicy: "Retain" }, { deletionPolicy: "Delete" }],
  [{ maintenance: { start: "03:00", duration: "1h" } }, { maintenance: null }],
  [{ wakeSchedule: ["not a schedule"] }, { wakeSchedule: null }],
  [{ desiredPower: true }, { idleTimeout: "soon" }],
];

function everySecond(fromMs: number, toMs: number): number[] {
  return Array.from({ length: Math.floor((toMs - fromMs) / 1000) + 1 }, (_, index) => fromMs + index * 1000);
}
