import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { parseAddress } from "../../src/commands/process-context.ts";
import { startHealthServer, type HealthServer } from "../../src/telemetry/health-server.ts";

describe("the health server", () => {
  let server: HealthServer;

  before(async () => {
    server = await startHealthServer({
      host: "127.0.0.1",
      port: 0,
      registry: new Registry(),
      healthy: () => true,
      ready: () => false,
    });
  });
  after(() => server.close());

  /** The status line that a request target is answered with. */
  async function ask(target: string): Promise<string> {
    const socket = connect(server.port, "127.0.0.1");
    socket.write(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(socket, "close");
    return text.split("\r\n", 1)[0] ?? "";
  }

  it("tells liveness and readiness, whatever is asked for beside", async () => {
    expect(await ask("/healthz")).to.equal("HTTP/1.1 200 OK");
    expect(await ask("/livez?verbose")).to.equal("HTTP/1.1 200 OK");
    expect(await ask("/readyz")).to.equal("HTTP/1.1 503 Service Unavailable");
    expect(await ask("/metrics")).to.equal("HTTP/1.1 200 OK");
  });

  for (const target of ["//", "//:", "/%", "http://[", "*", "/\\"]) {
    it(`answers ${target}, which is no path, and lives on`, async () => {
      expect(await ask(target)).to.equal("HTTP/1.1 404 Not Found");
      expect(await ask("/healthz")).to.equal("HTTP/1.1 200 OK");
    });
  }
});

describe('a health server at ":port"', () => {
  const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === "IPv6"),
  );
  const answersAt = (host: string) => async (): Promise<void> => {
    const server = await startHealthServer({
      ...parseAddress(":0"),
      registry: new Registry(),
      healthy: () => true,
      ready: () => true,
    });
    try {
      const answer = await fetch(`http://${host}:${server.port}/healthz`);
      expect(answer.status).to.equal(200);
    } finally {
      await server.close();
    }
  };

  it("answers at 127.0.0.1", answersAt("127.0.0.1"));
  if (hasIPv6) {
    it("answers at [::1]", answersAt("[::1]"));
  } else {
    it.skip(
      "answers at [::1] (skipped: no interface of this machine has an IPv6 address)",
      answersAt("[::1]"),
    );
  }
});
