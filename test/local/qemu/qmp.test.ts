import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { expect } from "chai";

import { systemClock } from "../../../src/base/clock.ts";
import { QmpClient } from "../../../src/local/qemu/qmp.ts";

type Answer = (request: { execute: string; id: number; arguments?: object }, socket: Socket) => void;

describe("the QMP client", () => {
  const directory = mkdtempSync(join(tmpdir(), "qmp-"));
  const path = join(directory, "qmp.sock");
  const options = { clock: systemClock, handshakeTimeoutMs: 5000 };
  let server: Server;
  let answer: Answer;
  let greet: boolean;
  let connections: Socket[];

  const send = (socket: Socket, message: object): boolean => socket.write(`${JSON.stringify(message)}\r\n`);

  beforeEach(async () => {
    greet = true;
    connections = [];
    answer = ({ id }, socket) => send(socket, { return: {}, id });
    server = createServer((socket) => {
      connections.push(socket);
      if (greet) {
        send(socket, { QMP: { version: {}, capabilities: [] } });
      }
      createInterface({ input: socket }).on("line", (line) => answer(JSON.parse(line), socket));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });

  afterEach(async () => {
    connections.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  });

  after(() => rmSync(directory, { recursive: true }));

  const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => "succeeded",
      (error: { code: string }) => error.code,
    );

  it("negotiates capabilities before any other command", async () => {
    const seen: string[] = [];
    answer = ({ execute, id }, socket) => {
      seen.push(execute);
      send(socket, { return: {}, id });
    };
    const client = await QmpClient.connect(path, options);
    await client.execute("query-status");
    expect(seen).to.deep.equal(["qmp_capabilities", "query-status"]);
    client.close();
  });

  it("matches answers to commands by id, in whatever order they come", async () => {
    const client = await QmpClient.connect(path, options);
    const held: number[] = [];
    answer = ({ id }, socket) => {
      held.push(id);
      if (held.length === 2) {
        held.toReversed().forEach((each) => send(socket, { return: each, id: each }));
      }
    };
    const [first, second] = await Promise.all([client.execute("a"), client.execute("b")]);
    expect(Number(second)).to.equal(Number(first) + 1);
    client.close();
  });

  it("gives events to listeners until they are taken off, and joins messages that arrive in pieces", async () => {
    const client = await QmpClient.connect(path, options);
    const names: string[] = [];
    const off = client.onEvent(({ event }) => names.push(event));
    answer = ({ id }, socket) => {
      const text = `${JSON.stringify({ event: "STOP", data: {} })}\n${JSON.stringify({ return: {}, id })}\n`;
      socket.write(text.slice(0, 9), () => socket.write(text.slice(9)));
    };
    await client.execute("stop");
    off();
    await client.execute("stop");
    expect(names).to.deep.equal(["STOP"]);
    client.close();
  });

  it("hands QEMU's refusal on in its own words", async () => {
    const client = await QmpClient.connect(path, options);
    answer = ({ id }, socket) =>
      send(socket, { error: { class: "GenericError", desc: "no such thing" }, id });
    const failure = await client.execute("migrate").catch((error: unknown) => error);
    expect(failure).to.include({ code: "QmpCommandFailed" });
    expect(String(failure)).to.contain("no such thing");
    client.close();
  });

  it("fails pending and later commands when QEMU goes away", async () => {
    const client = await QmpClient.connect(path, options);
    answer = (_request, socket) => socket.destroy();
    expect(await codeOf(client.execute("quit"))).to.equal("QmpClosed");
    await client.closed;
    expect(await codeOf(client.execute("quit"))).to.equal("QmpClosed");
  });

  it("lets go of a QEMU that says what is no JSON", async () => {
    const client = await QmpClient.connect(path, options);
    answer = (_request, socket) => socket.write("no JSON\n");
    expect(await codeOf(client.execute("stop"))).to.equal("QmpClosed");
    await client.closed;
  });

  it("says when nobody answers", async () => {
    expect(await codeOf(QmpClient.connect(join(directory, "none.sock"), options))).to.equal("QmpUnreachable");
  });

  it("gives up on a QEMU that serves another client", async () => {
    greet = false;
    const failure = await QmpClient.connect(path, { ...options, handshakeTimeoutMs: 20 }).catch(
      (e: unknown) => e,
    );
    expect(failure).to.include({ code: "QmpUnreachable" });
    expect(String(failure)).to.contain("another client");
  });
});
