import type { Power } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { satellite as anySatellite, type SatelliteInit } from "../support/satellites.ts";

/** A satellite that sleeps since epoch 3 and may be woken by requests. */
export function satellite(init: SatelliteInit = {}): Satellite {
  return anySatellite({
    uid: "uid-ada",
    ...init,
    spec: { desiredPower: "off", ...init.spec },
    status: {
      phase: "Asleep",
      power: { state: "Off", epoch: 3, accepted: true, fence: 0 },
      endpoint: { host: "127.0.0.1", port: 8372 },
      ...init.status,
    },
  });
}

/** A satellite that is awake in epoch 4. */
export function awake(init: SatelliteInit = {}): Satellite {
  return satellite({
    ...init,
    spec: { desiredPower: "on", ...init.spec },
    status: { phase: "Running", power: power("Running"), ...init.status },
  });
}

export function power(state: Power["state"], change: Partial<Power> = {}): Power {
  return { state, epoch: 4, accepted: true, fence: 0, ...change };
}
