import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { writeKubeconfig } from "../../src/local/kubernetes/kubeconfig.ts";
import { startKubernetesServer, type KubernetesServer } from "../../src/local/kubernetes/server.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { TOKEN } from "../local/kubernetes/support.ts";
import { awake } from "../router/satellites.ts";
import { RawVM } from "../router/support/http2-peers.ts";
import { until } from "../router/support/router-bench.ts";
import { freePort, startProcess, type TestProcess } from "../support/process.ts";
import { asCreated } from "../support/satellites.ts";

const USER = { name: "tester", groups: ["system:masters"], token: TOKEN };
const CRDS = join(import.meta.dirname, "..", "..", "crds");
const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");
const PLANT = join(import.meta.dirname, "plant-faults.ts");

/** `satellites router` as a process, with errors planted in it. */
describe("an error that nobody catches in a router", function () {
  this.timeout(30_000);
  let folder: string;
  let server: KubernetesServer;
  let vm: RawVM;
  let router: TestProcess;
  let port: number;
  let healthPort: number;
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "uncaught-"));
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
    await createSatellites(kubeconfig);
  });
  after(async () => {
    vm?.stop();
    await server?.close();
    rmSync(folder, { recursive: true });
  });
  afterEach(async () => {
    for (const session of sessions.splice(0)) {
      session.destroy();
    }
    await router?.stop();
  });

  async function createSatellites(kubeconfig: string): Promise<void> {
    const client = connectKubernetes(
      { kubeconfig, component: "test", metrics: createKubeMetrics(createMetricsRegistry()) },
      {
        environment: {},
        clock: systemClock,
        random: Math.random,
        logger: silentLogger,
        stop: new AbortController().signal,
      },
    );
    for (const name of ["ada", "eve"]) {
      const object = awake({
        name,
        namespace: "default",
        status: { endpoint: { host: "127.0.0.1", port: vm.port } },
      });
      await client.create<Satellite>(SATELLITES, asCreated(object));
      await client.patch<Satellite>(
        SATELLITES,
        { namespace: "default", name },
        { type: "merge", body: { status: object.status } },
        { subresource: "status" },
      );
    }
    await client.close();
  }

  /** @param log file that it logs to */
  async function start(log = join(folder, "router.log")): Promise<void> {
    port = await freePort();
    healthPort = await freePort();
    router = await startProcess(
      "router",
      process.execPath,
      [
        "--import",
        PLANT,
        MAIN,
        "router",
        `--kubeconfig=${join(folder, "kubeconfig")}`,
        "--anonymous",
        `--listen=127.0.0.1:${port}`,
        `--health-address=127.0.0.1:${healthPort}`,
        "--router-id=router-0",
      ],
      log,
    );
    await until(async () => (await readiness()) === 200);
  }

  /** The status of /readyz; 0 where nobody answers. */
  async function readiness(): Promise<number> {
    return fetch(`http://127.0.0.1:${healthPort}/readyz`).then(
      (response) => response.status,
      () => 0,
    );
  }

  async function uncaught(ended: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
    const line = new RegExp(`^satellites_router_uncaught_errors_total\\{ended="${ended}"\\} (\\d+)$`, "m");
    return Number(line.exec(text)?.[1] ?? 0);
  }

  function newClient(): ClientHttp2Session {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    sessions.push(session);
    return session;
  }

  function call(
    session: ClientHttp2Session,
    name: string,
    fields: Record<string, string> = {},
  ): ClientHttp2Stream {
    const stream = session.request({
      ":method": "POST",
      ":path": "/test.Service/Echo",
      "content-type": "application/grpc",
      te: "trailers",
      "satellite-name": name,
      "satellite-namespace": "default",
      ...fields,
    });
    stream.on("error", () => {});
    return stream;
  }

  /** Sends a word on an open stream and waits until it comes back. */
  async function echo(stream: ClientHttp2Stream, word: string): Promise<void> {
    const back = once(stream, "data") as Promise<[Buffer]>;
    stream.write(word);
    expect((await back)[0].toString()).to.equal(word);
  }

  /** The status that a stream ends with, once its client has ended its side. */
  async function endOf(stream: ClientHttp2Stream): Promise<unknown> {
    const trailers = once(stream, "trailers") as Promise<[Record<string, unknown>]>;
    stream.end();
    return (await trailers)[0]["grpc-status"];
  }

  it("ends the connection that it belongs to, and no other", async () => {
    await start();
    const other = call(newClient(), "ada");
    await echo(other, "before");
    const unlucky = newClient();
    const gone = once(unlucky, "close");
    call(unlucky, "eve");
    await gone;
    expect(await uncaught("connection")).to.equal(1);
    expect(await uncaught("router")).to.equal(0);
    await echo(other, "after");
    expect(await endOf(other)).to.equal("0");
    expect(await readiness()).to.equal(200);
    expect(readFileSync(join(folder, "router.log"), "utf8")).to.match(
      /"level":"error".*"message":"connection failed"/,
    );
  });

  it("ends nothing else where nobody can take what is logged", async () => {
    // Each write to it fails: https://man7.org/linux/man-pages/man4/full.4.html.
    await start("/dev/full");
    const unlucky = newClient();
    const gone = once(unlucky, "close");
    call(unlucky, "eve");
    await gone;
    const other = call(newClient(), "ada");
    await echo(other, "after");
    expect(await endOf(other)).to.equal("0");
    expect(await uncaught("router")).to.equal(0);
    expect(await readiness()).to.equal(200);
  });

  it("ends the router in order where it belongs to none", async () => {
    await start();
    const open = call(newClient(), "ada");
    await echo(open, "before");
    call(newClient(), "ada", { "x-planted": "yes" });
    await until(async () => (await readiness()) === 503);
    expect(await uncaught("router")).to.equal(1);
    await echo(open, "after");
    for (const session of sessions.slice(1)) {
      session.destroy();
    }
    expect(await endOf(open)).to.equal("0");
    sessions[0]?.close();
    expect(await router.ended).to.equal(1);
  });
});
