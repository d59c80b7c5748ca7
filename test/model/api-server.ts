import { onPatchLanded } from "./invariants.ts";
import { drainedEntry, LEASE_ENTRY, type Router, SatelliteObject, type State } from "./state.ts";

/** A write to spec moved metadata.generation: what was read before is no longer the spec of today. */
export function specChanged(s: State): void {
  for (const { it, wire, late } of s.operators) {
    it.spec = 0;
    wire.spec = 0;
    late.spec = 0;
  }
}

/** status.activity is no longer what anybody read before. */
export function activityChanged(s: State): void {
  for (const { wire, late } of s.operators) {
    wire.activity = 0;
    late.activity = 0;
  }
}

/** A router's entry has landed. With a repeated seq nobody sees that it changed. */
function entryLanded(s: State, { it }: Router, entry: number): void {
  const unchanged = it.sameSeq === 1 && it.entry === entry;
  it.sameSeq = 0;
  it.entry = entry;
  if (unchanged) return;
  it.named = 0;
  it.seen0 = 0;
  it.seen1 = 0;
  activityChanged(s);
}

export function leaseLanded(s: State, router: Router, uid: number): void {
  onPatchLanded(s, uid);
  entryLanded(s, router, LEASE_ENTRY);
}

export function withdrawalLanded(s: State, router: Router, uid: number): void {
  onPatchLanded(s, uid);
  entryLanded(s, router, 0);
}

export function drainedLanded(s: State, router: Router, uid: number, epoch: number): void {
  onPatchLanded(s, uid);
  entryLanded(s, router, drainedEntry(epoch));
}

/** An operator has removed the router's entry; nobody takes that for an activity. */
export function entryPruned(s: State, { it }: Router): void {
  it.entry = 0;
  it.sameSeq = 0;
  it.copy0 = 0;
  it.copy1 = 0;
  it.seen0 = 1;
  it.seen1 = 1;
  activityChanged(s);
}

/** The last finalizer is gone, and the object with it. */
export function removeObject(s: State): void {
  s.bytes.fill(0, s.api.at, s.api.at + SatelliteObject.size);
  specChanged(s);
  activityChanged(s);
  for (const { it } of s.routers) {
    it.entry = 0;
    it.named = 0;
    it.sameSeq = 0;
    it.seen0 = 0;
    it.seen1 = 0;
  }
}
