import { expect } from "chai";
import { CLIENT_PREFACE, FRAME_HEADER_BYTES, FrameType } from "../../../../src/http2/protocol.ts";
import { DEFAULT_RELAY_LIMITS } from "../../../../src/router/relay/limits.ts";
import { frame } from "../support/peer.ts";
import { Conversation } from "./conversation.ts";

/** Longer than anything may take. */
const LATER_MS = DEFAULT_RELAY_LIMITS.clientTimeoutMs + DEFAULT_RELAY_LIMITS.lingerMs + 1;
const PING = frame(FrameType.PING, 0, 0, Buffer.from("pingpong"));
/** DATA for the connection as a whole (RFC 9113 §6.1). */
const BROKEN = frame(FrameType.DATA, 0, 0, Buffer.from("x"));

/** The states of a connection (connection-state.ts), with what makes a difference within them, and how to get there. */
const STATES = {
  "greeting, silent": () => quiet(),
  "greeting, begun": () => {
    const conversation = quiet();
    conversation.clientWire.receive(CLIENT_PREFACE.subarray(0, 10));
    return conversation;
  },
  "open, idle": () => open(),
  "open, held": () => open("held"),
  "open, passed": () => open("unanswered"),
  finished: async () => {
    const conversation = await open();
    conversation.clientWire.receive(BROKEN);
    return conversation;
  },
  closed: async () => {
    const conversation = await open();
    conversation.connection.destroy();
    return conversation;
  },
} satisfies Record<string, () => Conversation | Promise<Conversation>>;

type State = keyof typeof STATES;

/** Everything that can happen to a connection: what the wire, the engine, the gate and the VMs tell it. */
const EVENTS = {
  "a frame": ({ clientWire }) => clientWire.receive(PING),
  "a broken frame": ({ clientWire }) => clientWire.receive(BROKEN),
  "the client's end": ({ clientWire }) => clientWire.peerEnds(),
  "the client's loss": ({ clientWire }) => clientWire.peerBreaks(),
  "room on the wire": ({ clientWire }) => clientWire.drain(),
  "the gate's answer": (conversation) => conversation.release(),
  "a VM's loss": ({ machine }) => machine?.wire.peerBreaks(),
  "a satellite about to sleep": ({ connection }) => connection.goAwayIdle("ns/a"),
  "a satellite that sleeps": ({ connection }) => connection.endStreams("ns/a", 1),
  drain: ({ connection }) => connection.drain(),
  end: ({ connection }) => connection.end(),
  destroy: ({ connection }) => connection.destroy(),
  "much time": ({ clock, connection }) => connection.sweep(clock.monotonicMs() + LATER_MS),
} satisfies Record<string, (conversation: Conversation) => void>;

type EventName = keyof typeof EVENTS;

/** What the client sees of it: nothing, frames, the end of the router's side, or that of the connection; `vm`: only a VM sees something. */
type Seen = "-" | "vm" | "frames" | "end" | "closed";

/**
 * In the order of {@link STATES}. What is not meant for a state passes without effect, and nothing is a fault of the router's. A
 * preface that has begun may still become a request line of HTTP/1, so what follows it is waited for.
 */
const EXPECTED: Readonly<Record<EventName, string>> = {
  // greeting: silent, begun | open: idle, held, passed | finished | closed
  "a frame": "end - | frames frames frames | - | -",
  "a broken frame": "end - | end end end | - | -",
  "the client's end": "end end | end end frames | - | -",
  "the client's loss": "closed closed | closed closed closed | closed | -",
  "room on the wire": "- - | - - - | - | -",
  "the gate's answer": "- - | - vm - | - | -",
  "a VM's loss": "- - | - - frames | - | -",
  "a satellite about to sleep": "- - | - - - | - | -",
  "a satellite that sleeps": "- - | - - frames | - | -",
  drain: "closed - | frames frames frames | - | -",
  end: "closed closed | end end end | closed | -",
  destroy: "closed closed | closed closed closed | closed | -",
  "much time": "closed closed | - - - | closed | -",
};

function quiet(before?: "held"): Conversation {
  const conversation = new Conversation(before, new Map());
  conversation.client.outgoing = [];
  return conversation;
}

/** A connection that is answered, and on it a request that the gate holds, or that its VM does not answer yet. */
async function open(request?: "held" | "unanswered"): Promise<Conversation> {
  const calls = request === undefined ? new Map<number, Buffer>() : new Map([[1, Buffer.from("body")]]);
  const conversation = new Conversation(request === "held" ? "held" : undefined, calls);
  await conversation.run("machine", FRAME_HEADER_BYTES);
  return conversation;
}

/** Takes what the VMs were sent. */
function takeFromVms({ machines }: Conversation): number {
  return machines.reduce(
    (sum, { wire }) => sum + wire.take().length + Number(wire.hasEnded || wire.isDestroyed),
    0,
  );
}

async function seen(state: State, event: EventName): Promise<Seen> {
  const conversation = await STATES[state]();
  const { clientWire } = conversation;
  clientWire.take();
  takeFromVms(conversation);
  const before = { hasEnded: clientWire.hasEnded, isDestroyed: clientWire.isDestroyed };
  EVENTS[event](conversation);
  await new Promise(setImmediate);
  expect(conversation.faults, "faults").to.equal(0);
  if (clientWire.isDestroyed && !before.isDestroyed) {
    return "closed";
  }
  if (clientWire.hasEnded && !before.hasEnded) {
    return "end";
  }
  const vmsSee = takeFromVms(conversation) > 0 ? "vm" : "-";
  return clientWire.take().length > 0 ? "frames" : vmsSee;
}

describe("a connection's states", () => {
  for (const event of Object.keys(EVENTS) as EventName[]) {
    it(`meet ${event} as it is written`, async () => {
      const found: Seen[] = [];
      for (const state of Object.keys(STATES) as State[]) {
        found.push(await seen(state, event));
      }
      expect(found.join(" ")).to.equal(EXPECTED[event].replaceAll("| ", ""));
    });
  }

  it("reads a VM's SETTINGS, though not its answers, while the client takes nothing", async () => {
    const conversation = new Conversation("silent", new Map([[1, Buffer.from("body")]]));
    await conversation.run("client", Number.MAX_SAFE_INTEGER);
    conversation.clientWire.unsentBytes = 2 * DEFAULT_RELAY_LIMITS.maxUnsentBytes;
    conversation.clientWire.receive(PING);
    conversation.speak();
    await conversation.run("client", Number.MAX_SAFE_INTEGER);

    expect(conversation.machine?.requests.size, "requests at the VM").to.equal(1);
    expect(conversation.machine?.wire.isPaused, "paused").to.equal(true);
    expect(conversation.client.calls.get(1)?.status).to.equal(undefined);
    conversation.clientWire.drain();
    await conversation.run("client", Number.MAX_SAFE_INTEGER);
    expect(conversation.client.calls.get(1)?.status).to.equal("0");
  });
});
