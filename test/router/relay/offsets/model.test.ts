import { expect } from "chai";
import { array, assert, asyncProperty, constantFrom, integer, record } from "fast-check";
import { BODIES, CANCELLED_CALL, Conversation, OWN_CALL } from "./conversation.ts";
import { EVENTS } from "./events.ts";

const WHOLE = Number.MAX_SAFE_INTEGER;

/** One thing after the other: some bytes of one end arrive, then something happens, in whatever order, sense or not. */
const step = record({
  direction: constantFrom("client", "machine"),
  bytes: integer({ min: 0, max: 120 }),
  event: constantFrom(...EVENTS),
});

const story = record({
  before: constantFrom(undefined, "held", "silent"),
  grainBytes: constantFrom(1, 7, 50, WHOLE),
  steps: array(step, { maxLength: 8 }),
});

/** Lets everything come to its end: nobody holds, is silent, or takes nothing any more, and time passes. */
async function finish(conversation: Conversation): Promise<void> {
  for (let second = 0; second < 12; second += 1) {
    conversation.release();
    conversation.speak();
    for (const { wire } of [...conversation.machines, { wire: conversation.clientWire }]) {
      wire.drain();
    }
    await conversation.run("client", WHOLE);
    await conversation.clock.advance(1000);
    conversation.connection.sweep(conversation.clock.monotonicMs());
  }
}

/** What may come of the calls, whatever happened: this is all that the router promises. */
function judge(conversation: Conversation): void {
  const { client, clientWire, isClosed, machines } = conversation;
  expect(conversation.faults, "faults of the router's").equal(0);
  const seen = new Set<string>();
  for (const { name, requests } of machines) {
    for (const { body, call, isWhole } of requests.values()) {
      const sent = BODIES.get(Number(call)) ?? "unwanted";
      expect(sent.startsWith(body.toString()), `${name} got "${body.toString()}" of "${sent}"`).equal(true);
      expect(!isWhole || body.toString() === sent, `the whole of call ${call}`).equal(true);
      expect(seen.has(call), `call ${call} at two machines`).equal(false);
      seen.add(call);
    }
  }
  const isOver = isClosed || clientWire.hasEnded;
  for (const [id, { body, status }] of client.calls) {
    const sent = id === OWN_CALL ? "own answer" : (BODIES.get(id) ?? "");
    expect(sent.startsWith(body.toString()), `the answer of call ${id}`).equal(true);
    if (status === "0") {
      expect(body.toString(), `the whole answer of call ${id}`).equal(sent);
    }
    expect(status !== undefined || isOver || id === CANCELLED_CALL, `call ${id} never ends`).equal(true);
  }
}

describe("a connection to which anything happens, in any order", function () {
  this.timeout(300_000);

  it("keeps its promises to each call, sends no peer what is not HTTP/2, and releases what it was given", async () => {
    await assert(
      asyncProperty(story, async ({ before, grainBytes, steps }) => {
        const conversation = new Conversation(before);
        conversation.grainBytes = grainBytes;
        for (const { direction, bytes, event } of steps) {
          await conversation.run(direction, conversation.deliveredBytes(direction) + bytes);
          event.happens(conversation);
        }
        await finish(conversation);
        judge(conversation);
        conversation.connection.destroy();
        expect(conversation.unreleased, "admissions that were not released").equal(0);
      }),
      { numRuns: Number(process.env["STORIES"] ?? 300) },
    );
  });
});
