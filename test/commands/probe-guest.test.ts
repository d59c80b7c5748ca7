import { expect } from "chai";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { guestProbe } from "../../src/commands/probe-guest.ts";
import { loadGuestSchema } from "../../src/guest/schema.ts";

describe("a probe of a VM's port", () => {
  const probe = guestProbe(loadGuestSchema(), systemClock);
  const servers: Server[] = [];

  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
    }
  });

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.listen(0, "127.0.0.1");
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

  it("says that a guest without our agent is up", async () => {
    const port = await grpcServer("12");
    expect(await probe({ host: "127.0.0.1", port, tls: "Off" })).to.deep.equal({
      ready: true,
      runningWork: 0,
    });
  });

  it("says that a guest is not up whose proxy finds nobody", async () => {
    const port = await grpcServer("14");
    expect(await probe({ host: "127.0.0.1", port, tls: "Off" })).to.deep.equal({
      ready: false,
      runningWork: 0,
    });
  });

  it("makes one connection to a port that resets it", async () => {
    let connections = 0;
    const port = await listen(
      createServer((socket) => {
        connections += 1;
        socket.resetAndDestroy();
      }),
    );
    expect(await probe({ host: "127.0.0.1", port, tls: "Off" })).to.deep.equal({
      ready: false,
      runningWork: 0,
    });
    expect(connections).to.equal(1);
  });

  it("is not taken in by a port that speaks something else", async () => {
    const port = await listen(createServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n")));
    expect(await probe({ host: "127.0.0.1", port, tls: "Off" })).to.deep.equal({
      ready: false,
      runningWork: 0,
    });
  });
});
