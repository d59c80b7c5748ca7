import type { Satellite } from "../../src/satellite/types.ts";
import { Tag } from "../../src/machines/tags.ts";
import { explainsItself, rests } from "./silence-oracle.ts";
import type { EffectFault, Plan } from "./plan.ts";
import { judgeTerritories } from "./territories.ts";
import type { Trace } from "./trace.ts";
import { workloadNamed } from "./workloads.ts";
import { World } from "./world.ts";

/** What a story came to. */
export interface Outcome {
  readonly violations: readonly string[];
  readonly trace: Trace;
  /** Faults that really happened. */
  readonly befallen: number;
  readonly restarts: number;
  /** How each satellite ended, and what is left at EC2. */
  readonly end: string;
  /** Calls that reached EC2, by action. */
  readonly sent: ReadonlyMap<string, number>;
  /** How often EC2 accepted each action for each satellite, by "action name". */
  readonly accepted: ReadonlyMap<string, number>;
  /** How long the story was, in milliseconds of its own clock. */
  readonly virtualMs: number;
  /** How often the state of an instance changed. */
  readonly instanceChanges: number;
  /** How many satellites there are at the end. */
  readonly satellites: number;
  /** Writes of Satellites by operators. */
  readonly operatorWrites: number;
  readonly wasAtRest: boolean;
  /** Whether each satellite that is not as wished says why in its Ready condition. */
  readonly isExplained: boolean;
}

/** A machine that all reads lack for longer may count as gone. */
const PROOF_MS = 5 * 60_000;
/** Within so long a machine that comes back, and that nobody names by now, is kept aside (machine-collector.ts). */
const NOTICE_MS = 5 * 60_000;
/** Longest story. */
const MAX_STORY_MS = 5 * 3_600_000;
/** How long everything is given to come to rest: what is terminal is looked at again after half an hour, five times. */
const REST_PATIENCE_MS = 200 * 60_000;
/** How long it must stay at rest. */
const REST_MS = 8000;

/** A story in which much is loaded that the libraries load late: that takes real time, which would count as none. */
const REHEARSAL: Plan = {
  workload: "use-and-wake",
  seed: 0,
  faults: [
    {
      on: "cloud",
      action: "StopInstances",
      from: 0,
      times: 1,
      what: "refuse",
      code: "InternalError",
      status: 500,
    },
    { on: "cloud", action: "StartInstances", from: 0, times: 1, what: "drop" },
  ],
};

let rehearsal: Promise<Outcome> | undefined;

/** Tells the story of a plan and judges it. The same plan is the same story in every process. */
export async function simulate(plan: Plan, options: { readonly logs?: boolean } = {}): Promise<Outcome> {
  rehearsal ??= tellStory(REHEARSAL, {});
  await rehearsal;
  return tellStory(plan, options);
}

async function tellStory(plan: Plan, options: { readonly logs?: boolean }): Promise<Outcome> {
  const workload = workloadNamed(plan.workload);
  const world = new World(plan, { ...workload.world, routers: workload.routers, ...options });
  const isEndless = plan.faults.some((fault) => fault.on === "cloud" && fault.times === undefined);
  const lastFaultMs = Math.max(0, ...plan.faults.map(endMsOf));
  await world.tell(async () => {
    await workload.tell(world);
    if (!isEndless && !(await comesToRest(world, lastFaultMs))) {
      world.oracles.violate(`it did not come to rest: ${whyRestless(world)}`);
    }
  }, MAX_STORY_MS);
  judgeEnd(world, isEndless);
  if (!isEndless && hasRunItsCourse(plan, world)) {
    workload.judge?.(world).forEach((fault) => world.oracles.violate(fault));
  }
  judgeMemory(world);
  judgeTerritories(world);
  return {
    violations: world.oracles.violations,
    trace: world.trace,
    befallen: world.book.befallen,
    restarts: world.restarts,
    end: endOf(world),
    ...callsOf(world),
    virtualMs: world.clock.elapsedMs,
    instanceChanges: world.instanceChanges,
    satellites: world.satellites().length,
    operatorWrites: world.trace.entries.filter(
      ({ kind, process, text }) =>
        kind === "effect" && process.startsWith("operator") && text.startsWith("PATCH"),
    ).length,
    wasAtRest: isAtRest(world),
    isExplained: world.satellites().every((satellite) => rests(satellite) || explainsItself(satellite)),
  };
}

/** When a fault that befalls by the clock is over. */
function endMsOf(fault: Plan["faults"][number]): number {
  if (fault.on !== "time") {
    return 0;
  }
  return fault.atMs + ("missing" in fault.what ? fault.what.forMs + NOTICE_MS : 0);
}

/** Whether nobody has changed the story by other hands, or too late, so that its own end is to be expected. */
function hasRunItsCourse({ faults }: Plan, { trace }: World): boolean {
  return faults.every((fault) => {
    switch (fault.on) {
      case "time":
        // One that is missing for so long counts as gone.
        return !(
          "patch" in fault.what ||
          "outside" in fault.what ||
          "request" in fault.what ||
          ("missing" in fault.what && fault.what.forMs > PROOF_MS)
        );
      case "effect":
        return !(
          (fault.what === "late" || fault.what === "pause") &&
          (befallsStop(fault, trace) || befalls(fault, trace, "StartInstances"))
        );
      case "notification":
      case "cloud":
      case "visibility":
      case "guest":
        return true;
    }
  });
}

/** Whether what befalls an effect befalls a call that stops a machine. EC2 knows no epochs: it may land in the next. */
export function befallsStop(fault: EffectFault, trace: Trace): boolean {
  return befalls(fault, trace, "StopInstances");
}

function befalls({ process, index }: EffectFault, { entries }: Trace, action: string): boolean {
  return entries.some(
    (entry) =>
      entry.kind === "effect" &&
      entry.process === process &&
      entry.index === index &&
      entry.text.startsWith(action),
  );
}

/** Waits until everything is as wished, and stays so. */
async function comesToRest(world: World, notBeforeMs: number): Promise<boolean> {
  const endMs = world.clock.elapsedMs + REST_PATIENCE_MS;
  const isSo = (): boolean => world.clock.elapsedMs >= notBeforeMs && isAtRest(world);
  while (await world.until(isSo, endMs - world.clock.elapsedMs)) {
    await world.sleep(REST_MS);
    if (isSo()) {
      return true;
    }
  }
  return false;
}

function isAtRest(world: World): boolean {
  return (
    world.isComplete &&
    world.openAttempts.length === 0 &&
    world
      .satellites()
      .every(
        (satellite) =>
          rests(satellite) && satellite.status.retired === undefined && !contradicts(world, satellite),
      ) &&
    !runsAside(world)
  );
}

/** Whether a machine runs that no satellite names although its satellite is there. */
function runsAside(world: World): boolean {
  const satellites = new Map(
    world.satellites().map((satellite) => [satellite.metadata.uid ?? "", satellite]),
  );
  return world.model.instances.truths().some(({ id, state, tags }) => {
    const { machine, replacement, retired } = satellites.get(tags[Tag.uid] ?? "")?.status ?? {};
    const named = [machine?.id, replacement?.machine?.id, retired?.id];
    return machine !== undefined && state === "running" && !named.includes(id);
  });
}

function whyRestless(world: World): string {
  const restless = world.satellites().filter((satellite) => !rests(satellite));
  const reasons = restless.map(
    ({ metadata, spec, status }) =>
      `${metadata.name} is wished ${spec.desiredPower}${metadata.deletionTimestamp === undefined ? "" : ", deleted"}, ` +
      `power is ${JSON.stringify(status.power)}, phase ${status.phase ?? "none"}, ` +
      `Ready ${status.conditions?.find(({ type }) => type === "Ready")?.reason ?? "unknown"}`,
  );
  const held = world.openAttempts.map(({ id, router }) => `request ${id} is held at ${router.name}`);
  return [...reasons, ...held, ...(world.isComplete ? [] : ["a process is down"])].join("; ");
}

/** What must hold when all is said and done. */
function judgeEnd(world: World, isEndless: boolean): void {
  const { oracles } = world;
  const known = new Map(world.satellites().map((satellite) => [satellite.metadata.uid ?? "", satellite]));
  for (const [uid, ids] of oracles.liveByOwner()) {
    const satellite = known.get(uid);
    if (satellite === undefined && !isEndless) {
      oracles.violate(`6: ${ids.join(", ")} are left of ${uid}, which is deleted`);
    }
    if (ids.length > 1) {
      oracles.violate(`1: ${uid} has ${ids.length} machines at the end: ${ids.join(", ")}`);
    }
  }
  for (const [uid, ids] of oracles.volumesByOwner()) {
    if (known.get(uid) === undefined && !isEndless) {
      oracles.violate(`6: ${ids.join(", ")} are left of ${uid}, which is deleted`);
    }
    if (ids.length > 1) {
      oracles.violate(`1: ${uid} has ${ids.length} data volumes at the end: ${ids.join(", ")}`);
    }
  }
  for (const satellite of world.satellites()) {
    if (!isEndless && contradicts(world, satellite)) {
      const { metadata, spec } = satellite;
      oracles.violate(`2: ${metadata.name} is wished ${spec.desiredPower}, but its machine is not`);
    }
  }
}

/** Who says that a machine hibernates must be right, but for a guest that fails in silence. */
function judgeMemory(world: World): void {
  if (world.book.guest("cold").length > 0) {
    return;
  }
  for (const { metadata, status } of world.satellites()) {
    const vm = status.machine === undefined ? undefined : world.guests.vm(status.machine.id);
    if (status.sleep?.kind === "Hibernated" && vm?.state === "stopped") {
      world.oracles.violate(`${metadata.name} is said to hibernate, but its machine lost its memory`);
    }
  }
}

/** Whether the machine is not what the satellite's spec wishes, whatever its status says. */
function contradicts(world: World, { spec, status }: Satellite): boolean {
  const id = status.machine?.id;
  const state =
    id !== undefined && world.model.instances.has(id) ? world.model.instances.truth(id).state : undefined;
  return id !== undefined && state !== (spec.desiredPower === "on" ? "running" : "stopped");
}

/** The end in a form that can be compared: no names, times or numbers that another order of events would change. */
function endOf(world: World): string {
  return world
    .satellites()
    .map(({ metadata, spec, status }) => {
      const conditions = (status.conditions ?? [])
        .map(({ type, status: value, reason }) => `${type}=${value}/${reason}`)
        .sort()
        .join(" ");
      return `${metadata.name}: ${spec.desiredPower} ${status.power.state} ${status.phase} ${status.sleep?.kind ?? "-"} ${conditions}`;
    })
    .join("\n");
}

function callsOf(world: World): Pick<Outcome, "sent" | "accepted"> {
  const sent = new Map<string, number>();
  const accepted = new Map<string, number>();
  const add = (counts: Map<string, number>, key: string): void => {
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  for (const { action, ids, outcome } of world.endpoint.log.calls()) {
    add(sent, action);
    // A volume and the instance that it is attached to are one thing that was done.
    const instances = ids.filter((id) => id.startsWith("i-"));
    for (const id of outcome === "ok" ? (instances.length > 0 ? instances : ids) : []) {
      add(accepted, `${action} ${ownerOf(world, id)}`);
    }
  }
  return { sent, accepted };
}

/** Name of the satellite whose machine or volume it is by its tags; what is nobody's counts together. */
function ownerOf({ model }: World, id: string): string {
  const of = [model.instances, model.volumes].find((kind) => kind.has(id));
  return of?.truth(id).tags[Tag.name] ?? "nobody";
}
