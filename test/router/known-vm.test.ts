import { createServer, type AddressInfo, type Server } from "node:net";
import { expect } from "chai";
import type { GuestIdentity } from "../../src/guest/identity.ts";
import type { RouterOptions } from "../../src/router/router.ts";
import type { SatelliteStatus } from "../../src/satellite/resource.ts";
import { fingerprint, newIdentity, TlsVm } from "../support/tls-vm.ts";
import { KEY } from "./gate-bench.ts";
import { awake, power, satellite } from "./satellites.ts";
import { answerOf, field, GRPC, RawClient, RawVM } from "./support/http2-peers.ts";
import { RouterBench, until } from "./support/router-bench.ts";
import { stopAfterEach } from "../support/stops.ts";

/** For tests of refusals, so that they come soon. */
const IMPATIENT: RouterOptions = { gate: { unreachableMs: 300 } };

describe("a VM that is known by its key", () => {
  const stops = stopAfterEach();
  let ada: GuestIdentity;
  let bob: GuestIdentity;

  before(() => {
    ada = newIdentity("i-ada");
    bob = newIdentity("i-bob");
  });
  async function vmOf(identity: GuestIdentity): Promise<TlsVm> {
    const vm = await TlsVm.start(identity);
    stops.push(() => vm.stop());
    return vm;
  }

  const endpoint = (port: number, key?: string): NonNullable<SatelliteStatus["endpoint"]> => ({
    host: "127.0.0.1",
    port,
    tls: "Required",
    ...(key === undefined ? {} : { tlsFingerprint: key }),
  });

  async function router(
    at: NonNullable<SatelliteStatus["endpoint"]>,
    options: RouterOptions = {},
  ): Promise<RouterBench> {
    const bench = await RouterBench.start([awake({ status: { endpoint: at } })], {
      ...options,
    });
    stops.push(() => bench.router.close());
    return bench;
  }

  function client(bench: RouterBench): RawClient {
    const made = new RawClient(bench.port);
    stops.push(() => made.close());
    return made;
  }

  /** Calls with a body, so that there is something that must not arrive. */
  async function call(from: RawClient): Promise<{ status: string | undefined; reason: string | undefined }> {
    const stream = from.open(GRPC);
    stream.end("the tenant's secret");
    const { headers, trailers } = await answerOf(stream);
    const all = [...headers, ...trailers];
    return { status: field(all, "grpc-status"), reason: field(all, "satellite-reason") };
  }

  it("gets requests, over TLS", async () => {
    const vm = await vmOf(ada);
    const bench = await router(endpoint(vm.port, fingerprint(ada)));
    expect(await call(client(bench))).to.include({ status: "0" });
    expect([vm.requests, vm.visits]).to.deep.equal([1, 1]);
  });

  it("is not mistaken for another at its address, to which not one byte is sent", async () => {
    const vm = await vmOf(ada);
    const bench = await router(endpoint(vm.port, fingerprint(ada)), IMPATIENT);
    vm.becomes(bob);
    expect(await call(client(bench))).to.deep.equal({ status: "14", reason: "OtherVM" });
    expect(vm.visits).to.be.greaterThan(0);
    expect(Buffer.concat(vm.heard).length).to.equal(0);
    expect(
      bench.server.calls.map(({ verb }) => verb),
      "it is read anew",
    ).to.include("get");
  });

  it("is asked for anew when its address was given away between two connections", async () => {
    const vm = await vmOf(ada);
    const bench = await router(endpoint(vm.port, fingerprint(ada)));
    const from = client(bench);
    expect(await call(from)).to.include({ status: "0" });
    vm.becomes(bob);
    const moved = await vmOf(ada);
    // The router hears of the move only when it asks: its news are late.
    bench.server.before = async ({ verb }) => {
      if (verb === "get") {
        bench.server.before = () => {};
        await Promise.resolve();
        bench.server.change(KEY, ({ status }) => {
          status.endpoint = endpoint(moved.port, fingerprint(ada));
        });
      }
    };
    expect(await call(client(bench))).to.include({ status: "0" });
    expect([vm.requests, moved.requests]).to.deep.equal([1, 1]);
    expect(Buffer.concat(vm.heard).length).to.equal(0);
  });

  it("is woken and probed by TLS, and another VM's answer wakes nobody", async () => {
    const vm = await vmOf(bob);
    const bench = await RouterBench.start(
      [
        satellite({
          spec: { desiredPower: "on" },
          status: { power: power("Starting"), endpoint: endpoint(vm.port, fingerprint(ada)) },
        }),
      ],
      {},
    );
    stops.push(() => bench.router.close());
    const answer = call(client(bench));
    await until(() => vm.visits > 1);
    expect(vm.requests).to.equal(0);
    const own = await vmOf(ada);
    bench.server.change(KEY, ({ status }) => {
      status.endpoint = endpoint(own.port, fingerprint(ada));
    });
    expect(await answer).to.include({ status: "0" });
    expect([vm.requests, own.requests]).to.deep.equal([0, 1]);
  });

  it("is not spoken to in plain text", async () => {
    const vm = await RawVM.start((stream) => stream.respond({ ":status": 200 }, { endStream: true }));
    stops.push(() => vm.stop());
    const bench = await router(endpoint(vm.port, fingerprint(ada)), IMPATIENT);
    const { status, reason } = await call(client(bench));
    expect(status).to.equal("14");
    expect(["Unreachable", "VMUnreachable"]).to.include(reason);
    expect(vm.requests).to.deep.equal([]);
  });

  it("is not connected to before its key is recorded", async () => {
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    stops.push(() => void server.close());
    const bench = await router(endpoint((server.address() as AddressInfo).port));
    const answer = call(client(bench));
    await bench.held(1);
    const vm = await vmOf(ada);
    bench.server.change(KEY, ({ status }) => {
      status.endpoint = endpoint(vm.port, fingerprint(ada));
    });
    expect(await answer).to.include({ status: "0" });
    expect(connections).to.equal(0);
  });
});
