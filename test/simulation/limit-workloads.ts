/** Stories at the limits of what the resources may hold. */
import { findCondition } from "../../src/satellite/conditions.ts";
import { isAsleep, isRunning, KEY, PATH, PATIENCE_MS, type Workload } from "./workload.ts";

const DAY_MS = 24 * 3_600_000;
const MOST_ENTRIES = 64;

/** As many routers have come and gone as status.activity has room for; then one more is called, from asleep and awake. */
const manyRouters: Workload = {
  name: "many-routers",
  routers: 1,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "20s" });
    const time = new Date(world.clock.now().getTime() - 2 * DAY_MS).toISOString();
    const entry = { seq: 1, validSeconds: 1800, openStreams: 0, time };
    const activity = Object.fromEntries(
      Array.from({ length: MOST_ENTRIES }, (_, index) => [`gone-${index}`, entry]),
    );
    for (const isReady of [isRunning(world), isAsleep(world)]) {
      await world.until(isReady, PATIENCE_MS);
      world.kubectl("PATCH", `${PATH}/status`, { status: { activity } });
      const call = world.call(KEY, { router: 0, streamMs: 2000 });
      await world.until(() => call.isDone, 60_000);
      // One that may not wake, or whose machine is out of sight, is refused or held for that.
      if (!call.isDone && isRunning(world)()) {
        world.oracles.violate("a router found no place among the entries of routers that are gone");
      }
    }
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

/** The longest name that there is: everything that is made of it still fits. */
const longestName: Workload = {
  name: "longest-name",
  routers: 1,
  isSmall: false,
  every: 0,
  async tell(world) {
    const name = "a".repeat(253);
    world.createClass("default");
    world.createSatellite(name, { idleTimeout: "20s" });
    await world.until(isRunning(world, `default/${name}`), PATIENCE_MS);
    await world.until(isAsleep(world, `default/${name}`), PATIENCE_MS);
  },
  judge: (world) =>
    world.satellites().every(({ status }) => status.power.epoch === 1) ? [] : ["it was never launched"],
};

/** How soon an error must be shown. */
const TOLD_MS = 120_000;

/** The API server's schema refuses a field for a while, as it does where the CRDs are older than the operator. */
const oldSchema: Workload = {
  name: "old-schema",
  routers: 1,
  isSmall: false,
  every: 4,
  async tell(world) {
    world.createClass("default");
    world.createSatellite("ada", { idleTimeout: "20s" });
    await world.until(isRunning(world), PATIENCE_MS);
    world.rejectedField = "/status/sleep";
    const isTold = (): boolean =>
      findCondition(world.satellite(KEY)?.status.conditions, "Ready")?.reason === "WriteRejected";
    const isStopping = (): boolean => world.satellite(KEY)?.status.power.state === "Stopping";
    // What is refused is written when the machine has stopped; a guest that hangs may keep it from that.
    const isStopped = (): boolean => world.model.instances.truths().some(({ state }) => state === "stopped");
    const isRefused =
      (await world.until(isStopping, PATIENCE_MS)) && (await world.until(isStopped, PATIENCE_MS));
    if (isRefused && !(await world.until(isTold, TOLD_MS))) {
      world.oracles.violate("nothing says for two minutes why it does not go on");
    }
    world.rejectedField = undefined;
    await world.until(isAsleep(world), PATIENCE_MS);
  },
};

export const LIMIT_WORKLOADS: readonly Workload[] = [manyRouters, longestName, oldSchema];
