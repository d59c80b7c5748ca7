import { NEXT_IMAGE } from "./guests.ts";
import { LIMIT_WORKLOADS } from "./limit-workloads.ts";
import { LONG_WORKLOADS } from "./long-workloads.ts";
import { twoShards } from "./shard-workload.ts";
import { isAsleep, isGone, isRunning, KEY, PATH, PATIENCE_MS, type Workload } from "./workload.ts";
import type { World } from "./world.ts";

/** Created, used, idle until it sleeps, woken by a request, idle again. */
const useAndWake: Workload = {
  name: "use-and-wake",
  routers: 1,
  isSmall: true,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "20s" });
    await world.until(isRunning(world), PATIENCE_MS);
    const first = world.call(KEY, { router: 0, streamMs: 3000 });
    await world.until(() => first.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
    const second = world.call(KEY, { router: 0, streamMs: 25_000 });
    await world.until(() => second.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** Many requests at three routers for one that sleeps. */
const burst: Workload = {
  name: "burst",
  routers: 3,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "20s" });
    await world.until(isAsleep(world), PATIENCE_MS);
    const calls = Array.from({ length: 9 }, (_, index) =>
      world.call(KEY, { router: index % 3, streamMs: 500 + 900 * index }),
    );
    await world.until(() => calls.every(({ isDone }) => isDone), PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** Set off by hand while streams are open, at two routers; a request comes while it drains. */
const drain: Workload = {
  name: "drain",
  routers: 2,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "30s", drainTimeout: "12s" });
    await world.until(isRunning(world), PATIENCE_MS);
    const short = world.call(KEY, { router: 0, streamMs: 6000 });
    const long = world.call(KEY, { router: 1, streamMs: 14_000 });
    await world.sleep(2000);
    world.kubectl("PATCH", PATH, { spec: { desiredPower: "off" } });
    await world.sleep(3000);
    const late = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => short.isDone && long.isDone && late.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** Kept off by hand: wakePolicy Manual, and a request that is refused. */
const manual: Workload = {
  name: "manual",
  routers: 1,
  isSmall: true,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "0s", wakePolicy: "Manual", sleepMode: "Stop" });
    await world.until(isRunning(world), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    world.kubectl("PATCH", PATH, { spec: { desiredPower: "off" } });
    await world.until(isAsleep(world), PATIENCE_MS);
    world.kubectl("PATCH", PATH, { spec: { desiredPower: "on" } });
    await world.until(isRunning(world), PATIENCE_MS);
  },
};

/** When a satellite is deleted, by name of the phase. */
const DELETE_WHEN: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  pending: (world) => world.sleep(3),
  launching: (world) =>
    world.until(() => world.satellite(KEY)?.status.power.state === "Starting", PATIENCE_MS),
  running: async (world) => {
    await world.until(isRunning(world), PATIENCE_MS);
    world.call(KEY, { router: 0, streamMs: 4000 });
    await world.sleep(1000);
  },
  stopping: (world) =>
    world.until(() => world.satellite(KEY)?.status.power.state === "Stopping", PATIENCE_MS),
  asleep: (world) => world.until(isAsleep(world), PATIENCE_MS),
  waking: async (world) => {
    await world.until(isAsleep(world), PATIENCE_MS);
    world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => world.satellite(KEY)?.status.power.state === "Starting", PATIENCE_MS);
  },
};

function deleted(phase: string, when: (world: World) => Promise<unknown>): Workload {
  return {
    name: `delete-${phase}`,
    routers: 1,
    isSmall: phase === "launching",
    async tell(world) {
      world.createClass("default");
      world.createSatellite("ada", { idleTimeout: "5s", drainTimeout: "5s" });
      await when(world);
      world.kubectl("DELETE", PATH);
      await world.until(isGone(world), PATIENCE_MS);
    },
  };
}

/** Creates a class with a data volume and a satellite of it, and lets a new image come out once that sleeps. */
async function beginUpdate(world: World): Promise<void> {
  world.createClass("default", {}, { dataVolume: { sizeGiB: 20 } });
  world.createSatellite("ada", { idleTimeout: "10s", drainTimeout: "5s", sleepMode: "Stop" });
  await world.until(isAsleep(world), PATIENCE_MS);
  world.kubectl("PATCH", "satelliteclasses/default", {
    spec: { ec2: { image: { nameFilter: null, id: NEXT_IMAGE } } },
  });
  await world.until(() => world.satellite(KEY)?.status.power.state === "Updating", PATIENCE_MS);
}

/** A new image for one that sleeps; a request comes while the machine is replaced. */
const update: Workload = {
  name: "update",
  routers: 1,
  isSmall: true,
  async tell(world) {
    await beginUpdate(world);
    await world.sleep(2000);
    const call = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    const isNew = (): boolean => world.satellite(KEY)?.status.machine?.image === NEXT_IMAGE;
    await world.until(() => isNew() && isAsleep(world)(), PATIENCE_MS);
  },
};

/** Deleted while its machine is being replaced, when the volume is on neither machine. */
const deleteUpdating: Workload = {
  name: "delete-updating",
  routers: 1,
  isSmall: false,
  async tell(world) {
    await beginUpdate(world);
    const isMoving = (): boolean =>
      world.model.volumes.truths().some(({ attachment }) => attachment?.state === "detaching");
    await world.until(isMoving, PATIENCE_MS);
    world.kubectl("DELETE", PATH);
    await world.until(isGone(world), PATIENCE_MS);
  },
};

/** Several satellites at once: created, woken together, deleted together but one. */
const several: Workload = {
  name: "several",
  routers: 2,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default");
    const names = ["ada", "bob", "cyd", "dan"];
    for (const name of names) {
      world.createSatellite(name, { idleTimeout: "15s" });
    }
    const all = (isSo: (name: string) => boolean) => (): boolean => names.every(isSo);
    const asleep = all((name) => {
      const satellite = world.satellite(`default/${name}`);
      return satellite?.spec.desiredPower === "off" && satellite.status.power.state === "Off";
    });
    await world.until(asleep, PATIENCE_MS);
    const calls = names.map((name, index) =>
      world.call(`default/${name}`, { router: index % 2, streamMs: 3000 }),
    );
    await world.until(() => calls.every(({ isDone }) => isDone), PATIENCE_MS);
    for (const name of names.slice(1)) {
      world.kubectl("DELETE", `namespaces/default/satellites/${name}`);
    }
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.until(() => world.satellites().length === 1, PATIENCE_MS);
  },
};

/** How long a satellite that nobody uses may take to sleep: EC2's time, and some rounds of the operator. */
const PROMPT_MS = 15_000;

/** A router that was used ends in a rollout; then somebody switches the satellite off. */
const rollout: Workload = {
  name: "rollout",
  routers: 2,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "5m", drainTimeout: "2m" });
    await world.until(isRunning(world), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.endRouter("router-0");
    world.mark("off");
    world.kubectl("PATCH", PATH, { spec: { desiredPower: "off" } });
    await world.until(isAsleep(world), PATIENCE_MS);
    world.mark("asleep");
  },
  judge: (world) => {
    const tookMs = (world.moments.get("asleep") ?? Infinity) - (world.moments.get("off") ?? 0);
    return world.isUndisturbed && tookMs > PROMPT_MS
      ? [`it took ${tookMs} ms to sleep, waiting for a router that had ended`]
      : [];
  },
};

/** One namespace's requests take all of a router's places; then one comes for another namespace's satellite. */
const crowd: Workload = {
  name: "crowd",
  routers: 1,
  isSmall: false,
  every: 0,
  world: { maxHeld: 20 },
  async tell(world) {
    world.createClass("default");
    world.createNamespace("quiet");
    const keys = ["ada", "grace", "edsger"];
    for (const name of keys) {
      world.createSatellite(name, { idleTimeout: "20s" });
    }
    world.createSatellite("alan", { idleTimeout: "20s" }, {}, "quiet");
    const all = [...keys.map((name) => `default/${name}`), "quiet/alan"];
    await world.until(() => all.every((key) => isAsleep(world, key)()), PATIENCE_MS);
    const noisy = Array.from({ length: 60 }, (_unused, index) =>
      world.call(`default/${keys[index % keys.length] ?? ""}`, { router: 0, streamMs: 500 }),
    );
    await world.sleep(100);
    const quiet = world.call("quiet/alan", { router: 0, streamMs: 500 });
    await world.until(() => [...noisy, quiet].every(({ isDone }) => isDone), PATIENCE_MS);
    if (quiet.endings.some(({ kind }) => kind === "refused")) {
      world.mark("the quiet one was refused");
    }
    await world.until(() => all.every((key) => isAsleep(world, key)()), PATIENCE_MS);
  },
  judge: (world) =>
    world.isUndisturbed && world.moments.has("the quiet one was refused")
      ? ["a namespace that held nothing found no place, since another one held them all"]
      : [],
};

/** All workloads, the basic one first. */
export const WORKLOADS: readonly Workload[] = [
  useAndWake,
  burst,
  drain,
  manual,
  ...Object.entries(DELETE_WHEN).map(([phase, when]) => deleted(phase, when)),
  several,
  update,
  deleteUpdating,
  rollout,
  crowd,
  ...LONG_WORKLOADS,
  ...LIMIT_WORKLOADS,
  twoShards,
];

/** @throws Error when there is none of that name */
export function workloadNamed(name: string): Workload {
  const workload = WORKLOADS.find((candidate) => candidate.name === name);
  if (workload === undefined) {
    throw new Error(
      `there is no workload "${name}"; there are: ${WORKLOADS.map((each) => each.name).join(", ")}`,
    );
  }
  return workload;
}
