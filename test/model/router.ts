import type { Action } from "./action.ts";
import { drainedLanded, leaseLanded, specChanged, withdrawalLanded } from "./api-server.ts";
import { onAdmit, onPatchLanded, onWake } from "./invariants.ts";
import type { Rules } from "./rules.ts";
import {
  drainedEntry,
  Flight,
  HALF,
  Power,
  Reason,
  type Router,
  RouterPatch,
  type State,
  VALID,
  Vm,
} from "./state.ts";

const MAX_HELD = 1;
/** Open streams are counted as none or some. */
const SOME = 1;

const routerOf = (s: State, index: number): Router => s.routers[index] as Router;

/** Brings the router's view up to the API server's. */
function refresh(s: State, router: Router, rules: Rules): void {
  const { view, it } = router;
  const newUid = view.uid !== s.api.uid;
  if (newUid || (view.epoch !== s.api.epoch && rules["probe.epoch"])) it.probed = 0;
  if (newUid) it.leaseEpoch = 0;
  s.copyObject(s.api, view);
}

/** May streams be sent to the VM, as far as the router's view goes? */
const viewIsAwake = ({ view, it }: Router): boolean =>
  view.state === Power.Running || (view.state === Power.Starting && it.probed === 1);

function hasLease({ view, it }: Router, rules: Rules): boolean {
  const limit = rules["lease.half"] ? HALF : VALID;
  return it.leaseEpoch !== 0 && it.leaseEpoch === view.epoch && it.leaseAge < limit;
}

function send({ view, it }: Router, kind: number): void {
  it.kind = kind;
  it.flight = Flight.Sent;
  it.age = 0;
  it.patchUid = view.uid;
  it.patchEpoch = view.epoch;
  it.patchState = view.state;
}

/** The wire of a router: its patch under way, or the one it gave up on. */
interface Patch {
  readonly kind: number;
  readonly uid: number;
  readonly epoch: number;
  readonly state: number;
}

/** Carries out a patch at the API server; false when one of its tests fails. */
function land(s: State, router: Router, patch: Patch, rules: Rules): boolean {
  const { api } = s;
  if (api.uid === 0) return false;
  const sameUid = patch.uid === api.uid;
  switch (patch.kind) {
    case RouterPatch.Wake:
      if (rules["wake.uid"] && !sameUid) return false;
      if (rules["wake.wakePolicy"] && api.manual === 1) return false;
      onPatchLanded(s, patch.uid);
      onWake(s);
      if (api.on === 0) {
        api.on = 1;
        s.history.sinceOn = 0;
        specChanged(s);
      }
      return true;
    case RouterPatch.Lease:
      if (rules["lease.uid"] && !sameUid) return false;
      if (rules["lease.on"] && api.on === 0) return false;
      if (rules["lease.state"] && api.state !== patch.state) return false;
      if (rules["lease.epoch"] && api.epoch !== patch.epoch) return false;
      leaseLanded(s, router, patch.uid);
      return true;
    case RouterPatch.Withdraw:
      if (!sameUid || router.it.entry === 0) return false;
      if (rules["withdraw.entry"] && router.it.named === 0) return false;
      withdrawalLanded(s, router, patch.uid);
      return true;
    default:
      if (rules["drained.uid"] && !sameUid) return false;
      drainedLanded(s, router, patch.uid, patch.epoch);
      return true;
  }
}

/** Gives up on the patch under way; it may still land. */
function giveUp({ it }: Router): void {
  if (it.flight === Flight.Sent && it.lateKind === RouterPatch.None) {
    it.lateKind = it.kind;
    it.lateUid = it.patchUid;
    it.lateEpoch = it.patchEpoch;
    it.lateState = it.patchState;
  }
  clearPatch({ it });
}

function clearPatch({ it }: Pick<Router, "it">): void {
  it.kind = RouterPatch.None;
  it.flight = 0;
  it.age = 0;
  it.patchUid = 0;
  it.patchEpoch = 0;
  it.patchState = 0;
}

function clearLate({ it }: Router): void {
  it.lateKind = RouterPatch.None;
  it.lateUid = 0;
  it.lateEpoch = 0;
  it.lateState = 0;
  it.lateSameSeq = 0;
}

export const routerActions: readonly Action[] = [
  {
    name: "gets a request",
    actor: "router",
    kind: "chance",
    step(s, index) {
      const { it } = routerOf(s, index);
      if (s.budget.requests === 0 || it.held >= MAX_HELD) return false;
      s.budget.requests -= 1;
      it.held += 1;
      return true;
    },
  },
  {
    name: "sees the object",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const router = routerOf(s, index);
      if (s.isCurrent(router.view)) return false;
      refresh(s, router, rules);
      return true;
    },
  },
  {
    name: "sends a wake",
    actor: "router",
    kind: "progress",
    step(s, index) {
      const router = routerOf(s, index);
      const { view, it } = router;
      if (it.held === 0 || it.kind !== RouterPatch.None || view.uid === 0) return false;
      if (view.on === 1 || view.manual === 1 || view.deleting === 1) return false;
      send(router, RouterPatch.Wake);
      return true;
    },
  },
  {
    name: "refuses a held request",
    actor: "router",
    kind: "progress",
    step(s, index) {
      const { view, it } = routerOf(s, index);
      const hopeless = view.uid === 0 || view.deleting === 1 || (view.on === 0 && view.manual === 1);
      if (it.held === 0 || !hopeless) return false;
      it.held -= 1;
      return true;
    },
  },
  {
    name: "probes the VM: it answers",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const { view, it } = routerOf(s, index);
      if (it.probed === 1 || it.held === 0 || view.state !== Power.Starting) return false;
      if (rules["probe.accepted"] && view.accepted === 0) return false;
      // A VM that is stopping still answers.
      const answers = s.machine.vm === Vm.Running || s.machine.vm === Vm.Stopping;
      if (!answers || s.machine.uid !== view.uid) return false;
      it.probed = 1;
      return true;
    },
  },
  {
    name: "sends a lease",
    actor: "router",
    kind: "progress",
    step(s, index) {
      const router = routerOf(s, index);
      const { view, it } = router;
      if (it.kind !== RouterPatch.None || it.held + it.open === 0) return false;
      if (view.on === 0 || view.deleting === 1 || !viewIsAwake(router)) return false;
      if (it.leaseEpoch === view.epoch && it.leaseAge < HALF) return false;
      send(router, RouterPatch.Lease);
      return true;
    },
  },
  {
    name: "sends drained",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { view, it } = router;
      if (it.kind !== RouterPatch.None || it.entry === 0 || it.entry === drainedEntry(view.epoch))
        return false;
      if (rules["drained.noStreams"] && it.open > 0) return false;
      const sawDrain = view.state === Power.Stopping && view.reason !== Reason.None;
      const sawOff = view.state === Power.Running && view.on === 0;
      if (!sawDrain && (rules["drained.afterStopping"] || !sawOff)) return false;
      send(router, RouterPatch.Drained);
      return true;
    },
  },
  {
    name: "withdraws its lease and ends; another of its name begins",
    actor: "router",
    kind: "chance",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { it } = router;
      if (s.budget.routerEnds === 0 || it.kind !== RouterPatch.None || it.entry === 0) return false;
      if (rules["withdraw.noStreams"] && it.open > 0) return false;
      s.budget.routerEnds -= 1;
      it.held = 0;
      it.probed = 0;
      if (rules["withdraw.lease"]) {
        it.leaseEpoch = 0;
        it.leaseAge = VALID;
      }
      it.named = 1;
      send(router, RouterPatch.Withdraw);
      return true;
    },
  },
  {
    name: "has its patch carried out",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { it } = router;
      if (it.kind === RouterPatch.None || it.flight !== Flight.Sent) return false;
      const patch = { kind: it.kind, uid: it.patchUid, epoch: it.patchEpoch, state: it.patchState };
      const landed = land(s, router, patch, rules);
      if (it.kind === RouterPatch.Lease) it.lateSameSeq = 0;
      it.flight = landed ? Flight.Landed : Flight.Failed;
      return true;
    },
  },
  {
    name: "gets the answer to its patch",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { it } = router;
      if (it.kind === RouterPatch.None || it.flight === Flight.Sent) return false;
      if (it.flight === Flight.Failed) refresh(s, router, rules);
      if (it.kind === RouterPatch.Lease && it.flight === Flight.Landed && it.patchUid === router.view.uid) {
        it.leaseEpoch = it.patchEpoch;
        it.leaseAge = rules["lease.fromSend"] ? it.age : 0;
        it.exempt = 0;
      }
      clearPatch(router);
      return true;
    },
  },
  {
    name: "admits a held request",
    actor: "router",
    kind: "progress",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { view, it } = router;
      if (it.held === 0 || view.uid === 0) return false;
      if (rules["lease.required"] && !hasLease(router, rules)) return false;
      if (rules["lease.view"] && !viewIsAwake(router)) return false;
      it.held -= 1;
      it.open = SOME;
      it.admitAge = 0;
      onAdmit(s, router);
      return true;
    },
  },
  {
    name: "sees a stream end",
    actor: "router",
    kind: "chance",
    step(s, index) {
      const { it } = routerOf(s, index);
      if (it.open === 0) return false;
      it.open = 0;
      return true;
    },
  },
  {
    name: "waits in vain for the answer to its patch",
    actor: "router",
    kind: "chance",
    step(s, index) {
      const router = routerOf(s, index);
      if (router.it.kind === RouterPatch.None || s.budget.routerLosses === 0) return false;
      s.budget.routerLosses -= 1;
      giveUp(router);
      return true;
    },
  },
  {
    name: "has a late patch carried out",
    actor: "router",
    kind: "chance",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { it } = router;
      if (it.lateKind === RouterPatch.None) return false;
      const patch = { kind: it.lateKind, uid: it.lateUid, epoch: it.lateEpoch, state: it.lateState };
      const landed = land(s, router, patch, rules);
      if (landed && it.lateSameSeq === 1) it.sameSeq = 1;
      clearLate(router);
      return true;
    },
  },
  {
    name: "crashes and starts again",
    actor: "router",
    kind: "chance",
    step(s, index, rules) {
      const router = routerOf(s, index);
      const { it } = router;
      if (s.budget.routerCrashes === 0) return false;
      s.budget.routerCrashes -= 1;
      if (it.kind !== RouterPatch.None) giveUp(router);
      if (it.lateKind === RouterPatch.Lease && !rules["lease.freshSeq"]) it.lateSameSeq = 1;
      it.held = 0;
      it.open = 0;
      it.admitAge = VALID;
      it.probed = 0;
      it.leaseEpoch = 0;
      it.leaseAge = VALID;
      refresh(s, router, rules);
      return true;
    },
  },
];
