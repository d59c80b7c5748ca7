import { connect as connectTls } from "node:tls";

import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { generate } from "selfsigned";

import { loadGuestSchema } from "../../src/guest/schema.ts";
import { anonymousLoopback } from "../../src/router/access.ts";
import { silentLogger, type Logger } from "../../src/telemetry/logger.ts";
import { KEY } from "./gate-bench.ts";
import { awake, power, satellite } from "./satellites.ts";
import { addressed, TestClient, TestVM } from "./support/grpc-peers.ts";
import { answerOf, field, GRPC, POST, RawClient } from "./support/http2-peers.ts";
import { RouterBench, until } from "./support/router-bench.ts";
import { stopAfterEach } from "../support/stops.ts";

interface HealthAnswer {
  readonly status: string;
}

class HealthClient {
  readonly #client: grpc.Client;
  readonly #service = loadGuestSchema().health;

  constructor(port: number) {
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  }

  check(service = "", metadata = new grpc.Metadata()): Promise<HealthAnswer> {
    const method = this.#service["Check"]!;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<object, HealthAnswer>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize as (bytes: Buffer) => HealthAnswer,
        { service },
        metadata,
        (error, answer) => {
          if (error === null && answer !== undefined) {
            resolve(answer);
          } else {
            reject(error ?? new Error("no answer"));
          }
        },
      );
    });
  }

  watch(service = "", metadata = new grpc.Metadata()): { readonly statuses: string[]; cancel(): void } {
    const method = this.#service["Watch"]!;
    const call = this.#client.makeServerStreamRequest<object, HealthAnswer>(
      method.path,
      method.requestSerialize,
      method.responseDeserialize as (bytes: Buffer) => HealthAnswer,
      { service },
      metadata,
    );
    const statuses: string[] = [];
    call.on("data", ({ status }: HealthAnswer) => statuses.push(status));
    call.on("error", () => {});
    return { statuses, cancel: () => call.cancel() };
  }

  close(): void {
    this.#client.close();
  }
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

describe("router", () => {
  const stops = stopAfterEach();

  async function start(...[satellites, options]: Parameters<typeof RouterBench.start>): Promise<RouterBench> {
    const bench = await RouterBench.start(satellites, options);
    stops.push(() => bench.router.close());
    return bench;
  }

  function healthClient(bench: RouterBench): HealthClient {
    const client = new HealthClient(bench.port);
    stops.push(() => client.close());
    return client;
  }

  describe("readiness", () => {
    it("comes with the listener and the filled cache, and goes when it drains", async () => {
      const bench = new RouterBench([]);
      stops.push(() => bench.router.close());
      await until(() => true);
      expect(bench.router.ready()).to.equal(false);
      await bench.router.listen({ host: "127.0.0.1", port: 0 });
      expect(bench.router.ready()).to.equal(true);
      await bench.router.drain(1000);
      expect(bench.router.ready()).to.equal(false);
    });

    it("waits for the cache", async () => {
      let fill = (): void => {};
      const synced = new Promise<void>((resolve) => {
        fill = resolve;
      });
      const bench = new RouterBench([], {}, { synced });
      stops.push(() => bench.router.close());
      await bench.router.listen({ host: "127.0.0.1", port: 0 });
      expect(bench.router.ready()).to.equal(false);
      fill();
      await until(() => bench.router.ready());
    });
  });

  it("knows the satellites that were there before it", () => {
    const mistakes: unknown[] = [];
    const logger: Logger = { ...silentLogger, error: (...mistake) => mistakes.push(mistake) };
    for (const state of ["Off", "Stopping", "Running"] as const) {
      const object = satellite({ status: { power: power(state, { epoch: 4 }) } });
      const bench = new RouterBench([object], {}, { logger });
      stops.push(() => bench.router.close());
    }
    expect(mistakes).to.deep.equal([]);
  });

  describe("listener", () => {
    it("is refused on an address that others reach, as long as there is no access control", async () => {
      const bench = new RouterBench([]);
      stops.push(() => bench.router.close());
      const error = await rejection(bench.router.listen({ host: "0.0.0.0", port: 0 }));
      expect(error).to.include({ code: "AnonymousListenerNotLoopback" });
      expect(error).to.have.property("message").that.contains("127.0.0.1");
    });

    it("says what to do when its port is taken", async () => {
      const bench = await start([]);
      const second = new RouterBench([]);
      stops.push(() => second.router.close());
      const error = await rejection(second.router.listen({ host: "127.0.0.1", port: bench.port }));
      expect(error).to.include({ code: "CannotListen" });
      expect(error).to.have.property("message").that.contains("another process uses it");
    });

    it("serves TLS with ALPN and without, and takes the address from the server name", async () => {
      const pems = await generate([{ name: "commonName", value: "router" }]);
      const bench = await start([satellite({ spec: { wakePolicy: "Manual" } })], {
        tls: { key: pems.private, cert: pems.cert },
        address: { domain: "sat.example" },
      });
      for (const [alpn, agreed] of [
        [{ ALPNProtocols: ["h2"] }, "h2"],
        [{}, false],
      ] as const) {
        const socket = connectTls({
          host: "127.0.0.1",
          port: bench.port,
          ca: pems.cert,
          checkServerIdentity: () => undefined,
          servername: "ada.team-a.sat.example",
          ...("ALPNProtocols" in alpn ? { ALPNProtocols: [...alpn.ALPNProtocols] } : {}),
        });
        await new Promise((resolve) => {
          socket.once("secureConnect", resolve);
        });
        expect(socket.alpnProtocol).to.equal(agreed);
        const client = new RawClient(socket);
        stops.push(() => client.close());
        const stream = client.session.request([...POST, ...GRPC]);
        expect(field((await answerOf(stream)).headers, "satellite-reason")).to.equal("WakePolicyManual");
      }
    });

    it("survives clients that speak no TLS, or no HTTP/2", async () => {
      const pems = await generate([{ name: "commonName", value: "router" }]);
      const bench = await start([satellite({ spec: { wakePolicy: "Manual" } })]);
      const secure = await start([], { tls: { key: pems.private, cert: pems.cert } });
      const answer = fetch(`http://127.0.0.1:${bench.port}/`);
      // RFC 9110 section 15.5.22: says which protocol is spoken here.
      expect((await answer).status).to.equal(426);
      expect(await rejection(fetch(`http://127.0.0.1:${secure.port}/`))).to.be.instanceOf(Error);
      const client = new TestClient(bench.port);
      stops.push(() => client.close());
      expect((await client.call("unary")).code).to.equal(grpc.status.FAILED_PRECONDITION);
    });
  });

  describe("health", () => {
    it("answers for itself when no satellite is named, also where the listener has a default one", async () => {
      const bench = await start([satellite()], {
        address: { defaultSatellite: { namespace: "team-a", name: "ada" } },
      });
      expect((await healthClient(bench).check()).status).to.equal("SERVING");
      expect(bench.server.calls).to.have.length(0);
    });

    it("knows no other service than the whole", async () => {
      const bench = await start([]);
      expect(await rejection(healthClient(bench).check("nobody"))).to.include({
        code: grpc.status.NOT_FOUND,
      });
    });

    it("answers for a satellite itself: asleep it is SERVING, and no check wakes it", async () => {
      const bench = await start([satellite()]);
      expect((await healthClient(bench).check("", addressed())).status).to.equal("SERVING");
      expect(bench.server.calls).to.have.length(0);
    });

    it("follows a satellite's health beside its calls on the same connection, and takes no lease for it", async () => {
      const vm = await TestVM.start();
      stops.push(() => vm.stop());
      const endpoint = { host: "127.0.0.1", port: vm.port };
      const bench = await start([awake({ status: { endpoint } })]);
      const watch = healthClient(bench).watch("", addressed());
      await until(() => watch.statuses.length === 1);
      expect(bench.server.statusCalls).to.have.length(0);
      bench.server.change(KEY, ({ spec, status }) => {
        spec.desiredPower = "off";
        spec.wakePolicy = "Manual";
        status.power = power("Off");
      });
      await until(() => watch.statuses.length === 2);
      expect(watch.statuses).to.deep.equal(["SERVING", "NOT_SERVING"]);
      expect(bench.server.statusCalls).to.have.length(0);
      watch.cancel();
    });

    it("tells those who watch that it drains", async () => {
      const bench = await start([]);
      const watch = healthClient(bench).watch();
      await until(() => watch.statuses.length === 1);
      const draining = bench.router.drain(60_000);
      await until(() => watch.statuses.length === 2);
      expect(watch.statuses).to.deep.equal(["SERVING", "NOT_SERVING"]);
      await draining;
    });

    it("answers calls on a connection that health was asked on before", async () => {
      const vm = await TestVM.start();
      stops.push(() => vm.stop());
      const bench = await start([awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } })]);
      // Channels to one address share their connection.
      const shared = { "grpc.use_local_subchannel_pool": 0 };
      const health = new HealthClient(bench.port);
      stops.push(() => health.close());
      expect((await health.check()).status).to.equal("SERVING");
      const client = new TestClient(bench.port, shared);
      stops.push(() => client.close());
      expect((await client.call("unary")).code).to.equal(grpc.status.OK);
      expect((await client.call("unary")).code).to.equal(grpc.status.OK);
    });
  });

  it("counts requests by status as far as it knows it", async () => {
    const vm = await TestVM.start();
    stops.push(() => vm.stop());
    const bench = await start([awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } })]);
    const client = new TestClient(bench.port);
    stops.push(() => client.close());
    await client.call("unary");
    await client.call("unary");
    const cancelled = client.open();
    cancelled.stream.write(Buffer.from("one"));
    await until(() => vm.calls === 3);
    cancelled.stream.cancel();
    await client.call("unary", { metadata: new grpc.Metadata() });
    await until(async () => (await bench.requests()).get("CANCELLED") === 1);
    expect(await bench.requests()).to.deep.equal(
      new Map([
        ["PASSED", 2],
        ["CANCELLED", 1],
        ["INVALID_ARGUMENT", 1],
      ]),
    );
  });

  describe("shutdown", () => {
    it("withdraws its lease as its last act", async () => {
      const vm = await TestVM.start();
      stops.push(() => vm.stop());
      const bench = await start([awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } })]);
      const client = new TestClient(bench.port);
      stops.push(() => client.close());
      await client.call("unary");
      let letThrough = (): void => {};
      bench.server.before = () =>
        new Promise<void>((resolve) => {
          letThrough = resolve;
        });
      await bench.router.drain(60_000);
      let closed = false;
      const closing = bench.router.close().then(() => {
        closed = true;
        return closed;
      });
      await until(() => bench.server.statusCalls.length === 2);
      expect(closed).to.equal(false);
      letThrough();
      await closing;
      expect(bench.server.read(KEY).status.activity).to.deep.equal({});
    });

    it("withdraws its lease also where it has to cut a stream", async () => {
      const vm = await TestVM.start({ unary: () => {} });
      stops.push(() => vm.stop());
      const bench = await start([awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } })]);
      const client = new TestClient(bench.port);
      stops.push(() => client.close());
      const call = client.call("unary");
      await until(() => vm.calls === 1);
      await bench.router.drain(1);
      await bench.router.close();
      expect((await call).code).to.equal(grpc.status.UNAVAILABLE);
      expect(bench.server.read(KEY).status.activity).to.deep.equal({});
    });

    it("answers requests that it still holds", async () => {
      const bench = await start([satellite()]);
      const client = new TestClient(bench.port);
      stops.push(() => client.close());
      const call = client.call("unary");
      await bench.held(1);
      await bench.router.drain(1);
      await bench.router.close();
      expect((await call).code).to.equal(grpc.status.UNAVAILABLE);
    });
  });

  it("ends calls whose VM is off, which TCP would notice only after minutes", async () => {
    const vm = await TestVM.start({ unary: () => {} });
    stops.push(() => vm.stop());
    const bench = await start([awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } })]);
    const client = new TestClient(bench.port);
    stops.push(() => client.close());
    const call = client.call("unary");
    await until(() => vm.calls === 1);
    bench.server.change(KEY, ({ status }) => {
      status.power = { state: "Off", epoch: 4, accepted: true, fence: 0 };
    });
    expect((await call).code).to.equal(grpc.status.UNAVAILABLE);
  });
});

describe("anonymous access", () => {
  it("is loud", () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    anonymousLoopback({ logger }).checkListener("127.0.0.1");
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.contain("ANONYMOUS ACCESS");
    anonymousLoopback({ logger, allowEveryAddress: true }).checkListener("0.0.0.0");
    expect(warnings).to.have.length(2);
  });
});
