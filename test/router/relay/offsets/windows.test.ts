import { expect } from "chai";
import { Conversation, type Event } from "./conversation.ts";
import { EVENTS } from "./events.ts";

/** Numbers from a seed: the same every time. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 3_266_489_917) >>> 0;
    return state % below;
  };
}

/** Bodies whose every byte tells where it belongs. */
function body(id: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) {
    bytes[at] = (at * 7 + id * 31 + (at >> 8)) & 0xff;
  }
  return bytes;
}

function requireSame(sent: Buffer, arrived: Buffer, what: string): void {
  for (let at = 0; at < arrived.length; at += 1) {
    if (arrived[at] !== sent[at]) {
      throw new Error(`${what}: byte ${at} of ${sent.length} is another one`);
    }
  }
}

/** What waits must not use up the windows of what it waits for. */
const DRAIN: Event = {
  name: "what comes is held until what is open has ended",
  isHarmless: true,
  happens: (it) => {
    it.isHeld = true;
    it.epoch = 2;
  },
};

const HARMLESS: readonly Event[] = [...EVENTS.filter(({ isHarmless }) => isHarmless), DRAIN];

async function tell(seed: number): Promise<{ readonly event: Event; readonly bytes: number }> {
  const pick = numbersFrom(seed);
  const event = HARMLESS[pick(HARMLESS.length)]!;
  const ids = Array.from({ length: 1 + pick(6) }, (_unused, place) => 2 * place + 11);
  const bodies = new Map(ids.map((id) => [id, body(id, 1 + pick(pick(2) === 0 ? 3000 : 150_000))]));
  const early = new Map([...bodies].slice(0, 1 + pick(bodies.size)));
  const late = new Map([...bodies].filter(([id]) => !early.has(id)));
  const conversation = new Conversation(event.before, early);
  conversation.grainBytes = [Number.MAX_SAFE_INTEGER, 40_000, 1000 + pick(20_000)][pick(3)]!;
  const direction = pick(2) === 0 ? "client" : "machine";
  await conversation.run(direction, pick(300_000));
  event.happens(conversation);
  conversation.call(late);
  await conversation.run(direction, Number.MAX_SAFE_INTEGER);
  for (const id of event === DRAIN ? early.keys() : []) {
    expect(conversation.client.calls.get(id)?.status, `early call ${id} of seed ${seed}`).equal("0");
  }
  conversation.release();
  conversation.speak();
  for (let second = 0; second < 3; second += 1) {
    for (const { wire } of conversation.machines) {
      wire.drain();
    }
    conversation.clientWire.drain();
    await conversation.run(direction, Number.MAX_SAFE_INTEGER);
    conversation.clock.jump(1000);
  }
  let bytes = 0;
  for (const [id, sent] of bodies) {
    const ended = conversation.client.calls.get(id);
    expect(ended?.status, `call ${id} of seed ${seed}: ${event.name}`).equal("0");
    requireSame(sent, ended?.body ?? Buffer.alloc(0), `call ${id} of seed ${seed}`);
    expect(ended?.body).lengthOf(sent.length);
    bytes += sent.length;
  }
  conversation.connection.destroy();
  expect(conversation.unreleased).equal(0);
  return { event, bytes };
}

describe("large bodies through small windows", function () {
  const seeds = Number(process.env["CONVERSATIONS"] ?? 150);
  this.timeout(120_000 + 1000 * seeds);

  it(`arrive as they were sent in ${seeds} conversations, with two satellites, sleeps and drains`, async () => {
    const told = new Set<string>();
    for (let seed = 1; seed <= seeds; seed += 1) {
      told.add((await tell(seed)).event.name);
    }
    expect([...told].toSorted()).deep.equal(HARMLESS.map(({ name }) => name).toSorted());
  });
});
