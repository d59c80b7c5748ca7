import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

import { expect } from "chai";

import { Cluster } from "../router/access/access-bench.ts";
import { until } from "../router/support/router-bench.ts";
import { freePort, startProcess, type TestProcess } from "../support/process.ts";
import { BuildKitD } from "./buildkitd.ts";
import { BuildGate, Workshop } from "./builds.ts";
import { stopAfterEach } from "../support/stops.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

interface RouterProcess {
  readonly process: TestProcess;
  readonly port: number;
  /** HTTP status of /readyz. */
  readiness(): Promise<number>;
}

/** Whether somebody takes a connection on a port of the loopback. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Routers as processes of their own, which a rollout replaces, in front of a real BuildKit. */
describe("a rollout of routers during a build", function () {
  this.timeout(120_000);
  const stops = stopAfterEach();
  let daemon: BuildKitD;
  let shop: Workshop;
  let gate: BuildGate;
  let cluster: Cluster;

  beforeEach(async () => {
    daemon = await BuildKitD.start();
    stops.push(() => daemon.stop());
    shop = new Workshop();
    stops.push(() => shop.close());
    gate = await new BuildGate().listen();
    stops.push(() => gate.close());
    cluster = await Cluster.start([], () => true, daemon.port);
    stops.push(() => cluster.stop());
  });
  async function router(id: string, graceSeconds: number): Promise<RouterProcess> {
    const port = await freePort();
    const healthPort = await freePort();
    const options = {
      kubeconfig: cluster.kubeconfig(),
      listen: `127.0.0.1:${port}`,
      "health-address": `127.0.0.1:${healthPort}`,
      "router-id": id,
      "default-satellite": "team-a/ada",
      "grace-seconds": String(graceSeconds),
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const process_ = await startProcess(
      id,
      process.execPath,
      [MAIN, "router", "--anonymous", ...args],
      shop.path(`${id}.log`),
    );
    stops.push(() => process_.stop());
    const readiness = async (): Promise<number> => {
      try {
        return (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status;
      } catch (error) {
        if (!process_.isRunning()) {
          throw new Error(`${id} ended; its last lines:\n${process_.logTail()}`, { cause: error });
        }
        return 0;
      }
    };
    await until(async () => (await readiness()) === 200);
    return { process: process_, port, readiness };
  }

  const build = (port: number, context: string, result: string): ReturnType<Workshop["run"]> =>
    shop.buildctl([`--addr=tcp://127.0.0.1:${port}`], context, shop.path(result));

  it("lets it run to its end: not ready, no new connections, and gone when the build is done", async () => {
    const old = await router("router-old", 60);
    const long = build(old.port, shop.context("long", [gate.step, "RUN echo after > /after"]), "long-out");
    await gate.reached;
    old.process.signal("SIGTERM");
    await until(async () => (await old.readiness()) === 503);
    await until(async () => !(await listens(old.port)));

    const replacement = await router("router-new", 60);
    const short = await build(replacement.port, shop.context("short", ["RUN echo b > /b"]), "short-out")
      .ended;
    expect(short.code, short.output).to.equal(0);

    expect(old.process.isRunning()).to.equal(true);
    gate.open();
    const { code, output } = await long.ended;
    expect(code, output).to.equal(0);
    expect(readFileSync(shop.path("long-out", "after"), "utf8")).to.equal("after\n");
    expect(await old.process.ended).to.equal(0);
  });

  it("ends it with a gRPC status when the grace period is over", async () => {
    const old = await router("router-old", 1);
    const long = build(old.port, shop.context("long", [gate.step]), "long-out");
    await gate.reached;
    old.process.signal("SIGTERM");
    const { code, output } = await long.ended;
    expect(code).not.to.equal(0);
    expect(output).to.match(/unavailable/i);
    expect(await old.process.ended).to.equal(0);
    await gate.broken;
  });
});
