import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";

import { expect } from "chai";

import { type SerialAgentActions, serveSerialAgent } from "../../src/guest/serial-agent.ts";

describe("the agent on the serial port", () => {
  const start = (
    actions: Partial<SerialAgentActions> = {},
  ): { input: PassThrough; answer: () => Promise<unknown> } => {
    const input = new PassThrough();
    const output = new PassThrough();
    serveSerialAgent(input, output, { setTime: async () => {}, shutDown: () => {}, ...actions });
    const lines = createInterface({ input: output })[Symbol.asyncIterator]();
    return { input, answer: async () => JSON.parse((await lines.next()).value ?? "null") };
  };

  it("sets the clock, in nanoseconds on the wire", async () => {
    const times: number[] = [];
    const agent = start({ setTime: async (unixMs) => void times.push(unixMs) });
    agent.input.write('{"execute":"guest-set-time","arguments":{"time":1700000000123000000}}\n');
    expect(await agent.answer()).to.deep.equal({ return: {} });
    expect(times).to.deep.equal([1_700_000_000_123]);
  });

  it("shuts down without an answer", async () => {
    const asked = Promise.withResolvers<void>();
    const agent = start({ shutDown: () => asked.resolve() });
    agent.input.write('{"execute":"guest-shutdown","arguments":{"mode":"powerdown"}}\n');
    await asked.promise;
  });

  it("reads requests that arrive in pieces, and forgets a half one at the delimiter", async () => {
    const agent = start();
    agent.input.write('{"execute":"gue');
    agent.input.write(Buffer.concat([Buffer.of(0xff), Buffer.from('{"execute":"guest-sy')]));
    agent.input.write('nc","arguments":{"id":7}}\n');
    expect(await agent.answer()).to.deep.equal({ return: 7 });
  });

  it("says what it can't do and goes on", async () => {
    const agent = start();
    agent.input.write('{"execute":"guest-exec"}\n');
    expect(await agent.answer()).to.deep.equal({
      error: { class: "GenericError", desc: "unknown command guest-exec" },
    });
    agent.input.write('{"execute":"guest-ping"}\n');
    expect(await agent.answer()).to.deep.equal({ return: {} });
  });
});
