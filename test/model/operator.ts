import type { Action } from "./action.ts";
import { removeObject } from "./api-server.ts";
import { onCall, onStartSent, onStop, onStopSent } from "./invariants.ts";
import { landOperatorPatch } from "./operator-patches.ts";
import type { Rules } from "./rules.ts";
import {
  Act,
  DRAIN,
  drainedEntry,
  HALF,
  type OperatorState,
  Power,
  Reason,
  type Router,
  SatelliteObject,
  type State,
  VALID,
  Vm,
  type Wire,
} from "./state.ts";

/** The leader lease runs out after this many ticks without renewal; a call is given up after one. */
const LEADER_LEASE = 2;
const CALL_TIMEOUT = 1;
const MOST_STARTS = 3;

const operatorOf = (s: State, index: number): OperatorState => s.operators[index] as OperatorState;

const hasSeen = (o: OperatorState, { it }: Router): boolean => (o.index === 0 ? it.seen0 : it.seen1) === 1;
const copyOf = (o: OperatorState, { it }: Router): number => (o.index === 0 ? it.copy0 : it.copy1);

function seeEntry(o: OperatorState, { it }: Router): void {
  if (o.index === 0) {
    it.seen0 = 1;
    it.copy0 = it.entry;
  } else {
    it.seen1 = 1;
    it.copy1 = it.entry;
  }
}

/** What an operator remembers of its calls belongs to one state of one epoch. */
function forgetCalls({ it }: OperatorState): void {
  it.started = 0;
  it.stopped = 0;
  it.drainAge = 0;
}

/** Brings the operator's cache up to the API server's, and lets its idle clock notice what changed. */
function refresh(s: State, o: OperatorState, rules: Rules): void {
  const { view, it } = o;
  const { api } = s;
  const moved =
    view.uid !== api.uid ||
    view.state !== api.state ||
    view.epoch !== api.epoch ||
    view.reason !== api.reason;
  if (moved) forgetCalls(o);
  if (it.spec === 0 && rules["idleOff.generationRestarts"]) it.idleAge = 0;
  if (moved && api.state === Power.Running && rules["idleOff.runningRestarts"]) it.idleAge = 0;
  s.copyObject(api, view);
  it.spec = 1;
  for (const router of s.routers) {
    if (hasSeen(o, router)) continue;
    seeEntry(o, router);
    if (rules["idleOff.activityRestarts"]) it.idleAge = 0;
  }
}

/** A process that has just begun (to lead): it knows what it reads and nothing else. */
function begin(s: State, o: OperatorState, rules: Rules): void {
  for (const router of s.routers) seeEntry(o, router);
  refresh(s, o, rules);
  forgetCalls(o);
  o.it.fenced = 0;
  o.it.idleAge = 0;
  o.it.up = 1;
}

/** May it decide and send now? */
function mayAct(s: State, o: OperatorState, rules: Rules): boolean {
  if (o.it.up === 0 || o.wire.kind !== Act.None || o.view.uid === 0) return false;
  return s.operators.length === 1 || o.it.ownAge < (rules["leader.margin"] ? HALF : LEADER_LEASE);
}

function send(s: State, o: OperatorState, kind: number, forced = false): true {
  const { view, it, wire } = o;
  wire.kind = kind;
  wire.uid = view.uid;
  wire.epoch = view.epoch;
  wire.state = view.state;
  wire.fence = view.fence;
  wire.reason = view.reason;
  wire.spec = it.spec;
  wire.activity = s.routers.every((router) => hasSeen(o, router)) ? 1 : 0;
  wire.forced = forced ? 1 : 0;
  wire.age = 0;
  return true;
}

const isLive = (o: OperatorState, router: Router): boolean => {
  const entry = copyOf(o, router);
  return entry !== 0 && entry !== drainedEntry(o.view.epoch) && o.it.idleAge < VALID;
};

const isUp = (state: number): boolean => state === Power.Running || state === Power.Starting;

/** May the stop be sent: nobody is using the machine, or drainTimeout has passed? */
function isDrained(s: State, o: OperatorState, rules: Rules): boolean {
  const { view } = o;
  if (view.reason === Reason.None || !rules["drain.wait"]) return true;
  return s.routers.every((router) => {
    const entry = copyOf(o, router);
    if (entry === 0 || entry === drainedEntry(view.epoch)) return true;
    return entry > 1 && !rules["drained.namesEpoch"];
  });
}

/** Carries out an EC2 call; true: accepted. */
function carryOut(s: State, wire: Wire): boolean {
  const { machine } = s;
  if (machine.uid !== wire.uid || machine.vm === Vm.Terminated) return false;
  if (wire.kind === Act.StartCall) {
    if (machine.vm === Vm.Stopping) return false;
    if (machine.vm === Vm.Stopped) {
      onCall(s, Power.Starting, wire.uid, wire.epoch);
      machine.vm = Vm.Pending;
    }
    return true;
  }
  if (wire.kind === Act.TerminateCall) {
    onCall(s, Power.Stopping, wire.uid, wire.epoch);
    onStop(s, wire.forced === 1);
    machine.vm = Vm.Terminated;
    for (const { it } of s.routers) it.open = 0;
    return true;
  }
  if (machine.vm === Vm.Pending) return false;
  if (machine.vm === Vm.Running) {
    onCall(s, Power.Stopping, wire.uid, wire.epoch);
    onStop(s, wire.forced === 1);
    machine.vm = Vm.Stopping;
  }
  return true;
}

const isCall = (wire: Wire): boolean => wire.kind >= Act.StartCall;

/** A fault that may make the product send a StartInstances once more. */
function excuseStart(s: State): void {
  s.history.startsLeft = Math.min(s.history.startsLeft + 1, MOST_STARTS);
}

/** Gives up on what is on the wire. A patch may land later; a call was given its time. */
function giveUp(s: State, o: OperatorState, rules: Rules): void {
  if (o.wire.kind === Act.None) return;
  const mayLand = !isCall(o.wire) || !rules["leader.settle"];
  if (!isCall(o.wire)) o.it.fenced = 0;
  if (mayLand && o.late.kind === Act.None) s.moveWire(o.wire, o.late);
  else s.clearWire(o.wire);
  excuseStart(s);
}

type Decision = (s: State, o: OperatorState, rules: Rules) => boolean;

/** A step that the leader decides on alone; `decide` returns false, or sends. */
const decision = (name: string, decide: Decision, kind: Action["kind"] = "progress"): Action => ({
  name,
  actor: "operator",
  kind,
  step(s, index, rules) {
    const o = operatorOf(s, index);
    return mayAct(s, o, rules) && decide(s, o, rules);
  },
});

const isWanted = ({ view }: OperatorState): boolean => view.on === 1 && view.deleting === 0;

export const operatorDecisions: readonly Action[] = [
  decision(
    "sends idle-off",
    (s, o, rules) => {
      const { view, it } = o;
      const limit = rules["idleOff.validity"] ? VALID : HALF;
      if (s.budget.idleOffs === 0 || !isWanted(o) || view.never === 1) return false;
      if (view.state !== Power.Running || it.idleAge < limit) return false;
      s.budget.idleOffs -= 1;
      return send(s, o, Act.IdleOff);
    },
    "chance",
  ),
  decision(
    "sends the prune of an entry",
    (s, o, rules) => {
      const { view, it } = o;
      const [router] = s.routers;
      if (s.budget.prunes === 0 || router === undefined || copyOf(o, router) === 0) return false;
      if (view.state === Power.Stopping && rules["prune.notDraining"]) return false;
      if (view.state !== Power.Off && it.idleAge < VALID && rules["prune.over"]) return false;
      s.budget.prunes -= 1;
      return send(s, o, Act.Prune);
    },
    "chance",
  ),
  decision("sends the Stopping intent", (s, o, rules) => {
    const { view } = o;
    if (view.on === 1 || view.deleting === 1 || !isUp(view.state)) return false;
    if (rules["stop.noLiveLease"] && s.routers.some((router) => isLive(o, router))) return false;
    return send(s, o, Act.Stop);
  }),
  decision("sends the Draining intent", (s, o) => {
    const { view } = o;
    if (view.on === 1 || view.deleting === 1 || !isUp(view.state)) return false;
    if (!s.routers.some((router) => isLive(o, router))) return false;
    return send(s, o, Act.Drain);
  }),
  decision("sends the Deleting intent", (s, o) => {
    const { view } = o;
    return view.deleting === 1 && view.reason !== Reason.Deleting && send(s, o, Act.Delete);
  }),
  decision("sends the Starting intent", (s, o) => {
    return isWanted(o) && o.view.state === Power.Off && send(s, o, Act.Start);
  }),
  decision("sends a fence", (s, o) => {
    const { view, it } = o;
    if (view.state !== Power.Starting || view.accepted === 1 || view.deleting === 1) return false;
    return it.fenced === 0 && send(s, o, Act.Fence);
  }),
  decision("sends StartInstances", (s, o, rules) => {
    const { view, it } = o;
    const intent = view.state === Power.Starting && isWanted(o);
    const early = !rules["order.startIntent"] && view.state === Power.Off && isWanted(o);
    if (!intent && !early) return false;
    if (rules["order.startOnce"] && (view.accepted === 1 || it.started === 1)) return false;
    if (intent && rules["order.fence"] && it.fenced === 0) return false;
    if (rules["order.waitStopped"] && s.machine.read === Vm.Stopping) return false;
    onStartSent(s);
    return send(s, o, Act.StartCall);
  }),
  decision("sends the accepted mark", (s, o) => {
    const { view, it } = o;
    if (view.state !== Power.Starting || view.accepted === 1 || it.started === 0) return false;
    return send(s, o, Act.Accept);
  }),
  decision("probes the VM, which answers, and sends Running", (s, o) => {
    const { view } = o;
    if (view.state !== Power.Starting || view.accepted === 0 || view.deleting === 1) return false;
    const answers = s.machine.vm === Vm.Running || s.machine.vm === Vm.Stopping;
    return answers && s.machine.uid === view.uid && send(s, o, Act.Run);
  }),
  decision("sends StopInstances", (s, o, rules) => {
    const { view, it } = o;
    if (view.deleting === 1 || it.stopped === 1) return false;
    const intent = view.state === Power.Stopping;
    const early = !rules["order.stopIntent"] && view.state === Power.Running && view.on === 0;
    if (!intent && !early) return false;
    if (s.machine.read === Vm.Pending && rules["order.waitStarted"]) return false;
    const drained = isDrained(s, o, rules);
    if (!drained && it.drainAge < DRAIN) return false;
    onStopSent(s);
    return send(s, o, Act.StopCall, !drained);
  }),
  decision("sends TerminateInstances", (s, o, rules) => {
    const { view, it } = o;
    if (view.deleting === 0 || it.stopped === 1) return false;
    if (view.reason !== Reason.Deleting && rules["order.deleteIntent"]) return false;
    const drained = isDrained(s, o, rules);
    if (!drained && it.drainAge < DRAIN) return false;
    return send(s, o, Act.TerminateCall, !drained);
  }),
  decision("sends Off", (s, o, rules) => {
    const { view, it } = o;
    if (view.state !== Power.Stopping || view.deleting === 1) return false;
    if (it.stopped === 0 && rules["order.stopAnswered"]) return false;
    if (s.machine.read !== Vm.Stopped && rules["order.waitStopped"]) return false;
    return send(s, o, Act.Off);
  }),
  decision("takes the stop back and sends Running", (s, o, rules) => {
    const { view, it } = o;
    if (rules["stop.final"] || view.state !== Power.Stopping || it.stopped === 1) return false;
    return isWanted(o) && send(s, o, Act.Run);
  }),
  decision("removes the finalizer", (s, o) => {
    const { view } = o;
    if (view.deleting === 0 || view.state !== Power.Stopping || s.machine.read !== Vm.Terminated)
      return false;
    removeObject(s);
    return true;
  }),
];

/** What becomes of an operator's patches and calls, and of the operator. */
export const operatorActions: readonly Action[] = [
  {
    name: "sees the object",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      if (o.it.up === 0) return false;
      const current = s.isCurrent(o.view) && o.it.spec === 1;
      if (current && s.routers.every((router) => hasSeen(o, router))) return false;
      refresh(s, o, rules);
      return true;
    },
  },
  {
    name: "has its patch carried out and answered",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      const { wire, view, it } = o;
      if (wire.kind === Act.None || isCall(wire)) return false;
      const { kind } = wire;
      const landed = landOperatorPatch(s, wire, rules);
      const ownWriteOnly = landed && !rules["drain.freshCache"];
      s.clearWire(wire);
      // The generation in the answer is its own doing: no reason to stay awake.
      if (landed && kind === Act.IdleOff) it.spec = 1;
      if (landed && (kind === Act.Start || kind === Act.Fence)) it.fenced = 1;
      if (ownWriteOnly) {
        // It takes over what it wrote itself and believes the rest of its cache.
        if (view.state !== s.api.state || view.epoch !== s.api.epoch) forgetCalls(o);
        s.copyObject(s.api, view);
      } else refresh(s, o, rules);
      return true;
    },
  },
  {
    name: "has its call carried out and answered",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const { wire, it } = operatorOf(s, index);
      if (!isCall(wire) || (rules["leader.abort"] && wire.age > CALL_TIMEOUT)) return false;
      const accepted = carryOut(s, wire);
      if (accepted && wire.kind === Act.StartCall) it.started = 1;
      if (accepted && wire.kind !== Act.StartCall) it.stopped = 1;
      if (!accepted) excuseStart(s);
      s.clearWire(wire);
      return true;
    },
  },
  {
    name: "has its call refused",
    actor: "operator",
    kind: "chance",
    step(s, index) {
      const { wire } = operatorOf(s, index);
      const refusable =
        (wire.kind === Act.StartCall && s.machine.vm === Vm.Stopped) ||
        (wire.kind === Act.StopCall && s.machine.vm === Vm.Running);
      if (!refusable || s.budget.refusals === 0) return false;
      s.budget.refusals -= 1;
      excuseStart(s);
      s.clearWire(wire);
      return true;
    },
  },
  {
    name: "has its call carried out, and the answer is lost",
    actor: "operator",
    kind: "chance",
    step(s, index, rules) {
      const { wire } = operatorOf(s, index);
      if (!isCall(wire) || s.budget.operatorLosses === 0) return false;
      if (rules["leader.abort"] && wire.age > CALL_TIMEOUT) return false;
      s.budget.operatorLosses -= 1;
      carryOut(s, wire);
      excuseStart(s);
      s.clearWire(wire);
      return true;
    },
  },
  {
    name: "gives its call up after the timeout",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const { wire } = operatorOf(s, index);
      if (!isCall(wire) || wire.age <= CALL_TIMEOUT || !rules["leader.abort"]) return false;
      excuseStart(s);
      s.clearWire(wire);
      return true;
    },
  },
  {
    name: "waits in vain for the answer to its patch",
    actor: "operator",
    kind: "chance",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      if (o.wire.kind === Act.None || isCall(o.wire) || s.budget.operatorLosses === 0) return false;
      s.budget.operatorLosses -= 1;
      giveUp(s, o, rules);
      return true;
    },
  },
  {
    name: "has a late patch carried out",
    actor: "operator",
    kind: "chance",
    step(s, index, rules) {
      const { late } = operatorOf(s, index);
      if (late.kind === Act.None) return false;
      if (isCall(late)) carryOut(s, late);
      else landOperatorPatch(s, late, rules);
      s.clearWire(late);
      return true;
    },
  },
  {
    name: "crashes",
    actor: "operator",
    kind: "chance",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      if (o.it.up === 0 || s.budget.operatorCrashes === 0) return false;
      s.budget.operatorCrashes -= 1;
      giveUp(s, o, rules);
      excuseStart(s);
      // What it remembered is gone; the cache is empty until it begins again.
      s.bytes.fill(0, o.view.at, o.view.at + SatelliteObject.size);
      forgetCalls(o);
      o.it.idleAge = 0;
      o.it.spec = 0;
      o.it.up = 0;
      return true;
    },
  },
  {
    name: "begins again",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      const alone = s.operators.length === 1;
      if (o.it.up === 1 || !alone) return false;
      begin(s, o, rules);
      return true;
    },
  },
];

/** Two operators: one leads, and its lease may be taken over while it is paused. */
export const leaderActions: readonly Action[] = [
  {
    name: "renews the leader lease",
    actor: "operator",
    kind: "progress",
    step(s, index) {
      const { it } = operatorOf(s, index);
      if (it.up === 0 || s.leader.holder !== index + 1 || it.ownAge === 0) return false;
      it.ownAge = 0;
      s.leader.age = 0;
      return true;
    },
  },
  {
    name: "takes the leader lease over",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      if (s.leader.holder === index + 1 || s.leader.age < LEADER_LEASE || o.it.up === 1) return false;
      if (s.budget.takeovers === 0) return false;
      s.budget.takeovers -= 1;
      s.leader.holder = index + 1;
      s.leader.age = 0;
      o.it.ownAge = 0;
      excuseStart(s);
      begin(s, o, rules);
      return true;
    },
  },
  {
    name: "notices that it no longer leads, and exits",
    actor: "operator",
    kind: "progress",
    step(s, index, rules) {
      const o = operatorOf(s, index);
      const { it } = o;
      if (it.up === 0 || it.ownAge < LEADER_LEASE || s.leader.holder === index + 1) return false;
      giveUp(s, o, rules);
      s.bytes.fill(0, o.view.at, o.view.at + SatelliteObject.size);
      forgetCalls(o);
      it.idleAge = 0;
      it.spec = 0;
      it.up = 0;
      return true;
    },
  },
];
