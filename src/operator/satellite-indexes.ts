import type { Satellite } from "../satellite/types.ts";

/** How the operator finds satellites other than by name. */
export const SATELLITE_INDEXES = {
  /** By the SatelliteClass that they name. */
  class: ({ spec }: Satellite): readonly string[] => [spec.className],
  /** Those that are awake or wished to be, by the SatelliteClass that they name. */
  contenders: ({ spec, status }: Satellite): readonly string[] =>
    status.power.state === "Off" && spec.desiredPower === "off" ? [] : [spec.className],
  /** By the ID of their machine. */
  machine: ({ status }: Satellite): readonly string[] =>
    status.machine === undefined ? [] : [status.machine.id],
};
