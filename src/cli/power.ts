import { SatelliteError } from "../base/errors.ts";
import { findCondition } from "../satellite/conditions.ts";
import { isPaused, SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { follow, type SatelliteKey } from "./follow.ts";
import { Progress } from "./progress.ts";
import { counted, shortDuration } from "./style.ts";

/** Flags of `wake`, `sleep` and `rm`. */
export interface PowerFlags {
  /** Milliseconds. */
  readonly timeout: number;
  readonly wait: boolean;
  readonly now?: boolean;
}

/** Where a satellite is on its way: there, under way, or never to get there by itself. */
export type Way =
  | { readonly kind: "there"; readonly text: string }
  | { readonly kind: "under way"; readonly text: string }
  | { readonly kind: "stuck"; readonly reason: string; readonly message: string };

/** Milliseconds after which an operator that has not seen the satellite's newest generation is taken to be absent. */
const ABSENT_MS = 15_000;

/** Wakes a satellite, and waits until its port answers. @throws SatelliteError `NotAwake` with the reason, `TimedOut` */
export async function wake(
  target: Connection & SatelliteKey,
  flags: PowerFlags,
  context: CliContext,
): Promise<void> {
  await target.client.patch(SATELLITES, target, { type: "merge", body: { spec: { desiredPower: "on" } } });
  await waitFor(target, flags, context, {
    wish: "wake",
    done: "is awake",
    undone: "is not awake",
    failed: "NotAwake",
    judge: wayAwake,
  });
}

/** Puts a satellite to sleep, and waits until it does. @throws SatelliteError `NotAsleep` with the reason, `TimedOut` */
export async function putToSleep(
  target: Connection & SatelliteKey,
  flags: PowerFlags,
  context: CliContext,
): Promise<void> {
  const { client } = target;
  const before = await client.get<Satellite>(SATELLITES, target);
  const body = { desiredPower: "off", ...(flags.now === true ? { drainTimeout: "0s" } : {}) };
  await client.patch(SATELLITES, target, { type: "merge", body: { spec: body } });
  try {
    // The operator reads drainTimeout while it waits for streams, so it stays short until they are cut.
    await waitFor(target, { ...flags, wait: flags.wait || flags.now === true }, context, {
      wish: "sleep",
      done: "sleeps",
      undone: "does not sleep",
      failed: "NotAsleep",
      judge: wayAsleep,
      isEnough: ({ status }) => !flags.wait && status.power.state === "Stopping" && status.power.accepted,
    });
  } finally {
    if (flags.now === true) {
      const { drainTimeout } = before.spec;
      await client.patch(SATELLITES, target, { type: "merge", body: { spec: { drainTimeout } } });
    }
  }
}

/** How far a satellite is from answering. */
export function wayAwake(satellite: Satellite): Way {
  const { spec, status, metadata } = satellite;
  if (metadata.deletionTimestamp !== undefined) {
    return { kind: "stuck", reason: "Deleting", message: "it is being deleted" };
  }
  if (spec.desiredPower === "off") {
    return {
      kind: "stuck",
      reason: "DesiredOff",
      message: "somebody put it to sleep meanwhile; wake it again",
    };
  }
  const isAwake =
    status.power?.state === "Running" && findCondition(status.conditions, "Awake")?.status === "True";
  return isAwake ? { kind: "there", text: machineText(satellite) } : onTheWay(satellite);
}

/** How far a satellite is from sleeping. */
export function wayAsleep(satellite: Satellite): Way {
  const { spec, status } = satellite;
  if (spec.desiredPower === "on") {
    return {
      kind: "stuck",
      reason: "DesiredOn",
      message:
        "a request, its schedule or somebody woke it meanwhile; see who: kubectl satellite inspect NAME",
    };
  }
  return status.power?.state === "Off" && status.phase !== "Failed"
    ? { kind: "there", text: status.sleep?.kind.toLowerCase() ?? "no machine" }
    : onTheWay(satellite);
}

function onTheWay(satellite: Satellite): Way {
  const { status } = satellite;
  const ready = findCondition(status.conditions, "Ready");
  const stalled = findCondition(status.conditions, "Stalled");
  if (isPaused(satellite)) {
    return {
      kind: "stuck",
      reason: "Paused",
      message: "it is paused; remove the annotation: kubectl annotate satellite NAME satellites.dev/paused-",
    };
  }
  if (stalled?.status === "True" || status.phase === "Failed") {
    const cause = stalled?.status === "True" ? stalled : ready;
    return { kind: "stuck", reason: cause?.reason ?? "Failed", message: cause?.message ?? "it has failed" };
  }
  const streams = Object.values(status.activity ?? {}).reduce((sum, { openStreams }) => sum + openStreams, 0);
  const held = status.phase === "Draining" && streams > 0 ? `, ${counted(streams, "open stream")}` : "";
  const why = ready?.status === "False" && ready.message !== "" ? `: ${ready.message}` : "";
  return { kind: "under way", text: `${status.phase ?? "Pending"}${held}${why}` };
}

function machineText({ status: { machine } }: Satellite): string {
  return machine === undefined
    ? ""
    : [machine.type, machine.id].filter((part) => part !== undefined).join(" ");
}

interface Goal {
  /** What the satellite was told to do. */
  readonly wish: string;
  /** Ends a sentence whose subject is the satellite, where it did. */
  readonly done: string;
  /** The same where it did not in time. */
  readonly undone: string;
  /** Code of the error when it cannot be reached. */
  readonly failed: string;
  readonly judge: (satellite: Satellite) => Way;
  /** Whether no more needs to be waited for. */
  readonly isEnough?: (satellite: Satellite) => boolean;
}

async function waitFor(
  target: Connection & SatelliteKey,
  { timeout, wait }: PowerFlags,
  context: CliContext,
  goal: Goal,
): Promise<void> {
  const { clock, out, stop } = context;
  const name = `${target.namespace}/${target.name}`;
  if (!wait) {
    out.write(`satellite ${name} is told to ${goal.wish}\n`);
    return;
  }
  const ending = new AbortController();
  const progress = new Progress(name, context);
  const timer = clock.setTimer(timeout, () => ending.abort("timeout"));
  const absent = clock.setTimer(ABSENT_MS, () => {
    if (isUnseen) {
      progress.show("the operator has not looked at it yet; does it run? kubectl satellite doctor");
    }
  });
  const signal = AbortSignal.any([stop, ending.signal]);
  let isUnseen = true;
  let last = "";
  try {
    for await (const satellite of follow(target, target, context, signal)) {
      if (satellite === undefined) {
        throw new SatelliteError("SatelliteDeleted", `satellite ${name} was deleted meanwhile`);
      }
      isUnseen = satellite.status.observedGeneration !== satellite.metadata.generation;
      const way = goal.judge(satellite);
      if (way.kind === "stuck") {
        const message = way.message.replaceAll(" NAME", ` ${target.name} -n ${target.namespace}`);
        throw new SatelliteError(goal.failed, `satellite ${name}: ${way.reason}: ${message}`);
      }
      last = way.text === "" ? "" : `: ${way.text}`;
      if (way.kind === "under way") {
        progress.show(way.text);
      }
      // What the status says of an older wish is no answer to this one.
      if ((way.kind === "there" && !isUnseen) || goal.isEnough?.(satellite) === true) {
        progress.end();
        const details = way.text === "" ? "" : ` (${way.text})`;
        out.write(`satellite ${name} ${goal.done} after ${progress.seconds.toFixed(1)} s${details}\n`);
        return;
      }
    }
  } catch (error) {
    if (ending.signal.aborted && !stop.aborted) {
      throw new SatelliteError(
        "TimedOut",
        `satellite ${name} ${goal.undone} after ${shortDuration(timeout / 1000)}${last}. It goes on by itself; see ` +
          `kubectl satellite inspect ${target.name} -n ${target.namespace}`,
      );
    }
    throw error;
  } finally {
    progress.end();
    timer.cancel();
    absent.cancel();
  }
}
