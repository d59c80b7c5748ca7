// A router with sleeping satellites s0, s1, … in a process of its own: node wake-server.ts COUNT
// It tells its parent {port}; {awake, port} makes it learn that the satellite of that number runs, its VM at that port.
import process from "node:process";

import { power, satellite } from "../../test/router/satellites.ts";
import { RouterBench } from "../../test/router/support/router-bench.ts";

const count = Number(process.argv[2]);
const bench = await RouterBench.start(
  Array.from({ length: count }, (_unused, place) => satellite({ name: `s${place}`, uid: `uid-${place}` })),
);
process.on("message", ({ awake, port, held }: { awake?: number; port?: number; held?: number }) => {
  if (held !== undefined) {
    void bench.held(held).then(() => process.send?.({ held }));
    return;
  }
  bench.server.change(`team-a/s${awake}`, (object) => {
    object.spec.desiredPower = "on";
    object.status.power = power("Running");
    object.status.phase = "Running";
    object.status.endpoint = { host: "127.0.0.1", port: Number(port) };
  });
});
process.once("disconnect", () => process.exit());
process.send?.({ port: bench.port });
