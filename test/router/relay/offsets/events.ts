import { MAX_31_BIT } from "../../../../src/http2/protocol.ts";
import type { Conversation, Event } from "./conversation.ts";

const MANY_BYTES = 1 << 20;

function withMachine(conversation: Conversation, what: "peerEnds" | "peerBreaks"): void {
  conversation.machine?.wire[what]();
}

/** Everything that can happen to a connection while bytes are on their way. */
export const EVENTS: readonly Event[] = [
  { name: "nothing", isHarmless: true, happens: () => {} },
  { name: "the gate releases", before: "held", isHarmless: true, happens: (it) => it.release() },
  {
    name: "the gate refuses one and releases the others",
    before: "held",
    isHarmless: false,
    happens: (it) => {
      it.refused.add("3");
      it.release();
    },
  },
  {
    name: "both satellites are about to sleep before their machines' SETTINGS come",
    before: "silent",
    isHarmless: true,
    happens: (it) => {
      it.connection.goAwayIdle("ns/a");
      it.connection.goAwayIdle("ns/b");
    },
  },
  { name: "the machine's SETTINGS come", before: "silent", isHarmless: true, happens: (it) => it.speak() },
  {
    name: "the machine ends before its SETTINGS",
    before: "silent",
    isHarmless: true,
    happens: (it) => {
      withMachine(it, "peerEnds");
      it.speak();
    },
  },
  {
    name: "the machine announces its end",
    isHarmless: true,
    happens: (it) => it.machine?.goAway(MAX_31_BIT),
  },
  {
    name: "the machine takes no more",
    isHarmless: false,
    happens: (it) => it.machine?.goAway(it.machine.lastId),
  },
  {
    name: "the machine takes less than it was given",
    isHarmless: false,
    happens: (it) => it.machine?.goAway(0),
  },
  { name: "the machine resets a call", isHarmless: false, happens: (it) => it.machine?.resetOne() },
  { name: "the machine answers early", isHarmless: false, happens: (it) => it.machine?.answerEarly() },
  {
    name: "the machine ends its connection",
    isHarmless: false,
    happens: (it) => withMachine(it, "peerEnds"),
  },
  {
    name: "the machine's connection breaks",
    isHarmless: false,
    happens: (it) => withMachine(it, "peerBreaks"),
  },
  {
    name: "the machine is off",
    isHarmless: false,
    happens: (it) => it.connection.endStreams("ns/a", 1),
  },
  {
    name: "the satellite sleeps and wakes",
    isHarmless: true,
    happens: (it) => {
      it.epoch = 2;
      it.connection.goAwayIdle("ns/a");
    },
  },
  {
    name: "the satellite is about to sleep",
    isHarmless: true,
    happens: (it) => it.connection.goAwayIdle("ns/a"),
  },
  // A connection without a byte is closed at once: nothing is lost with it.
  { name: "the router drains", from: 1, isHarmless: true, happens: (it) => it.connection.drain() },
  {
    name: "the router ends",
    isHarmless: false,
    mayClose: true,
    happens: (it) => it.connection.end(),
  },
  {
    name: "the machine takes nothing for a while",
    isHarmless: true,
    happens: (it) => {
      for (const { wire } of it.machines) {
        wire.unsentBytes = MANY_BYTES;
      }
    },
  },
  {
    name: "the client takes nothing for a while",
    isHarmless: true,
    happens: (it) => {
      it.clientWire.unsentBytes = MANY_BYTES;
    },
  },
  {
    name: "the client ends its side",
    isHarmless: false,
    mayClose: true,
    happens: (it) => it.clientWire.peerEnds(),
  },
  {
    name: "the client's connection breaks",
    isHarmless: false,
    mayClose: true,
    happens: (it) => it.clientWire.peerBreaks(),
  },
  {
    name: "time passes",
    isHarmless: true,
    happens: (it) => {
      it.clock.jump(3000);
      it.connection.sweep(it.clock.monotonicMs());
    },
  },
];
