import { OffBy, Power, type Router, type State, VALID, Vm } from "./state.ts";

/** What can go wrong, by number of the invariant in docs/power-protocol.md. */
export const VIOLATIONS = [
  "none",
  "1: a write decided on one Satellite landed on another",
  "2: a start or stop was sent while a transition was under way",
  "2: a call reached EC2 without its written intent",
  "2: power made a move that is not in the diagram",
  "2: power says Running, but the VM does not run",
  "2: power says Off, but the VM runs",
  "2: the start was marked accepted, but EC2 did not accept it",
  "3: the VM was stopped under an admitted stream",
  "3: a stream was admitted to a VM that is stopped, stopping or of another epoch",
  "3: the satellite fell asleep before its idleTimeout had passed",
  "3: the satellite fell asleep although idleTimeout says never",
  "4: more StartInstances calls than one per epoch, plus one per crash or lost answer",
  "5: woken although wakePolicy is Manual",
  "5: started although desiredPower is off",
  "5: stopped although desiredPower is on",
] as const;

export const Violation = {
  None: 0,
  WrongObject: 1,
  CallInTransition: 2,
  NoIntent: 3,
  IllegalMove: 4,
  RunningUntrue: 5,
  OffUntrue: 6,
  AcceptedUntrue: 7,
  StoppedUnderStream: 8,
  AdmittedWrongly: 9,
  SleptEarly: 10,
  SleptThoughNever: 11,
  StartedTwice: 12,
  WokenThoughManual: 13,
  StartedThoughOff: 14,
  StoppedThoughOn: 15,
} as const;

/** Keeps the first violation of a step. */
export function violate(s: State, violation: number): void {
  if (s.history.violation === Violation.None) s.history.violation = violation;
}

/** A patch whose author had read the object `uid` has landed. */
export function onPatchLanded(s: State, uid: number): void {
  if (uid !== s.api.uid) violate(s, Violation.WrongObject);
}

/** `power` is about to become (state, epoch). */
export function onPowerMove(s: State, state: number, epoch: number): void {
  const { api } = s;
  const next = epoch === api.epoch + 1;
  const same = epoch === api.epoch;
  const from = api.state;
  const legal =
    (from === Power.Off && state === Power.Starting && next) ||
    ((from === Power.Off || from === Power.Stopping) &&
      state === Power.Stopping &&
      same &&
      api.deleting === 1) ||
    (from === Power.Starting && state === Power.Running && same) ||
    (from === Power.Starting && state === Power.Stopping && same) ||
    (from === Power.Running && state === Power.Stopping && same) ||
    (from === Power.Stopping && state === Power.Off && same);
  if (!legal) violate(s, Violation.IllegalMove);
  if (state === Power.Starting && api.on === 0) violate(s, Violation.StartedThoughOff);
  const stops = state === Power.Stopping && from !== Power.Stopping;
  if (stops && api.on === 1 && api.deleting === 0) violate(s, Violation.StoppedThoughOn);
}

/** The idle-off patch is about to land. */
export function onIdleOff(s: State): void {
  if (s.api.never === 1) violate(s, Violation.SleptThoughNever);
  if (s.api.on === 1 && s.history.sinceOn < VALID) violate(s, Violation.SleptEarly);
}

/** A wake is about to land. */
export function onWake(s: State): void {
  if (s.api.on === 0 && s.api.manual === 1) violate(s, Violation.WokenThoughManual);
}

/** The operator sends StartInstances. Only a stale read excuses sending it to a machine that is still stopping. */
export function onStartSent(s: State): void {
  if (s.machine.vm === Vm.Stopping && s.machine.read !== Vm.Stopped) violate(s, Violation.CallInTransition);
  // Without its intent it is no second start, but a start without intent: `onCall` says so where it takes effect.
  if (s.api.state !== Power.Starting) return;
  if (s.history.startsLeft === 0) violate(s, Violation.StartedTwice);
  else s.history.startsLeft -= 1;
}

/** The operator sends StopInstances. Only a stale read excuses sending it to a machine that is still starting. */
export function onStopSent(s: State): void {
  if (s.machine.vm === Vm.Pending && s.machine.read === Vm.Pending) violate(s, Violation.CallInTransition);
}

/**
 * A call of the operator is about to change the machine; its intent must be (state, epoch). A call that changes
 * nothing (a stop of a stopped machine, repeated after a crash) needs none.
 */
export function onCall(s: State, state: number, uid: number, epoch: number): void {
  const { api } = s;
  if (api.uid !== uid || api.state !== state || api.epoch !== epoch) violate(s, Violation.NoIntent);
}

/** Has the router done all that keeps its streams: a lease renewed in time, and half of it left at admission? */
const isKept = ({ it }: Router): boolean => it.open > 0 && (it.leaseAge < VALID || it.admitAge < VALID);

/**
 * EC2 begins to stop or terminate the machine.
 *
 * @param forced drainTimeout has passed: streams may be cut, but never for idleness
 */
export function onStop(s: State, forced: boolean): void {
  const mayCut = forced && (s.history.offBy === OffBy.Person || s.api.deleting === 1);
  if (!mayCut && s.routers.some(isKept)) violate(s, Violation.StoppedUnderStream);
  if (mayCut) for (const { it } of s.routers) it.exempt = 1;
}

/** The router admits a stream. */
export function onAdmit(s: State, { view, it }: Router): void {
  if (it.exempt === 1) return;
  const { api, machine } = s;
  const rightVm = view.uid === machine.uid && machine.vm === Vm.Running;
  if (!rightVm || view.uid !== api.uid || it.leaseEpoch !== api.epoch) violate(s, Violation.AdmittedWrongly);
}

/** What must hold in every state, between the steps. */
export function checkState(s: State): void {
  const { api, machine } = s;
  if (api.uid === 0) return;
  const awake = machine.vm === Vm.Running || machine.vm === Vm.Pending;
  if (api.state === Power.Running && machine.vm !== Vm.Running) violate(s, Violation.RunningUntrue);
  if (api.state === Power.Off && awake) violate(s, Violation.OffUntrue);
  if (api.state === Power.Starting && api.accepted === 1 && !awake) violate(s, Violation.AcceptedUntrue);
}

/**
 * The aim that must stay within reach from every state, by the steps of the protocol alone: no request is held
 * and the machine is as wished.
 */
export function isSettled(s: State): boolean {
  const { api, machine } = s;
  for (const { it } of s.routers) if (it.held > 0) return false;
  if (api.uid === 0) return true;
  if (api.deleting === 1) return false;
  return api.on === 1
    ? api.state === Power.Running && machine.vm === Vm.Running
    : api.state === Power.Off && machine.vm === Vm.Stopped;
}
