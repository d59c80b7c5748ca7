import { HANDOVER_MS } from "../../src/operator/shard.ts";
import { LEASE_NAME } from "./sim-operator.ts";
import { isAsleep, isGone, isRunning, KEY, PATIENCE_MS, type Workload } from "./workload.ts";

const LABEL = "satellites.dev/shard";
const THEIRS = "theirs/grace";
const MOVING = "moving/edsger";
const LATER = "moving/alan";

/** Two operators share the cluster, and a namespace goes from the first to the second one and back. */
export const twoShards: Workload = {
  name: "two-shards",
  routers: 1,
  isSmall: false,
  every: 6,
  world: {
    shards: [
      { lease: LEASE_NAME, namespaceSelector: `${LABEL} notin (b)` },
      { lease: `${LEASE_NAME}-b`, namespaceSelector: `${LABEL}=b` },
    ],
  },
  async tell(world) {
    world.createClass("default");
    world.createNamespace("theirs", { [LABEL]: "b" });
    world.createNamespace("moving");
    world.createSatellite("ada", { idleTimeout: "20s" });
    world.createSatellite("grace", { idleTimeout: "20s" }, {}, "theirs");
    world.createSatellite("edsger", { idleTimeout: "30s" }, {}, "moving");
    // It is put to sleep when the namespace has been the second one's for a while.
    world.createSatellite("alan", { idleTimeout: "240s" }, {}, "moving");
    const all = [KEY, THEIRS, MOVING, LATER];
    await world.until(() => all.every((key) => isRunning(world, key)()), PATIENCE_MS);
    await world.until(() => [KEY, THEIRS].every((key) => isAsleep(world, key)()), PATIENCE_MS);
    // Edsger is about to be put to sleep, by whoever has it.
    world.labelNamespace("moving", LABEL, "b");
    await world.sleep(HANDOVER_MS + 10_000);
    await world.until(isAsleep(world, MOVING), PATIENCE_MS);
    const call = world.call(MOVING, { router: 0, streamMs: 500 });
    await world.until(() => call.isDone, PATIENCE_MS);
    await world.until(() => [MOVING, LATER].every((key) => isAsleep(world, key)()), PATIENCE_MS);
    world.labelNamespace("moving", LABEL, null);
    await world.sleep(1000);
    world.kubectl("DELETE", "namespaces/moving/satellites/edsger");
    await world.until(isGone(world, MOVING), PATIENCE_MS);
  },
};
