import { expect } from "chai";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import type { ProbeAnswer } from "../../src/operator/dependencies.ts";
import { guestProbe } from "../../src/commands/probe-guest.ts";
import { processGroupConfinement } from "../../src/guest/confinement.ts";
import type { GuestIdentity } from "../../src/guest/identity.ts";
import { loadBuildkitSchema, loadGuestSchema } from "../../src/guest/schema.ts";
import { startGuestServer, type GuestServer } from "../../src/guest/server.ts";
import { RawVM } from "../router/support/http2-peers.ts";
import { fingerprint, newIdentity, TlsVm } from "../support/tls-vm.ts";

const HOST = "127.0.0.1";

describe("the operator's look at a guest", () => {
  const schema = loadGuestSchema();
  const probe = guestProbe({ guest: schema, buildkit: loadBuildkitSchema() }, systemClock);
  const identity = newIdentity("i-1");
  const key = fingerprint(identity);
  const workDirectory = mkdtempSync(join(tmpdir(), "satellites-probe-"));
  let guest: GuestServer | undefined;
  const servers: Server[] = [];

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.listen(0, HOST);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  /** Port of a server that answers every call with that gRPC status. */
  function grpcServer(status: string): Promise<number> {
    const http2 = createHttp2Server();
    http2.on("stream", (stream) => {
      const headers = { ":status": 200, "content-type": "application/grpc", "grpc-status": status };
      stream.respond(headers, { endStream: true });
    });
    return listen(createServer((socket) => http2.emit("connection", socket)));
  }

  async function serve(served?: GuestIdentity): Promise<number> {
    guest = await startGuestServer({
      schema,
      clock: systemClock,
      confinement: processGroupConfinement,
      address: `${HOST}:0`,
      bootID: "boot-1",
      workDirectory,
      baseEnv: {},
      ...(served === undefined ? {} : { identity: served }),
    });
    return guest.port;
  }

  afterEach(async () => {
    await guest?.close(0);
    guest = undefined;
    for (const server of servers.splice(0)) {
      server.close();
    }
  });
  after(() => rmSync(workDirectory, { recursive: true }));

  it("asks its agent, in plain text where the class gave TLS up", async () => {
    const port = await serve();
    expect(await probe({ host: HOST, port, tls: "Off" })).to.deep.equal({
      ready: true,
      bootID: "boot-1",
      runningWork: 0,
    });
  });

  it("learns the key that it shows", async () => {
    const port = await serve(identity);
    const answer = await probe({ host: HOST, port, tls: "Required" });
    expect(answer).to.deep.equal({ ready: true, bootID: "boot-1", runningWork: 0, shown: key });
    expect(await probe({ host: HOST, port, tls: "Required", tlsFingerprint: key })).to.deep.equal(answer);
  });

  it("asks nothing of a VM with another key, and tells which it is", async () => {
    const vm = await TlsVm.start(identity);
    try {
      const target = { host: HOST, port: vm.port, tls: "Required", tlsFingerprint: "0".repeat(64) } as const;
      expect(await probe(target)).to.deep.equal({ ready: false, runningWork: 0, shown: key });
      expect(vm.requests).to.equal(0);
    } finally {
      vm.stop();
    }
  });

  it("takes a guest without the agent for ready", async () => {
    const vm = await TlsVm.start(identity);
    try {
      expect(await probe({ host: HOST, port: vm.port, tls: "Required" })).to.include({
        ready: true,
        shown: key,
      });
    } finally {
      vm.stop();
    }
  });

  it("says so where it serves plain text and must not", async () => {
    const vm = await RawVM.start((stream) => stream.respond({ ":status": 200 }, { endStream: true }));
    try {
      const answer = await probe({ host: HOST, port: vm.port, tls: "Required" });
      expect(answer).to.include({ ready: false });
      expect(answer.notTls).to.include("does not serve TLS 1.3");
      expect(vm.requests).to.deep.equal([]);
    } finally {
      vm.stop();
    }
  });

  it("finds nobody where nobody listens", async () => {
    const port = await serve();
    await guest?.close(0);
    guest = undefined;
    expect(await probe({ host: HOST, port, tls: "Required" })).to.deep.equal({
      ready: false,
      runningWork: 0,
    });
  });

  it("says that a guest without our agent is up, in plain text too", async () => {
    const port = await grpcServer("12");
    expect(await probe({ host: HOST, port, tls: "Off" })).to.deep.equal({ ready: true, runningWork: 0 });
  });

  it("says that a guest is not up whose proxy finds nobody", async () => {
    const port = await grpcServer("14");
    expect(await probe({ host: HOST, port, tls: "Off" })).to.deep.equal({ ready: false, runningWork: 0 });
  });

  it("learns of a BuildKit what it can tell, where it has not all calls and none of the bounds", async () => {
    const workers = loadBuildkitSchema()["ListWorkers"] ?? expect.fail("no ListWorkers");
    const ask = async (record: object): Promise<ProbeAnswer> => {
      const message = workers.responseSerialize({ record: [record] });
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      const vm = await RawVM.start((stream, { ":path": path }) => {
        const isKnown = path === workers.path;
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": isKnown ? "0" : "12" }));
        stream.end(isKnown ? Buffer.concat([prefix, message]) : undefined);
      });
      try {
        return await probe({ host: HOST, port: vm.port, tls: "Off", isBuildkit: true, measures: true });
      } finally {
        vm.stop();
      }
    };
    const labels = { "dev.satellites.boot-id": "boot-1" };
    const old = await ask({ labels, gcPolicy: [{ filters: [] }] });
    expect(old).to.include({ ready: true, bootID: "boot-1", runningWork: 0 });
    expect(old.buildkit).to.have.all.keys("version", "answers");
    const bounds = [{ filters: ["type==source.local"], maxUsedSpace: 9 }, { maxUsedSpace: 7 }];
    expect((await ask({ labels, gcPolicy: bounds })).buildkit).to.include({ cacheMaxBytes: 7 });
  });

  it("makes one connection to a port that resets it", async () => {
    let connections = 0;
    const port = await listen(
      createServer((socket) => {
        connections += 1;
        socket.resetAndDestroy();
      }),
    );
    expect(await probe({ host: HOST, port, tls: "Off" })).to.deep.equal({ ready: false, runningWork: 0 });
    expect(connections).to.equal(1);
  });

  it("is not taken in by a port that speaks something else", async () => {
    const port = await listen(createServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n")));
    expect(await probe({ host: HOST, port, tls: "Off" })).to.deep.equal({ ready: false, runningWork: 0 });
  });
});
