import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { expect } from "chai";
import { generate } from "selfsigned";

import { systemClock } from "../../src/base/clock.ts";
import { guestProbe } from "../../src/commands/probe-guest.ts";
import { loadBuildkitSchema, loadGuestSchema } from "../../src/guest/schema.ts";
import type { ProbeAnswer } from "../../src/operator/dependencies.ts";
import type { RouterOptions } from "../../src/router/router.ts";
import type { TlsOptions } from "../../src/router/tls-material.ts";
import { createTokenAccess } from "../../src/router/token-access.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { issue } from "../router/access/cert-manager.ts";
import { newAuthority, type Certificate } from "../router/access/certificates.ts";
import { FakeReviewer } from "../router/access/fake-reviewer.ts";
import { awake, satellite } from "../router/satellites.ts";
import { RouterBench, until } from "../router/support/router-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { BOOT_ID, BuildKitD } from "./buildkitd.ts";
import { BuildGate, Workshop } from "./builds.ts";
import { stopAfterEach } from "../support/stops.ts";

/** Asked by `buildx ls`, and by every build of buildx before it begins. */
const LIST_WORKERS = "/moby.buildkit.v1.Control/ListWorkers";
/** BuildKit gives a session up that has not answered for so long. */
const SESSION_PATIENCE_MS = 15_000;
/** A client of a build gives up when its gateway has not answered a ping for so long (frontend/gateway/grpcclient). */
const GATEWAY_PATIENCE_MS = 15_000;

/** buildctl and buildx, which are built on grpc-go, at a BuildKit that runs behind the router. */
describe("BuildKit behind a router", function () {
  this.timeout(120_000);
  const stops = stopAfterEach();
  let daemon: BuildKitD;
  let shop: Workshop;

  before(async () => {
    daemon = await BuildKitD.start();
  });
  after(() => daemon?.stop());
  beforeEach(() => {
    shop = new Workshop();
    stops.push(() => shop.close());
  });
  /** A router whose requests are for "ada" when they name no satellite: these clients cannot send metadata. */
  async function router(isAwake: boolean, options: RouterOptions = {}): Promise<RouterBench> {
    const endpoint = { host: "127.0.0.1", port: daemon.port };
    const bench = await RouterBench.start([isAwake ? awake({ status: { endpoint } }) : satellite()], {
      address: { defaultSatellite: { namespace: "team-a", name: "ada" } },
      ...options,
    });
    stops.push(() => bench.router.close());
    return bench;
  }

  async function buildGate(): Promise<BuildGate> {
    const gate = await new BuildGate().listen();
    stops.push(() => gate.close());
    return gate;
  }

  /** What the operator asks of it. */
  const look = (measures = false): Promise<ProbeAnswer> =>
    guestProbe(
      { guest: loadGuestSchema(), buildkit: loadBuildkitSchema() },
      systemClock,
    )({
      host: "127.0.0.1",
      port: daemon.port,
      tls: "Off",
      isBuildkit: true,
      measures,
    });

  const to = (bench: RouterBench): string[] => [`--addr=tcp://127.0.0.1:${bench.port}`];

  /** Lets buildx know the router as a builder. */
  async function builder(bench: RouterBench, ...more: string[]): Promise<void> {
    const address = `tcp://127.0.0.1:${bench.port}`;
    const create = ["create", "--name=satellite", "--driver=remote", ...more, address];
    const { code, output } = await shop.run("buildx", create).ended;
    expect(code, output).to.equal(0);
  }

  const buildx = (context: string, result: string): ReturnType<Workshop["run"]> =>
    shop.run("buildx", [
      "build",
      "--builder=satellite",
      "--progress=plain",
      "--no-cache",
      `--output=type=local,dest=${result}`,
      context,
    ]);

  it("tells the operator its boot, its version, the builds that run, and the size of its cache", async () => {
    const bench = await router(true);
    const gate = await buildGate();
    const build = shop.buildctl(to(bench), shop.context("context", [gate.step]), shop.path("out"));
    await gate.reached;
    const during = await look();
    expect(during).to.include({ ready: true, bootID: BOOT_ID, runningWork: 1 });
    expect(during.buildkit?.version).to.match(/^v\d+\.\d+\.\d+/);
    expect(during.buildkit).not.to.have.property("cacheBytes");
    gate.open();
    const { code, output } = await build.ended;
    expect(code, output).to.equal(0);
    const behind = await look(true);
    expect(behind).to.include({ ready: true, runningWork: 0 });
    const { cacheBytes = 0, cacheMaxBytes = 0 } = behind.buildkit ?? {};
    expect(cacheBytes).to.be.greaterThan(0).and.lessThan(cacheMaxBytes);
  });

  describe("buildctl", () => {
    it("wakes the satellite, waits, and builds: six builds at once, one wake", async () => {
      const bench = await router(false);
      const context = shop.context("context", ["RUN echo built > /result"]);
      const builds = Array.from({ length: 6 }, (_unused, place) =>
        shop.buildctl(to(bench), context, shop.path(`out-${place}`)),
      );
      await until(async () => ((await bench.metric("satellites_router_held_requests")) ?? 0) >= 6);
      bench.runs(daemon.port);
      for (const { ended } of builds) {
        const { code, output } = await ended;
        expect(code, output).to.equal(0);
      }
      const results = builds.map((_unused, place) =>
        readFileSync(shop.path(`out-${place}`, "result"), "utf8"),
      );
      expect(results).to.deep.equal(builds.map(() => "built\n"));
      expect(bench.server.wakeCalls).to.have.length(1);
    });

    it("waits for longer than its client waits for a gateway, where the router remembers answers", async () => {
      const { buildkit: told } = await look();
      const machine = { id: "i-1", answers: told?.answers ?? {} };
      const bench = await RouterBench.start([satellite({ status: { machine } })], {
        address: { defaultSatellite: { namespace: "team-a", name: "ada" } },
      });
      stops.push(() => bench.router.close());
      const context = shop.context("context", ["RUN echo built > /result"]);
      const build = shop.buildctl(to(bench), context, shop.path("out"));
      await bench.held(1);
      await delay(GATEWAY_PATIENCE_MS + 2000);
      bench.runs(daemon.port);
      const { code, output } = await build.ended;
      expect(code, output).to.equal(0);
      expect(bench.server.wakeCalls).to.have.length(1);
    });

    it("sends a context of 64 MiB and gets it back, byte for byte", async () => {
      const bench = await router(true);
      const large = randomBytes(64 * 1024 * 1024);
      const context = shop.context("context", ["COPY large /large"], { large });
      const { code, output } = await shop.buildctl(to(bench), context, shop.path("out")).ended;
      expect(code, output).to.equal(0);
      const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
      expect(digest(readFileSync(shop.path("out", "large")))).to.equal(digest(large));
    });

    it("tells what went wrong in a Dockerfile of 500 KiB, which comes with the error", async () => {
      const bench = await router(true);
      const comments = Array.from({ length: 500 * 16 }, (_unused, line) => `# ${line} `.padEnd(63, "x"));
      const context = shop.context("context", [...comments, "RUN exit 42"]);
      const { code, output } = await shop.buildctl(to(bench), context, shop.path("out")).ended;
      expect(code).to.equal(1);
      expect(output).to.contain("exit code: 42").and.contain(">>> RUN exit 42");
    });

    it("is silent for longer than BuildKit waits for a session, and goes on", async () => {
      const bench = await router(true);
      const gate = await buildGate();
      const context = shop.context("context", [gate.step]);
      const build = shop.buildctl(to(bench), context, shop.path("out"));
      await gate.reached;
      setTimeout(() => gate.open(), SESSION_PATIENCE_MS + 5000);
      const { code, output } = await build.ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "gate"), "utf8")).to.equal("opened");
    });

    it("cancels a build: BuildKit ends its container", async () => {
      const bench = await router(true);
      const gate = await buildGate();
      const context = shop.context("context", [gate.step]);
      const build = shop.buildctl(to(bench), context, shop.path("out"));
      await gate.reached;
      build.child.kill("SIGINT");
      await gate.broken;
      expect((await build.ended).code).not.to.equal(0);
      await until(async () => (await bench.metric("satellites_router_streams_open")) === 0);
    });

    it("finishes its build although the router drains meanwhile", async () => {
      const bench = await router(true);
      const gate = await buildGate();
      const context = shop.context("context", [gate.step, "RUN echo after > /after"]);
      const build = shop.buildctl(to(bench), context, shop.path("out"));
      await gate.reached;
      const drained = bench.router.drain(60_000);
      expect(bench.router.ready()).to.equal(false);
      gate.open();
      const { code, output } = await build.ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "after"), "utf8")).to.equal("after\n");
      await drained;
    });

    it("reaches a satellite that its TLS server name names", async () => {
      const { ca, ...tls } = await certificate();
      const bench = await router(true, { tls, address: { domain: "sat.example" } });
      const context = shop.context("context", ["RUN echo built > /result"]);
      const secure = [...to(bench), `--tlscacert=${ca}`, "--tlsservername=ada.team-a.sat.example"];
      const { code, output } = await shop.buildctl(secure, context, shop.path("out")).ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
    });
  });

  describe("docker buildx, remote driver", () => {
    it("wakes the satellite, waits, and builds", async () => {
      const bench = await router(false);
      await builder(bench);
      const context = shop.context("context", ["RUN echo built > /result"]);
      const build = buildx(context, shop.path("out"));
      await bench.held(1);
      bench.runs(daemon.port);
      const { code, output } = await build.ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
      expect(bench.server.wakeCalls).to.have.length(1);
    });

    it("lists its builders without waking any, where ListWorkers is said to wake nothing", async () => {
      const bench = await router(false, { gate: { noWakeMethods: [LIST_WORKERS] } });
      await builder(bench);
      const { code, output } = await shop.run("buildx", ["ls", "--timeout=2s"]).ended;
      expect(code, output).to.equal(0);
      expect(output).to.contain(`tcp://127.0.0.1:${bench.port}`);
      expect((await bench.requests()).get("UNAVAILABLE")).to.be.greaterThan(0);
      expect([...bench.server.wakeCalls, ...bench.server.statusCalls]).to.deep.equal([]);
    });

    it("lists ten satellites that sleep, and inspects one, without a wake; then a build is one wake", async () => {
      const names = Array.from({ length: 10 }, (_unused, place) => `s${place}`);
      const { buildkit: told } = await look();
      const { ca, ...tls } = await certificate();
      const bench = await RouterBench.start(
        names.map((name) =>
          satellite({
            name,
            uid: `uid-${name}`,
            status: { machine: { id: "i-1", answers: told?.answers ?? {} } },
          }),
        ),
        { tls, address: { domain: "sat.example" } },
      );
      stops.push(() => bench.router.close());
      for (const name of names) {
        const options = `--driver-opt=cacert=${ca},servername=${name}.team-a.sat.example`;
        const address = `tcp://127.0.0.1:${bench.port}`;
        const create = ["create", `--name=${name}`, "--driver=remote", options, address];
        const { code, output } = await shop.run("buildx", create).ended;
        expect(code, output).to.equal(0);
      }
      const listed = await shop.run("buildx", ["ls"]).ended;
      expect(listed.output.match(/\brunning\s+v\d/g), listed.output).to.have.length(10);
      const inspected = await shop.run("buildx", ["inspect", "s3"]).ended;
      expect(inspected.output)
        .to.match(/BuildKit version:\s+v\d/)
        .and.match(/Platforms:\s+linux\/amd64/);
      expect([...bench.server.wakeCalls, ...bench.server.statusCalls]).to.deep.equal([]);

      const context = shop.context("context", ["RUN echo built > /result"]);
      const build = shop.run("buildx", [
        "build",
        "--builder=s3",
        "--progress=plain",
        `--output=type=local,dest=${shop.path("out")}`,
        context,
      ]);
      await until(() => bench.server.wakeCalls.length > 0);
      await delay(GATEWAY_PATIENCE_MS + 2000);
      bench.runs(daemon.port, 4, "team-a/s3");
      const { code, output } = await build.ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
      expect(bench.server.wakeCalls).to.have.length(1);
    });

    it("shows a satellite that is awake as running, with BuildKit's version", async () => {
      const bench = await router(true, { gate: { noWakeMethods: [LIST_WORKERS] } });
      await builder(bench);
      const { code, output } = await shop.run("buildx", ["inspect", "satellite"]).ended;
      expect(code, output).to.equal(0);
      expect(output)
        .to.match(/Status:\s+running/)
        .and.match(/BuildKit version:\s+v\d/);
    });

    it("reaches a satellite that its TLS server name names, without ALPN", async () => {
      const { ca, ...tls } = await certificate();
      const bench = await router(true, { tls, address: { domain: "sat.example" } });
      await builder(bench, `--driver-opt=cacert=${ca},servername=ada.team-a.sat.example`);
      const context = shop.context("context", ["RUN echo built > /result"]);
      const { code, output } = await buildx(context, shop.path("out")).ended;
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
    });

    for (const [user, isLetIn] of [
      ["builder", true],
      ["stranger", false],
    ] as const) {
      it(`${isLetIn ? "builds" : "is refused"} with cert-manager's certificate of a ${user}, by a name in one label`, async () => {
        const authority = await newAuthority("clients", { keyType: "rsa" });
        const { ca, ...serving } = await certificate("sat.example");
        const bench = await guarded(authority, serving);
        const { cert, key } = await issue({ commonName: user }, authority);
        const [certFile, keyFile] = [shop.path("tls", "tls.crt"), shop.path("tls", "tls.key")];
        writeFileSync(certFile, cert);
        writeFileSync(keyFile, key, { mode: 0o600 });
        const name = "servername=ada--team-a.sat.example";
        await builder(bench, `--driver-opt=cacert=${ca},cert=${certFile},key=${keyFile},${name}`);
        const context = shop.context("context", ["RUN echo built > /result"]);
        const { code, output } = await buildx(context, shop.path("out")).ended;
        if (isLetIn) {
          expect(code, output).to.equal(0);
          expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
        } else {
          expect(code).to.not.equal(0);
          expect(output).to.match(/user "stranger" may not connect to satellite team-a\/ada/);
        }
      });
    }
  });

  /** A router that asks for client certificates, and lets the user "builder" in alone. */
  async function guarded(authority: Certificate, serving: TlsOptions): Promise<RouterBench> {
    const reviewer = new FakeReviewer(new VirtualClock());
    reviewer.allowed.add("builder team-a/ada");
    const endpoint = { host: "127.0.0.1", port: daemon.port };
    const bench = await RouterBench.start(
      [awake({ status: { endpoint } })],
      {
        address: { domain: "sat.example" },
        tls: { ...serving, ca: authority.cert, requestCertificate: true },
      },
      { access: createTokenAccess({ client: reviewer, clock: systemClock, logger: silentLogger }) },
    );
    stops.push(() => bench.router.close());
    return bench;
  }

  /** A certificate for the names below a domain, and the path of its authority. */
  async function certificate(
    domain = "team-a.sat.example",
  ): Promise<{ key: string; cert: string; ca: string }> {
    const names = [{ type: 2 as const, value: `*.${domain}` }];
    const pems = await generate([{ name: "commonName", value: "router" }], {
      extensions: [{ name: "subjectAltName", altNames: names }],
    });
    mkdirSync(shop.path("tls"));
    writeFileSync(shop.path("tls", "ca.pem"), pems.cert);
    return { key: pems.private, cert: pems.cert, ca: shop.path("tls", "ca.pem") };
  }
});
