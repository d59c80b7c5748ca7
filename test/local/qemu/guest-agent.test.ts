import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { systemClock } from "../../../src/base/clock.ts";
import { serveSerialAgent, type SerialAgentActions } from "../../../src/guest/serial-agent.ts";
import { sendToAgent, setTimeRequest } from "../../../src/local/qemu/guest-agent.ts";

describe("the client of the guest's agent", () => {
  const directory = mkdtempSync(join(tmpdir(), "agent-"));
  const path = join(directory, "agent.sock");
  const sockets: Socket[] = [];
  let server: Server | undefined;

  /** Both ends are ours, so they are tested against each other. */
  async function serve(handle: (socket: Socket) => void): Promise<void> {
    server = createServer((socket) => {
      sockets.push(socket);
      handle(socket);
    });
    await new Promise<void>((resolve) => server?.listen(path, resolve));
  }
  const agent =
    (actions: Partial<SerialAgentActions>) =>
    (socket: Socket): void =>
      serveSerialAgent(socket, socket, { setTime: async () => {}, shutDown: () => {}, ...actions });
  const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => "succeeded",
      (error: { code: string }) => error.code,
    );

  afterEach(async () => {
    sockets.splice(0).forEach((socket) => socket.destroy());
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    server = undefined;
  });

  after(() => rmSync(directory, { recursive: true }));

  it("sets the guest's clock", async () => {
    const times: number[] = [];
    await serve(agent({ setTime: async (unixMs) => void times.push(unixMs) }));
    const sent = await sendToAgent(path, setTimeRequest(1_700_000_000_123), {
      clock: systemClock,
      timeoutMs: 5000,
    });
    await sent.answered;
    expect(times).to.deep.equal([1_700_000_000_123]);
  });

  it("passes over the complaint of QEMU's own agent about the byte that ends another's half-written request", async () => {
    const complaint = `{"error": {"class": "GenericError", "desc": "JSON parse error, stray '\\uFFFD'"}}\n`;
    for (const [answer, outcome] of [
      ['{"return": {}}\n', "succeeded"],
      ['{"error": {"class": "GenericError", "desc": "hwclock failed"}}\n', "GuestAgentFailed"],
    ] as const) {
      server?.close();
      await serve((socket) => {
        socket.once("data", () => {
          socket.write(complaint);
          setImmediate(() => socket.write(answer));
        });
      });
      const sent = await sendToAgent(path, setTimeRequest(1), { clock: systemClock, timeoutMs: 5000 });
      expect(await codeOf(sent.answered)).to.equal(outcome);
    }
  });

  it("asks for a shutdown, which has no answer", async () => {
    const asked = Promise.withResolvers<void>();
    await serve(agent({ shutDown: () => asked.resolve() }));
    const request = { execute: "guest-shutdown", arguments: { mode: "powerdown" } } as const;
    const sent = await sendToAgent(path, request, { clock: systemClock, timeoutMs: 5000 });
    await Promise.all([sent.answered, asked.promise]);
  });

  it("hands a refusal on, and gives up on a silent guest", async () => {
    await serve(agent({ setTime: () => Promise.reject(new Error("no clock")) }));
    const refused = await sendToAgent(path, setTimeRequest(1), { clock: systemClock, timeoutMs: 5000 });
    expect(await codeOf(refused.answered)).to.equal("GuestAgentFailed");
    server?.removeAllListeners("connection").on("connection", (socket) => sockets.push(socket));
    const silent = await sendToAgent(path, setTimeRequest(1), { clock: systemClock, timeoutMs: 20 });
    expect(await codeOf(silent.answered)).to.equal("GuestAgentSilent");
  });

  for (const answer of [
    "no JSON",
    "null",
    "7",
    '{"error":null}',
    '{"error":{"desc":{}}}',
    "\0".repeat(70_000),
  ]) {
    it(`takes nothing for granted: a guest that answers ${answer.slice(0, 24)} has failed`, async () => {
      await serve((socket) => {
        socket.once("data", () => socket.write(`${answer}\n`));
        socket.on("error", () => {});
      });
      const sent = await sendToAgent(path, setTimeRequest(1), { clock: systemClock, timeoutMs: 5000 });
      expect(await codeOf(sent.answered)).to.equal("GuestAgentFailed");
    });
  }

  it("says when the port is not there", async () => {
    const options = { clock: systemClock, timeoutMs: 5000 };
    expect(await codeOf(sendToAgent(join(directory, "none"), setTimeRequest(1), options))).to.equal(
      "GuestAgentFailed",
    );
  });
});
