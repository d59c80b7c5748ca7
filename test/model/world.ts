import type { Action } from "./action.ts";
import { specChanged } from "./api-server.ts";
import { DRAIN, OffBy, Power, Reason, RouterPatch, type State, VALID, Vm } from "./state.ts";

/** Spends one of the person's actions. */
function spendPerson(s: State): void {
  s.budget.person -= 1;
  specChanged(s);
}

const mayAct = (s: State): boolean => s.budget.person > 0 && s.api.uid !== 0 && s.api.deleting === 0;

/** The machine has come to rest without running: whatever was connected to it is gone. */
function cutStreams(s: State): void {
  for (const { it } of s.routers) it.open = 0;
}

/** Another satellite, and another machine, under the name that became free; once. */
const creation = (name: string, on: number): Action => ({
  name,
  actor: "world",
  kind: "chance",
  step(s) {
    if (s.budget.person === 0 || s.api.uid !== 0 || s.machine.uid !== 1) return false;
    spendPerson(s);
    s.api.uid = 2;
    s.api.on = on;
    s.history.sinceOn = 0;
    s.machine.uid = 2;
    // A new object counts its generation from 1 and has no activity, as the old one may have had.
    for (const { wire, late } of s.operators) {
      for (const slot of [wire, late]) {
        slot.spec = 1;
        slot.activity = 1;
      }
    }
    s.machine.vm = Vm.Stopped;
    s.machine.read = Vm.Stopped;
    return true;
  },
});

const older = (age: number, limit: number): number => Math.min(age + 1, limit);

/** What the person at kubectl does. */
export const personActions: readonly Action[] = [
  {
    name: "a person switches it off",
    actor: "world",
    kind: "chance",
    step(s) {
      if (!mayAct(s) || s.api.on === 0) return false;
      spendPerson(s);
      s.api.on = 0;
      s.history.offBy = OffBy.Person;
      return true;
    },
  },
  {
    name: "a person switches it on",
    actor: "world",
    kind: "chance",
    step(s) {
      if (!mayAct(s) || s.api.on === 1) return false;
      spendPerson(s);
      s.api.on = 1;
      s.history.sinceOn = 0;
      return true;
    },
  },
  {
    name: "a person changes wakePolicy",
    actor: "world",
    kind: "chance",
    step(s) {
      if (!mayAct(s)) return false;
      spendPerson(s);
      s.api.manual = 1 - s.api.manual;
      return true;
    },
  },
  {
    name: "a person changes idleTimeout",
    actor: "world",
    kind: "chance",
    step(s) {
      if (!mayAct(s)) return false;
      spendPerson(s);
      s.api.never = 1 - s.api.never;
      s.history.sinceOn = 0;
      return true;
    },
  },
  {
    name: "a person deletes it",
    actor: "world",
    kind: "chance",
    step(s) {
      if (!mayAct(s)) return false;
      spendPerson(s);
      s.api.deleting = 1;
      return true;
    },
  },
  creation("a person creates another of the same name", 1),
  creation("a person creates another of the same name, switched off", 0),
];

/** What EC2 does by itself. */
export const machineActions: readonly Action[] = [
  {
    name: "EC2 has started the VM",
    actor: "world",
    kind: "progress",
    step(s) {
      if (s.machine.vm !== Vm.Pending) return false;
      s.machine.vm = Vm.Running;
      return true;
    },
  },
  {
    name: "EC2 has stopped the VM",
    actor: "world",
    kind: "progress",
    step(s) {
      if (s.machine.vm !== Vm.Stopping) return false;
      s.machine.vm = Vm.Stopped;
      cutStreams(s);
      return true;
    },
  },
  {
    name: "DescribeInstances catches up",
    actor: "world",
    kind: "progress",
    step(s) {
      if (s.machine.read === s.machine.vm) return false;
      s.machine.read = s.machine.vm;
      return true;
    },
  },
];

export const timeActions: readonly Action[] = [
  {
    name: "half a validity passes",
    actor: "world",
    kind: "progress",
    step(s) {
      s.history.sinceOn = older(s.history.sinceOn, VALID);
      for (const { it } of s.routers) {
        if (it.kind === RouterPatch.Lease) it.age = older(it.age, VALID);
        it.leaseAge = older(it.leaseAge, VALID);
        it.admitAge = it.open > 0 ? older(it.admitAge, VALID) : VALID;
      }
      for (const { it, view, wire } of s.operators) {
        if (view.state === Power.Running && view.on === 1) it.idleAge = older(it.idleAge, VALID);
        if (view.state === Power.Stopping && view.reason !== Reason.None)
          it.drainAge = older(it.drainAge, DRAIN);
        if (wire.kind !== 0) wire.age = older(wire.age, VALID);
        if (s.operators.length > 1) it.ownAge = older(it.ownAge, VALID);
      }
      if (s.operators.length > 1) s.leader.age = older(s.leader.age, VALID);
      return true;
    },
  },
];
