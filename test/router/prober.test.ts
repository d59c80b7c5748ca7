import { createServer as createHttp2Server } from "node:http2";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { expect } from "chai";

import { systemClock } from "../../src/base/clock.ts";
import { createProber } from "../../src/router/prober.ts";
import { until } from "./support/router-bench.ts";
import { stopAfterEach } from "../support/stops.ts";

describe("prober", () => {
  const stops = stopAfterEach();

  async function listen(server: Server, port = 0): Promise<number> {
    await new Promise<void>((resolve) => {
      server.listen(port, "127.0.0.1", resolve);
    });
    return (server.address() as AddressInfo).port;
  }

  /** Accepts connections and treats them as `handle` does. */
  async function peer(handle: (socket: Socket) => void): Promise<{ port: number; sockets: Set<Socket> }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
      handle(socket);
    });
    stops.push(() => {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
    });
    return { port: await listen(server), sockets };
  }

  function probe(port: number, attemptTimeoutMs = 50): { settled: () => string; abort: AbortController } {
    const abort = new AbortController();
    stops.push(() => abort.abort());
    let settled = "";
    const prober = createProber({ clock: systemClock, intervalMs: 5, attemptTimeoutMs });
    prober.untilAnswers({ epoch: 1, host: "127.0.0.1", port }, abort.signal).then(
      () => {
        settled = "answered";
        return settled;
      },
      () => {
        settled = "aborted";
      },
    );
    return { settled: () => settled, abort };
  }

  it("succeeds when the port speaks HTTP/2", async () => {
    const server = createHttp2Server();
    server.on("sessionError", () => {});
    stops.push(() => server.close());
    const { settled } = probe(await listen(server), 1000);
    await until(() => settled() === "answered");
  });

  it("is not taken in by a port that accepts and says nothing: attempts go on", async () => {
    let attempts = 0;
    const { port, sockets } = await peer((socket) => {
      attempts++;
      socket.resume();
    });
    const { settled, abort } = probe(port);
    await until(() => attempts > 20);
    expect(settled()).to.equal("");
    expect(sockets.size, "attempts are bounded in time, so in number").to.be.lessThan(20);
    abort.abort();
    await until(() => settled() === "aborted");
    await until(() => sockets.size === 0);
  });

  it("is not taken in by another protocol, nor by connections that are closed", async () => {
    let attempts = 0;
    const { port } = await peer((socket) => {
      socket.end(attempts++ % 2 === 0 ? "HTTP/1.1 400 Bad Request\r\n\r\n" : "");
    });
    const { settled } = probe(port);
    await until(() => attempts > 10);
    expect(settled()).to.equal("");
  });

  it("succeeds on the first attempt that is answered, while earlier ones still hang", async () => {
    let attempts = 0;
    const { port } = await peer((socket) => {
      if (++attempts === 3) {
        socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
      }
    });
    const { settled } = probe(port, 60_000);
    await until(() => settled() === "answered");
    expect(attempts).to.be.at.least(3);
  });

  it("goes on while nobody listens", async () => {
    const server = createServer();
    const port = await listen(server);
    server.close();
    const { settled } = probe(port, 1000);
    const late = createHttp2Server();
    late.on("sessionError", () => {});
    stops.push(() => late.close());
    await listen(late, port);
    await until(() => settled() === "answered");
  });
});
