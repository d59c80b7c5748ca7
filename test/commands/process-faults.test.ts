import { EventEmitter } from "node:events";

import { expect } from "chai";

import { ProcessFaults } from "../../src/commands/process-faults.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("uncaught errors of a process", () => {
  let clock: VirtualClock;
  let logger: CollectingLogger;
  let exits: number[];
  let source: EventEmitter;
  let faults: ProcessFaults;

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new CollectingLogger();
    exits = [];
    source = new EventEmitter();
    faults = new ProcessFaults({ clock, logger, exit: (code) => exits.push(code) });
    faults.watch(source);
  });

  const fail = (): boolean => source.emit("uncaughtException", new Error("a bug"));
  const errors = (): string[] =>
    logger.lines.filter(({ level }) => level === "error").map(({ message }) => message);

  it("end it at once where its command says nothing else", () => {
    fail();
    expect(exits).to.deep.equal([1]);
    expect(errors()).to.deep.equal(["an uncaught error ends this process"]);
  });

  it("end the command in order, once, and the process behind it", () => {
    let ends = 0;
    faults.follow({ end: () => void (ends += 1), maxEndMs: 1000 });
    fail();
    fail();
    expect([ends, exits.length]).to.deep.equal([1, 0]);
    expect(errors().length).to.equal(2);
    faults.finish();
    expect(exits).to.deep.equal([1]);
  });

  it("end the process in bounded time where the command does not come to its end", async () => {
    faults.follow({ end: () => {}, maxEndMs: 1000 });
    fail();
    await clock.advance(999);
    expect(exits).to.deep.equal([]);
    await clock.advance(1);
    expect(exits).to.deep.equal([1]);
  });
});
