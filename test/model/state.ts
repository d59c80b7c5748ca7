import { type Fields, layout } from "./bytes.ts";

/** `status.power.state`. */
export const Power = { Off: 0, Starting: 1, Running: 2, Stopping: 3 } as const;

/** Why power is Stopping, as far as the protocol goes by it. */
export const Reason = { None: 0, Draining: 1, Deleting: 2 } as const;

/** The state of the EC2 instance. */
export const Vm = { Stopped: 0, Pending: 1, Running: 2, Stopping: 3, Terminated: 4 } as const;

/** Who wrote desiredPower "off" last. The product cannot know; the invariants may. */
export const OffBy = { Person: 0, Idleness: 1 } as const;

/** What a router has on the wire. */
export const RouterPatch = { None: 0, Wake: 1, Lease: 2, Drained: 3, Withdraw: 4 } as const;

/** How far a router's patch has come. */
export const Flight = { Sent: 0, Landed: 1, Failed: 2 } as const;

/** What an operator has on the wire: a patch or an EC2 call. */
export const Act = {
  None: 0,
  IdleOff: 1,
  Stop: 2,
  Drain: 3,
  Delete: 4,
  Start: 5,
  Accept: 6,
  Run: 7,
  Off: 8,
  Fence: 9,
  Prune: 10,
  StartCall: 11,
  StopCall: 12,
  TerminateCall: 13,
} as const;

/**
 * Validity of a lease and idleTimeout, in ticks. A tick is half of `validSeconds`, so a router admits while its
 * lease is younger than one tick. An age counts the ticks that passed since; it stops at VALID.
 */
export const VALID = 2;
/** A router admits until its lease is this old, in ticks. */
export const HALF = 1;
/** drainTimeout, in ticks. */
export const DRAIN = 1;

/** What everybody reads of a Satellite; caches hold a copy of it. */
const objectFields = [
  "uid", // 0: there is no such object
  "deleting",
  "on", // spec.desiredPower
  "manual", // spec.wakePolicy
  "never", // spec.idleTimeout is 0s: never sleeps
  "state",
  "epoch",
  "accepted",
  "fence", // power.fence: counts the leaders that took this epoch over
  "reason", // power.reason, of a stop: see Reason
] as const;
export const SatelliteObject = layout(objectFields);
export type SatelliteObject = Fields<(typeof objectFields)[number]>;

const machineFields = [
  "uid",
  "vm",
  "read", // what DescribeInstances says: it lags behind by any time
] as const;
const Machine = layout(machineFields);

/** History that no actor reads: what the invariants need to know. */
const historyFields = [
  "violation", // index into VIOLATIONS; 0: none
  "offBy",
  "sinceOn", // ticks since off → on, entry to Running, or a change of idleTimeout
  "startsLeft", // StartInstances calls that this epoch may still see
] as const;
const History = layout(historyFields);

/** How often the surroundings may still do what nobody asked them to. */
const budgetFields = [
  "requests",
  "person",
  "routerCrashes",
  "routerLosses",
  "routerEnds",
  "operatorCrashes",
  "operatorLosses",
  "idleOffs",
  "refusals",
  "takeovers", // of the leader lease
  "prunes",
  "staleReads", // a switch: 1 lets DescribeInstances lag
] as const;
const Budget = layout(budgetFields);
export type BudgetName = (typeof budgetFields)[number];

/** A patch or call: what it tests is what its author had read when it was sent. */
const wireNames = [
  "kind",
  "uid",
  "epoch",
  "state",
  "fence",
  "reason",
  "spec",
  "activity",
  "forced",
  "age",
] as const;
type WireName = (typeof wireNames)[number];

const operatorFields = [
  "up",
  "ownAge", // ticks since it last renewed the leader lease; for a lone operator always 0
  "idleAge", // ticks since it saw a reason to stay awake
  "drainAge", // ticks since it saw the drain begin
  "spec", // 1: its cache holds the spec of today (metadata.generation)
  "started", // 1: EC2 accepted its StartInstances of this epoch
  "stopped", // 1: EC2 accepted its StopInstances of this epoch
  "fenced", // 1: it wrote the power that it reads itself, and knows of no patch that may still land
] as const;
const Operator = layout(operatorFields);
const Wire = layout(wireNames);
export type Wire = Fields<WireName>;

const leaderFields = ["holder", "age"] as const; // holder: index + 1
const Leader = layout(leaderFields);

const routerFields = [
  "held",
  "open",
  "admitAge", // ticks since it last admitted a stream
  "probed", // 1: the VM answered it in the epoch of its view
  "leaseEpoch", // 0: none
  "leaseAge", // ticks since the lease was sent
  "exempt", // history: its lease was overruled by drainTimeout
  "kind",
  "flight",
  "age", // ticks since the patch was sent
  "patchUid",
  "patchEpoch",
  "patchState",
  "lateKind", // a patch that the router gave up on, still under way
  "lateUid",
  "lateEpoch",
  "lateState",
  "lateSameSeq", // the next lease will carry the seq of the late one
  "entry", // status.activity[router] at the API server: 0 none, 1 lease, 1 + epoch: drained
  "named", // the withdrawal under way names the entry that is there
  "sameSeq", // the entry carries the seq that the next lease will carry
  "seen0", // operator 0 has seen this entry
  "seen1",
  "copy0", // the entry as operator 0 has it
  "copy1",
] as const;
const RouterLayout = layout(routerFields);
export type RouterFields = Fields<(typeof routerFields)[number]>;

/** An entry in which the router says that it has drained `epoch`. */
export const drainedEntry = (epoch: number): number => 1 + epoch;
export const LEASE_ENTRY = 1;

/** One router: its cached view and its fields. */
export interface Router {
  readonly view: SatelliteObject;
  readonly it: RouterFields;
}

/** One operator: its cached view, its memory, what it has on the wire, and what it gave up on. */
export interface OperatorState {
  readonly index: number;
  readonly view: SatelliteObject;
  readonly it: Fields<(typeof operatorFields)[number]>;
  readonly wire: Wire;
  readonly late: Wire;
}

const ROUTER_SIZE = SatelliteObject.size + RouterLayout.size;

/** The whole world as one byte array, and names for its parts. */
export class State {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly api: SatelliteObject;
  readonly machine: Fields<(typeof machineFields)[number]>;
  readonly history: Fields<(typeof historyFields)[number]>;
  readonly budget: Fields<BudgetName>;
  readonly leader: Fields<(typeof leaderFields)[number]>;
  readonly operators: readonly OperatorState[];
  readonly routers: readonly Router[];
  private readonly routersAt: number;

  constructor(operatorCount: number, routerCount: number) {
    const operatorSize = SatelliteObject.size + Operator.size + 2 * Wire.size;
    const fixed = SatelliteObject.size + Machine.size + History.size + Budget.size + Leader.size;
    const size = fixed + operatorCount * operatorSize + routerCount * ROUTER_SIZE;
    this.bytes = new Uint8Array(Math.ceil(size / 4) * 4);
    this.words = new Int32Array(this.bytes.buffer);
    let at = 0;
    const place = <Name extends string>(shape: {
      size: number;
      view(bytes: Uint8Array, at: number): Fields<Name>;
    }): Fields<Name> => {
      const view = shape.view(this.bytes, at);
      at += shape.size;
      return view;
    };
    this.api = place(SatelliteObject);
    this.machine = place(Machine);
    this.history = place(History);
    this.budget = place(Budget);
    this.leader = place(Leader);
    this.operators = Array.from({ length: operatorCount }, (_, index) => ({
      index,
      view: place(SatelliteObject),
      it: place(Operator),
      wire: place(Wire),
      late: place(Wire),
    }));
    this.routersAt = at;
    this.routers = Array.from({ length: routerCount }, () => ({
      view: place(SatelliteObject),
      it: place(RouterLayout),
    }));
  }

  /**
   * Routers are alike, so of two states that differ only in which router is which, one stands for both.
   *
   * @returns true when the two routers changed places
   */
  canonicalize(): boolean {
    if (this.routers.length !== 2) return false;
    const { bytes, routersAt } = this;
    for (let offset = 0; offset < ROUTER_SIZE; offset += 1) {
      const first = bytes[routersAt + offset] as number;
      const second = bytes[routersAt + ROUTER_SIZE + offset] as number;
      if (first < second) return false;
      if (first > second) {
        const kept = bytes.slice(routersAt, routersAt + ROUTER_SIZE);
        bytes.copyWithin(routersAt, routersAt + ROUTER_SIZE, routersAt + 2 * ROUTER_SIZE);
        bytes.set(kept, routersAt + ROUTER_SIZE);
        return true;
      }
    }
    return false;
  }

  /** Copies a Satellite object (or a cached view of one) onto another. */
  copyObject(from: SatelliteObject, to: SatelliteObject): void {
    this.bytes.copyWithin(to.at, from.at, from.at + SatelliteObject.size);
  }

  /** True when a cached view holds what the API server holds. */
  isCurrent(view: SatelliteObject): boolean {
    const { bytes, api } = this;
    for (let offset = 0; offset < SatelliteObject.size; offset += 1) {
      if (bytes[view.at + offset] !== bytes[api.at + offset]) return false;
    }
    return true;
  }

  /** Moves what is on a wire to another slot and empties it. */
  moveWire(from: Wire, to: Wire): void {
    this.bytes.copyWithin(to.at, from.at, from.at + Wire.size);
    this.clearWire(from);
  }

  clearWire(wire: Wire): void {
    this.bytes.fill(0, wire.at, wire.at + Wire.size);
  }
}
