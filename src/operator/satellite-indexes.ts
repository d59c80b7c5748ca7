import type { Satellite } from "../satellite/types.ts";

/** How the operator finds satellites other than by name. */
export const SATELLITE_INDEXES = {
  /** By the SatelliteClass that they name. */
  class: ({ spec }: Satellite): readonly string[] => [spec.className],
  /** Those that are awake or wished to be, by the SatelliteClass that they name. */
  contenders: ({ spec, status }: Satellite): readonly string[] =>
    status.power.state === "Off" && spec.desiredPower === "off" ? [] : [spec.className],
  /** By the IDs of the machines that they name. */
  machine: ({ status }: Satellite): readonly string[] =>
    [status.machine?.id, status.replacement?.machine?.id, status.retired?.id].filter(
      (id) => id !== undefined,
    ),
};
