import { Act, Flight, Power, RouterPatch, type State, VALID, type Wire } from "./state.ts";

function forgetUntested(wire: Wire): void {
  const testsActivity = wire.kind === Act.IdleOff || wire.kind === Act.Stop || wire.kind === Act.Prune;
  if (!testsActivity) wire.activity = 0;
  if (wire.kind !== Act.IdleOff) wire.spec = 0;
  if (wire.kind === Act.IdleOff || wire.kind === Act.Prune) wire.epoch = 0;
  if (
    wire.kind === Act.IdleOff ||
    wire.kind === Act.Prune ||
    wire.kind === Act.Accept ||
    wire.kind >= Act.StartCall
  ) {
    wire.state = 0;
    wire.fence = 0;
    wire.reason = 0;
  }
  if (wire.kind < Act.StartCall) wire.age = 0;
}

/** May an idle-off still land? */
function mayFallAsleep(s: State): boolean {
  if (s.budget.idleOffs > 0) return true;
  for (const { wire, late } of s.operators) {
    if (wire.kind === Act.IdleOff || late.kind === Act.IdleOff) return true;
  }
  return false;
}

/** May an operator have to do with a lease, now or later? */
function mayBeLeased(s: State): boolean {
  if (s.budget.requests > 0) return true;
  for (const { it } of s.routers) {
    if (it.entry !== 0 || it.kind !== 0 || it.lateKind !== 0 || it.held !== 0 || it.open !== 0) return true;
  }
  return false;
}

/**
 * Gives every field that nothing will read before it is written anew one fixed value, so that states which
 * behave alike are one state. It changes no behaviour, with or without any rule.
 */
export function normalize(s: State): void {
  const { api, history, machine } = s;
  if (s.budget.staleReads === 0) machine.read = machine.vm;
  if (api.state !== Power.Starting) {
    api.accepted = 0;
    history.startsLeft = 0;
  }
  const sleeps = mayFallAsleep(s);
  const leased = sleeps || mayBeLeased(s);
  if (api.on === 0 || !sleeps) history.sinceOn = VALID;
  for (const { view, it, wire, late } of s.operators) {
    if (view.state !== Power.Starting) {
      view.accepted = 0;
      it.fenced = 0;
    }
    if (!leased || view.state === Power.Off || view.state === Power.Stopping) it.idleAge = VALID;
    forgetUntested(wire);
    forgetUntested(late);
  }
  for (const { view, it } of s.routers) {
    view.never = 0;
    view.fence = 0;
    if (view.state !== Power.Starting) {
      view.accepted = 0;
    }
    if (it.leaseAge === VALID) it.leaseEpoch = 0;
    if (it.leaseEpoch === 0) {
      it.leaseAge = VALID;
      it.exempt = 0;
    }
    if (it.open === 0) it.admitAge = VALID;
    if (it.kind !== RouterPatch.Lease || it.flight !== Flight.Sent) it.patchState = 0;
    if (it.kind !== RouterPatch.Lease) it.age = 0;
    if (it.kind === RouterPatch.Wake || it.kind === RouterPatch.Withdraw) it.patchEpoch = 0;
    if (it.lateKind !== RouterPatch.Lease) it.lateState = 0;
    if (it.lateKind === RouterPatch.Wake || it.lateKind === RouterPatch.Withdraw) it.lateEpoch = 0;
    if (it.kind !== RouterPatch.Withdraw && it.lateKind !== RouterPatch.Withdraw) it.named = 0;
  }
}
