import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { writeKubeconfig } from "../../src/local/kubernetes/kubeconfig.ts";
import { startKubernetesServer, type KubernetesServer } from "../../src/local/kubernetes/server.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { TOKEN } from "../local/kubernetes/support.ts";
import { awake, power, satellite } from "../router/satellites.ts";
import { RawVM } from "../router/support/http2-peers.ts";
import { until } from "../router/support/router-bench.ts";
import { freePort, startProcess, untilReady, type TestProcess } from "../support/process.ts";
import { asCreated } from "../support/satellites.ts";

const USER = { name: "tester", groups: ["system:masters"], token: TOKEN };
const CRDS = join(import.meta.dirname, "..", "..", "crds");
const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");
const COUNT = 2;
const WORKERS = ["1", "2"];

/** `satellites router --workers 2` as it runs in a pod: a parent and two workers behind one port. */
describe("a router of several workers", function () {
  this.timeout(60_000);
  let folder: string;
  let server: KubernetesServer;
  let client: ConnectedKubeClient;
  let vm: RawVM;
  let router: TestProcess;
  let port: number;
  let healthPort: number;
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "workers-"));
    server = await startKubernetesServer({
      stateDir: join(folder, "state"),
      crdPaths: readdirSync(CRDS).map((file) => join(CRDS, file)),
      users: [USER],
    });
    const kubeconfig = join(folder, "kubeconfig");
    writeKubeconfig(kubeconfig, { url: server.url, caPem: server.caPem, user: USER });
    vm = await RawVM.start((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.pipe(stream);
    });
    client = connectKubernetes(
      { kubeconfig, component: "test", metrics: createKubeMetrics(createMetricsRegistry()) },
      {
        environment: {},
        clock: systemClock,
        random: Math.random,
        logger: silentLogger,
        stop: new AbortController().signal,
      },
    );
    const endpoint = { host: "127.0.0.1", port: vm.port };
    await create(awake({ name: "ada", namespace: "default", status: { endpoint } }));
    await create(satellite({ name: "eve", namespace: "default", status: { endpoint } }));
    port = await freePort();
    router = await start();
    await until(async () => (await metric("satellites_router_streams_open")).size === COUNT);
  });
  after(async () => {
    await router?.stop("SIGTERM");
    vm?.stop();
    await client?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => {
    for (const session of sessions.splice(0)) {
      session.destroy();
    }
  });

  async function create(object: Satellite): Promise<void> {
    await client.create<Satellite>(SATELLITES, asCreated(object));
    await setStatus(object.metadata.name, object.status);
  }

  async function setStatus(name: string, status: object): Promise<void> {
    await client.patch<Satellite>(
      SATELLITES,
      { namespace: "default", name },
      { type: "merge", body: { status } },
      { subresource: "status" },
    );
  }

  const read = (name: string): Promise<Satellite> =>
    client.get<Satellite>(SATELLITES, { namespace: "default", name });

  /** Once it is ready; others than the one of the tests at once. */
  async function start(name = "router"): Promise<TestProcess> {
    const at = await freePort();
    const started = await startProcess(
      name,
      process.execPath,
      [
        MAIN,
        "router",
        `--workers=${COUNT}`,
        `--kubeconfig=${join(folder, "kubeconfig")}`,
        "--anonymous",
        `--listen=127.0.0.1:${port}`,
        `--health-address=127.0.0.1:${at}`,
        "--router-id=router-0",
      ],
      join(folder, `${name}.log`),
    );
    if (name === "router") {
      healthPort = at;
      await untilReady(started, at);
    }
    return started;
  }

  /** The values of a metric, by worker; of several series of one worker, the last. */
  async function metric(name: string): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
    const lines = text.matchAll(new RegExp(`^${name}\\{.*?worker="(\\d+)".*\\} (\\S+)$`, "gm"));
    return new Map([...lines].map(([, worker = "", value]) => [worker, Number(value)]));
  }

  const untilMetric = (name: string, expected: readonly (readonly [string, number])[]): Promise<void> =>
    until(async () => {
      const values = await metric(name);
      return expected.every(([worker, value]) => values.get(worker) === value);
    });

  /** Connections are dealt out in turn: as many as there are workers reach each once. */
  function newClient(): ClientHttp2Session {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    sessions.push(session);
    return session;
  }

  function call(name: string): ClientHttp2Stream {
    const stream = newClient().request({
      ":method": "POST",
      ":path": "/test.Service/Echo",
      "content-type": "application/grpc",
      te: "trailers",
      "satellite-name": name,
      "satellite-namespace": "default",
    });
    stream.on("error", () => {});
    return stream;
  }

  /** One stream on each worker. */
  async function openOnEach(): Promise<readonly ClientHttp2Stream[]> {
    await untilMetric(
      "satellites_router_streams_open",
      WORKERS.map((worker) => [worker, 0]),
    );
    const streams = WORKERS.map(() => call("ada"));
    await Promise.all(streams.map((stream) => echo(stream, "before")));
    await untilMetric(
      "satellites_router_streams_open",
      WORKERS.map((worker) => [worker, 1]),
    );
    return streams;
  }

  async function echo(stream: ClientHttp2Stream, word: string): Promise<void> {
    const back = once(stream, "data") as Promise<[Buffer]>;
    stream.write(word);
    expect((await back)[0].toString()).to.equal(word);
  }

  async function endOf(stream: ClientHttp2Stream): Promise<unknown> {
    const trailers = once(stream, "trailers") as Promise<[Record<string, unknown>]>;
    stream.end();
    return (await trailers)[0]["grpc-status"];
  }

  function workerPids(): readonly number[] {
    const children = readFileSync(`/proc/${router.pid}/task/${router.pid}/children`, "utf8").trim();
    return children.split(" ").map(Number);
  }

  it("serves requests by each of them, under leases of their own", async () => {
    const streams = await openOnEach();
    const { status } = await read("ada");
    expect(Object.keys(status.activity).toSorted()).to.deep.equal(["router-0.1", "router-0.2"]);
    expect(await Promise.all(streams.map(endOf))).to.deep.equal(["0", "0"]);
  });

  it("wakes a satellite once for requests that each of them holds", async () => {
    const { generation } = (await read("eve")).metadata;
    const streams = WORKERS.map(() => call("eve"));
    const answers = Promise.all(streams.map((stream) => echo(stream, "woken")));
    await untilMetric(
      "satellites_router_held_requests",
      WORKERS.map((worker) => [worker, 1]),
    );
    await untilMetric(
      "satellites_router_wakes_total",
      WORKERS.map((worker) => [worker, 1]),
    );
    const woken = await read("eve");
    expect(woken.spec.desiredPower).to.equal("on");
    expect(woken.metadata.generation, "writes of the spec").to.equal((generation ?? 0) + 1);
    await setStatus("eve", { phase: "Running", power: power("Running") });
    await answers;
  });

  it("starts one again that was killed, while the others go on", async () => {
    const streams = await openOnEach();
    const [victim = 0, survivor = 0] = workerPids();
    const losses = sessions.map((session) => once(session, "close"));
    process.kill(victim, "SIGKILL");
    const lost = await Promise.race(losses.map((loss, index) => loss.then(() => index)));
    await echo(streams[1 - lost]!, "after");
    await until(() => Promise.resolve(workerPids().length === COUNT && !workerPids().includes(victim)));
    expect(workerPids()).to.include(survivor);
    expect(await metric("satellites_router_worker_restarts_total")).to.deep.equal(new Map([["0", 1]]));
    await until(async () => (await metric("satellites_router_streams_open")).size === COUNT);
    await echo(call("ada"), "again");
    await echo(call("ada"), "again");
    await until(async () =>
      [...(await metric("satellites_router_streams_open")).values()].every((open) => open > 0),
    );
  });

  it("ends, and says so, where none can listen", async () => {
    const second = await start("second");
    expect(await second.ended).to.equal(1);
    expect(second.logTail(50)).to.contain("CannotListen").and.contain("RouterWorkerFailed");
  });

  it("lets the streams of each end at SIGTERM, whoever of them gets it too, and withdraws each lease", async () => {
    const streams = await openOnEach();
    const goodbyes = sessions.map((session) => once(session, "goaway"));
    // As a service manager does that ends a group of processes.
    for (const pid of [router.pid, ...workerPids()]) {
      process.kill(pid, "SIGTERM");
    }
    await Promise.all(goodbyes);
    await until(async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status === 503);
    await Promise.all(streams.map((stream) => echo(stream, "after")));
    expect(await Promise.all(streams.map(endOf))).to.deep.equal(["0", "0"]);
    expect(await router.ended).to.equal(0);
    expect((await read("ada")).status.activity).to.deep.equal({});
  });
});
