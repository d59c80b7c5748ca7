import { DOCUMENTED_LIMITS } from "../../src/local/ec2/request-buckets.ts";
import { adoptableBy, ownerTags, Tag } from "../../src/machines/tags.ts";
import type { Condition } from "../../src/satellite/resource.ts";
import { CLUSTER } from "./sim-operator.ts";
import { isAsleep, isGone, isRunning, KEY, PATH, PATIENCE_MS, type Workload } from "./workload.ts";
import type { World } from "./world.ts";

const MINUTE_MS = 60_000;
/** A day in a story about two months. */
const DAY_MS = 4000;
const SIZES = {
  small: { types: ["m7i.large", "m7a.large"] },
  large: { types: ["m7i.xlarge", "m7a.xlarge"] },
};

const typeOf = (world: World): string => {
  const id = world.satellite(KEY)?.status.machine?.id ?? "";
  return world.model.instances.has(id) ? world.model.instances.truth(id).type : "none";
};

/** Made larger while awake, and smaller again while it hibernates; the second change waits for a window. */
const resize: Workload = {
  name: "resize",
  routers: 1,
  isSmall: false,
  every: 2,
  world: { settings: { resyncMs: 20_000 } },
  async tell(world) {
    world.createClass("default", { sizes: SIZES });
    world.createSatellite("ada", { idleTimeout: "10s" });
    await world.until(isRunning(world), PATIENCE_MS);
    world.kubectl("PATCH", PATH, { spec: { size: "large" } });
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.until(() => typeOf(world) === "m7i.xlarge", PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
    const maintenance = { start: "00:02", duration: "23h" };
    world.kubectl("PATCH", PATH, { spec: { size: "small", maintenance } });
    const again = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => again.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.until(() => typeOf(world) === "m7i.large", PATIENCE_MS);
    const isSaid = (): boolean =>
      world.satellite(KEY)?.status.conditions?.some(({ reason }) => reason === "UpToDate") === true;
    await world.until(isSaid, PATIENCE_MS);
  },
  judge: (world) => (typeOf(world) === "m7i.large" ? [] : [`its type is ${typeOf(world)}, not m7i.large`]),
};

/** Its class is changed while it is launched, and deleted while it is used. */
const reclass: Workload = {
  name: "reclass",
  routers: 1,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "10s" });
    await world.until(() => world.satellite(KEY)?.status.launch !== undefined, PATIENCE_MS);
    world.kubectl("PATCH", "satelliteclasses/default", {
      spec: { sizes: { small: { types: ["m7a.large"] } }, ec2: { tags: { team: "a" } } },
    });
    await world.until(isRunning(world), PATIENCE_MS);
    // Refused: what a machine was launched as stays.
    world.kubectl("PATCH", PATH, { spec: { className: "other" } });
    world.kubectl("DELETE", "satelliteclasses/default");
    await world.until(isAsleep(world), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    world.kubectl("DELETE", PATH);
    await world.until(isGone(world), PATIENCE_MS);
    await world.until(() => world.satelliteClass("default") === undefined, PATIENCE_MS);
  },
  judge: (world) =>
    world.satelliteClass("default") === undefined ? [] : ["the class is left, and nobody uses it"],
};

/** By what owners offer their machines and volumes to ada. */
const OFFER = { [Tag.adoptableBy]: adoptableBy(CLUSTER, { namespace: "default", name: "ada" }) };

/** Takes over a machine with a data volume that others launched, and leaves both behind. */
const adopt: Workload = {
  name: "adopt",
  routers: 1,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    const id = world.launchOutside({ owner: "somebody", ...OFFER });
    await world.attachOutside(id, {
      owner: "somebody",
      [Tag.volume]: "data",
      [Tag.retained]: "true",
      ...OFFER,
    });
    await world.sleep(5000);
    world.createSatellite(
      "ada",
      { idleTimeout: "10s", deletionPolicy: "Retain" },
      { "satellites.dev/adopt": id },
    );
    await world.until(isAsleep(world), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    world.kubectl("DELETE", PATH);
    await world.until(isGone(world), PATIENCE_MS);
  },
  judge: (world) => {
    const [machine, ...more] = world.model.instances.truths();
    // It was told to stop before the satellite went. Where its guest hangs, EC2 ends the stop by itself.
    const isStopped = machine?.state === "stopped" || machine?.state === "stopping";
    const isLeft = isStopped && machine.tags["owner"] === "somebody";
    const isOurs = machine?.tags[Tag.cluster] === CLUSTER;
    const volumes = world.model.volumes.truths();
    const isKept = volumes.every(
      ({ tags, attachment }) =>
        tags[Tag.retained] === "true" && tags[Tag.uid] === "" && attachment?.instance === machine?.id,
    );
    return [
      ...(isLeft && !isOurs ? [] : [`the adopted machine is ${machine?.state}, tags ${String(isOurs)}`]),
      ...(more.length === 0 ? [] : [`${more.length} machines were launched beside the adopted one`]),
      ...(volumes.length === 1 && isKept ? [] : [`its data volume is not kept: ${JSON.stringify(volumes)}`]),
    ];
  },
};

/** Takes over a machine where somebody has a volume of their own that is not offered, and is deleted with it. */
const strangersVolume: Workload = {
  name: "strangers-volume",
  routers: 1,
  isSmall: false,
  every: 3,
  async tell(world) {
    world.createClass("default");
    const id = world.launchOutside({ owner: "somebody", ...OFFER });
    await world.attachOutside(id, { owner: "somebody" });
    world.createSatellite("ada", { idleTimeout: "0s" }, { "satellites.dev/adopt": id });
    await world.until(isRunning(world), PATIENCE_MS);
    world.kubectl("DELETE", PATH);
    await world.until(isGone(world), PATIENCE_MS);
  },
  judge: (world) => {
    const [volume, ...more] = world.model.volumes.truths();
    const isUntouched = volume !== undefined && Object.keys(volume.tags).join(" ") === "owner";
    return isUntouched && more.length === 0
      ? []
      : [`somebody's volume was not left alone: ${JSON.stringify([volume, ...more])}`];
  },
};

/** Two clusters in one account, and a machine whose satellite is gone: only that one is collected. */
const neighbours: Workload = {
  name: "neighbours",
  routers: 1,
  isSmall: false,
  every: 4,
  world: {
    listPeriodMs: 20_000,
    settings: { orphanGraceMs: MINUTE_MS, orphanKeptMs: MINUTE_MS },
  },
  async tell(world) {
    world.createClass("default");
    const theirs = world.launchOutside(
      ownerTags("another-cluster", { namespace: "default", name: "ada", uid: "theirs" }),
    );
    world.launchOutside({ owner: "somebody" });
    world.launchOutside(ownerTags(CLUSTER, { namespace: "default", name: "gone", uid: "gone" }));
    world.createSatellite("ada", { idleTimeout: "20s" });
    // Nobody has offered that machine to her.
    world.createSatellite("eve", { desiredPower: "off" }, { "satellites.dev/adopt": theirs });
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.until(() => states(world).includes("terminated"), PATIENCE_MS);
    await world.sleep(MINUTE_MS);
  },
  judge: (world) => {
    const [theirs, other, orphan] = states(world);
    return theirs === "running" && other === "running" && orphan === "terminated"
      ? []
      : [`another cluster's machine is ${theirs}, another's ${other}, the orphan ${orphan}`];
  },
};

const states = (world: World): string[] => world.model.instances.truths().map(({ state }) => state);

/** Hibernated for longer than EC2 keeps memory: refreshed before, and again. A day takes four seconds. */
const refresh: Workload = {
  name: "refresh",
  routers: 1,
  isSmall: false,
  every: 3,
  callsPerMinute: 1,
  world: { settings: { refreshHibernatedMs: 110_000, resyncMs: 20_000 }, hibernationKeptMs: 60 * DAY_MS },
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "10s" });
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.sleep(61 * DAY_MS);
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
    await world.sleep(61 * DAY_MS);
  },
  judge: (world) =>
    world.satellite(KEY)?.status.conditions?.some(({ reason }) => reason === "MemoryLost") === true
      ? ["it was not refreshed in time, and lost its memory"]
      : [],
};

/** The guest's port falls silent while nobody uses it, and a reboot helps. */
const silent: Workload = {
  name: "silent",
  routers: 1,
  isSmall: false,
  every: 2,
  world: { settings: { unreachableMs: 20_000, healthPollMs: 5000 } },
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "2m" });
    await world.until(isRunning(world), PATIENCE_MS);
    const id = world.satellite(KEY)?.status.machine?.id ?? "";
    world.guests.hang(id);
    await world.until(() => world.guests.answers(id), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** The disk of the machine is broken while nobody uses it, and the class lets another machine take its place. */
const brokenDisk: Workload = {
  name: "broken-disk",
  routers: 1,
  isSmall: false,
  every: 4,
  // Whoever puts it to sleep and wakes it, after an hour without a machine, has all steps taken again.
  callsPerMinute: 0.2,
  world: { settings: { unreachableMs: 20_000, healthPollMs: 5000 } },
  async tell(world) {
    world.createClass("default", { recovery: { action: "Replace", maxPerHour: 60 } });
    world.createSatellite("ada", { idleTimeout: "5m" });
    await world.until(isRunning(world), PATIENCE_MS);
    const id = world.satellite(KEY)?.status.machine?.id ?? "";
    world.guests.breakDisk(id);
    const isAnother = (): boolean => world.satellite(KEY)?.status.machine?.id !== id && isRunning(world)();
    await world.until(isAnother, PATIENCE_MS);
    if (isAnother()) {
      world.mark("replaced");
    }
    // What was given up gets all steps again when somebody puts it to sleep and wakes it.
    for (let attempt = 0; attempt < 3 && !isAnother(); attempt += 1) {
      world.kubectl("PATCH", PATH, { spec: { desiredPower: "off" } });
      await world.until(isAsleep(world), PATIENCE_MS);
      world.kubectl("PATCH", PATH, { spec: { desiredPower: "on" } });
      await world.until(isAnother, PATIENCE_MS);
    }
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
  judge: (world) =>
    world.isUndisturbed && !world.moments.has("replaced") ? ["no other machine took its place"] : [],
};

const MIRROR_FAILURE = "BuildKit cannot be installed: http://mirror.example/a.tgz: HTTP Error 404: Not Found";

/** What the guest needs is not on the mirror; the satellite says so, somebody puts it there, and it works. */
const cannotInstall: Workload = {
  name: "cannot-install",
  routers: 1,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default");
    world.guests.notInstallable = MIRROR_FAILURE;
    world.createSatellite("ada", { idleTimeout: "10s" });
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => isQuoted(world) && readyReason(world) === "GuestFailed", PATIENCE_MS);
    if (isQuoted(world)) {
      world.mark("quoted");
    }
    world.guests.notInstallable = undefined;
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
  judge: (world) => [
    ...(world.isUndisturbed && !world.moments.has("quoted")
      ? ["nothing says why the guest does not serve"]
      : []),
    ...(isAsleep(world)() && isQuoted(world) ? ["what the guest said is quoted when it is well again"] : []),
  ],
};

const readyOf = (world: World): Condition | undefined =>
  world.satellite(KEY)?.status.conditions?.find(({ type }) => type === "Ready");
const readyReason = (world: World): string | undefined => readyOf(world)?.reason;
const isQuoted = (world: World): boolean => readyOf(world)?.message.includes(MIRROR_FAILURE) === true;

/** The guest goes on working when its last stream has ended. */
const busy: Workload = {
  name: "busy-guest",
  routers: 1,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    const untilMs = world.clock.elapsedMs + 75_000;
    world.runningWork = () => (world.clock.elapsedMs < untilMs ? 1 : 0);
    world.createSatellite("ada", { idleTimeout: "10s" });
    await world.until(isRunning(world), PATIENCE_MS);
    const call = world.call(KEY, { router: 0, streamMs: 2000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** One may be awake, two want to be: the second waits until the first sleeps. */
const quota: Workload = {
  name: "quota",
  routers: 1,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default", { maxAwake: { total: 1 } });
    world.createSatellite("ada", { idleTimeout: "10s" });
    world.createSatellite("bob", { idleTimeout: "10s" });
    const both = (): boolean => [KEY, "default/bob"].every((key) => isAsleep(world, key)());
    await world.until(both, PATIENCE_MS);
    const calls = [KEY, "default/bob"].map((key) => world.call(key, { router: 0, streamMs: 1000 }));
    await world.until(() => calls.every(({ isDone }) => isDone), PATIENCE_MS);
    await world.until(both, PATIENCE_MS);
  },
};

/**
 * One may be awake, and people try to have more: one is left behind awake, another deleted with its finalizer taken off by
 * hand.
 */
const passingQuota: Workload = {
  name: "passing-the-quota",
  routers: 1,
  isSmall: false,
  every: 4,
  world: { listPeriodMs: 20_000 },
  async tell(world) {
    const at = (name: string): string => `namespaces/default/satellites/${name}`;
    world.createClass("default", { maxAwake: { total: 1 } });
    world.createSatellite("bob", { idleTimeout: "1h", deletionPolicy: "Retain" });
    await world.until(isRunning(world, "default/bob"), PATIENCE_MS);
    world.createSatellite("cyd", { idleTimeout: "1h" });
    world.kubectl("DELETE", at("bob"));
    await world.until(isRunning(world, "default/cyd"), PATIENCE_MS);
    world.createSatellite("ada", { idleTimeout: "10s" });
    world.kubectl("DELETE", at("cyd"));
    world.kubectl("PATCH", at("cyd"), { metadata: { finalizers: null } });
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
  judge: (world) => (states(world).includes("running") ? ["a machine runs on that nobody uses"] : []),
};

/** Woken by its schedule, and paused by hand while it starts. */
const scheduled: Workload = {
  name: "schedule-and-pause",
  routers: 1,
  isSmall: false,
  every: 2,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { desiredPower: "off", idleTimeout: "20s", wakeSchedule: ["1 0 * * *"] });
    await world.until(() => world.satellite(KEY)?.status.power.state === "Starting", PATIENCE_MS);
    world.kubectl("PATCH", PATH, { metadata: { annotations: { "satellites.dev/paused": "true" } } });
    await world.sleep(15_000);
    world.kubectl("PATCH", PATH, { metadata: { annotations: { "satellites.dev/paused": null } } });
    const call = world.call(KEY, { router: 0, streamMs: 1000 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** How many satellites are launched, put to sleep and woken at once, under EC2's documented limits. */
export function fleet(count: number): Workload {
  const names = Array.from({ length: count }, (_, index) => (index === 0 ? "ada" : `sat-${index}`));
  return {
    name: `fleet-of-${count}`,
    routers: 3,
    isSmall: false,
    every: 0,
    world: { limits: DOCUMENTED_LIMITS, subnets: ["127.80.0.0/20", "127.80.16.0/20"] },
    async tell(world) {
      world.createClass("default");
      for (const name of names) {
        world.createSatellite(name, { idleTimeout: "1h" });
      }
      const keys = names.map((name) => `default/${name}`);
      const all = (isSo: (world: World, key: string) => () => boolean) => (): boolean =>
        keys.every((key) => isSo(world, key)());
      await world.until(all(isRunning), 4 * PATIENCE_MS);
      for (const name of names) {
        world.kubectl("PATCH", `namespaces/default/satellites/${name}`, { spec: { desiredPower: "off" } });
      }
      await world.until(all(isAsleep), 4 * PATIENCE_MS);
      world.mark("burst");
      const calls = keys.map((key, index) => world.call(key, { router: index % 3, streamMs: 1000 }));
      await world.until(() => calls.every(({ isDone }) => isDone), 4 * PATIENCE_MS);
      world.mark("served");
    },
    judge: (world) => {
      const starts = world.endpoint.log.calls("StartInstances");
      const most = 20 + 10 * world.restarts + 20 * world.book.befallen;
      return starts.length <= most ? [] : [`${starts.length} StartInstances for ${count} wakes at once`];
    },
  };
}

/** Stories about more than waking and sleeping. */
export const LONG_WORKLOADS: readonly Workload[] = [
  resize,
  reclass,
  adopt,
  strangersVolume,
  neighbours,
  refresh,
  silent,
  brokenDisk,
  cannotInstall,
  busy,
  quota,
  passingQuota,
  scheduled,
  fleet(200),
];
