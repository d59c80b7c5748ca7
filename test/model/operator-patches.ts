import { entryPruned, specChanged } from "./api-server.ts";
import { onIdleOff, onPatchLanded, onPowerMove } from "./invariants.ts";
import type { Rules } from "./rules.ts";
import { Act, OffBy, Power, Reason, type State, type Wire } from "./state.ts";

/** More terms than a configuration has crashes and lost answers. */
const MOST_FENCES = 7;

/** Power is still what the author had read; one test of the whole `/status/power` says so. */
const samePower = (s: State, wire: Wire): boolean =>
  s.api.state === wire.state &&
  s.api.epoch === wire.epoch &&
  s.api.fence === wire.fence &&
  s.api.reason === wire.reason;

function move(s: State, uid: number, state: number, epoch: number, reason: number = Reason.None): boolean {
  onPatchLanded(s, uid);
  onPowerMove(s, state, epoch);
  if (state !== Power.Starting) s.api.fence = 0;
  if (state === Power.Starting) {
    s.api.accepted = 0;
    s.history.startsLeft = 1;
  }
  if (state === Power.Running && s.api.state !== Power.Running) s.history.sinceOn = 0;
  s.api.state = state;
  s.api.epoch = epoch;
  s.api.reason = reason;
  return true;
}

/**
 * Carries out an operator's patch at the API server.
 *
 * @returns false when one of its tests fails; the object is untouched then
 */
export function landOperatorPatch(s: State, wire: Wire, rules: Rules): boolean {
  const { api } = s;
  if (api.uid === 0) return false;
  const { uid, epoch } = wire;
  const sameUid = uid === api.uid;
  const same = samePower(s, wire);
  switch (wire.kind) {
    case Act.IdleOff:
      if (rules["idleOff.uid"] && !sameUid) return false;
      if (rules["idleOff.activity"] && wire.activity === 0) return false;
      if (rules["idleOff.generation"] && wire.spec === 0) return false;
      onPatchLanded(s, uid);
      onIdleOff(s);
      if (api.on === 1) {
        api.on = 0;
        s.history.offBy = OffBy.Idleness;
        specChanged(s);
      }
      return true;
    case Act.Stop:
      if (rules["stop.uid"] && !sameUid) return false;
      if (rules["stop.off"] && api.on === 1) return false;
      if (rules["stop.activity"] && wire.activity === 0) return false;
      if (rules["stop.power"] && !same) return false;
      return move(s, uid, Power.Stopping, epoch);
    case Act.Drain:
      if (rules["drain.uid"] && !sameUid) return false;
      if (rules["drain.off"] && api.on === 1) return false;
      if (rules["drain.power"] && !same) return false;
      return move(s, uid, Power.Stopping, epoch, Reason.Draining);
    case Act.Delete:
      if (rules["delete.uid"] && !sameUid) return false;
      if (rules["delete.power"] && !same) return false;
      return move(s, uid, Power.Stopping, epoch, Reason.Deleting);
    case Act.Start:
      if (rules["start.uid"] && !sameUid) return false;
      if (rules["start.on"] && api.on === 0) return false;
      if (rules["start.power"] && !same) return false;
      return move(s, uid, Power.Starting, epoch + 1);
    case Act.Accept:
      if (rules["accept.uid"] && !sameUid) return false;
      if (rules["accept.epoch"] && api.epoch !== epoch) return false;
      onPatchLanded(s, uid);
      api.accepted = 1;
      return true;
    case Act.Run:
      if (rules["run.uid"] && !sameUid) return false;
      if (rules["run.power"] && !same) return false;
      return move(s, uid, Power.Running, epoch);
    case Act.Prune: {
      const [router] = s.routers;
      if (router === undefined || router.it.entry === 0) return false;
      if (rules["prune.entry"] && (!sameUid || wire.activity === 0)) return false;
      entryPruned(s, router);
      return true;
    }
    case Act.Fence:
      if (rules["fence.uid"] && !sameUid) return false;
      if (rules["fence.power"] && !same) return false;
      onPatchLanded(s, uid);
      if (api.state !== wire.state || api.epoch !== epoch) onPowerMove(s, wire.state, epoch);
      api.state = wire.state;
      api.epoch = epoch;
      api.fence = Math.min(wire.fence + 1, MOST_FENCES);
      return true;
    default:
      if (rules["off.uid"] && !sameUid) return false;
      if (rules["off.power"] && !same) return false;
      return move(s, uid, Power.Off, epoch);
  }
}
