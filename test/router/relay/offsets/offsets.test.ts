import { expect } from "chai";
import {
  BODIES,
  CANCELLED_CALL,
  Conversation,
  OWN_CALL,
  type Direction,
  type Event,
} from "./conversation.ts";
import { EVENTS } from "./events.ts";

const WHOLE = Number.MAX_SAFE_INTEGER;
/** Calls that the first machine serves while the satellite has slept never. */
const FIRST_MACHINE_CALLS: ReadonlySet<number> = new Set([1, 3]);

/** Tells one conversation: up to the cut, then the event, then to its end. */
async function tell(
  event: Event,
  direction: Direction,
  offset: number,
  grainBytes = WHOLE,
): Promise<Conversation> {
  const conversation = new Conversation(event.before);
  conversation.grainBytes = grainBytes;
  await conversation.run(direction, offset);
  const hasPartOfFrame = !conversation.client.isWhole;
  event.happens(conversation);
  await conversation.run(direction, WHOLE);
  conversation.release();
  conversation.speak();
  for (const { wire } of conversation.machines) {
    wire.drain();
  }
  conversation.clientWire.drain();
  await conversation.run(direction, WHOLE);
  // Pauses between attempts, and a client that does not answer, take time.
  for (let second = 0; second < 3; second += 1) {
    conversation.clock.jump(1000);
    await conversation.run(direction, WHOLE);
  }
  judge(conversation, event, hasPartOfFrame);
  conversation.connection.destroy();
  expect(conversation.unreleased, "admissions that were not released").equal(0);
  return conversation;
}

/** What arrived is what was sent: for machines, for the client, and in full where nothing was to be harmed. */
function judge(conversation: Conversation, event: Event, hadPartOfFrame: boolean): void {
  const { client, isClosed, machines } = conversation;
  const seen = new Map<string, string>();
  for (const machine of machines) {
    for (const [id, request] of machine.requests) {
      const sent = BODIES.get(Number(request.call)) ?? "unwanted";
      const arrived = request.body.toString();
      expect(sent.startsWith(arrived), `${machine.name} got "${arrived}" of "${sent}" on ${id}`).equal(true);
      if (request.isWhole) {
        expect(arrived, `the whole request of call ${request.call}`).equal(sent);
      }
      expect(seen.get(request.call), `call ${request.call} at two machines`).equal(undefined);
      seen.set(request.call, machine.name);
      expect(machine.name.split(".")[0], `where call ${request.call} went`).equal(
        conversation.admittedTo.get(request.call),
      );
    }
  }
  const wasCut = isClosed || conversation.clientWire.hasEnded;
  if (wasCut && event.mayClose !== true) {
    // A connection may end once everything is answered.
    expect(
      [...client.calls].filter(([id, { status }]) => status === undefined && id !== CANCELLED_CALL),
    ).deep.equal([]);
  }
  for (const [id, { body, status, trailers }] of client.calls) {
    const sent = id === OWN_CALL ? "own answer" : (BODIES.get(id) ?? "");
    if (status === "0") {
      expect(body.toString(), `the answer of call ${id}`).equal(sent);
      expect(trailers.get("trailer") ?? "").equal(id === 5 ? "5" : "");
    } else {
      expect(sent.startsWith(body.toString()), `part of the answer of call ${id}`).equal(true);
    }
    if (id === CANCELLED_CALL || (wasCut && event.mayClose === true)) {
      continue;
    }
    const mayFail = !event.isHarmless && FIRST_MACHINE_CALLS.has(id) && !hadPartOfFrame;
    expect(status, `the end of call ${id}`)[mayFail ? "not" : "to"].equal(mayFail ? undefined : "0");
  }
}

describe("a conversation that is cut at every byte", function () {
  this.timeout(120_000);

  for (const direction of ["client", "machine"] as const) {
    for (const event of EVENTS) {
      it(`arrives as it was sent when ${event.name} between any two bytes of the ${direction}`, async () => {
        const whole = await tell(event, direction, WHOLE);
        const lengthBytes = whole.deliveredBytes(direction);
        for (let offset = event.from ?? 0; offset <= lengthBytes; offset += 1) {
          try {
            await tell(event, direction, offset);
          } catch (error) {
            throw new Error(`cut behind byte ${offset} of ${lengthBytes}`, { cause: error });
          }
        }
      });
      it(`arrives byte by byte as it was sent when ${event.name} on the way of the ${direction}`, async () => {
        const whole = await tell(event, direction, WHOLE);
        for (let offset = event.from ?? 0; offset <= whole.deliveredBytes(direction); offset += 97) {
          await tell(event, direction, offset, 1);
        }
      });
    }
  }
});
