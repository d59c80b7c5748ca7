import type { SatelliteStatus } from "../satellite/resource.ts";
import type { Observation } from "./observation.ts";

type StatusMachine = NonNullable<SatelliteStatus["machine"]>;

/** The CRD's bounds of `status.machine.buildkit.version` and of each of `status.machine.answers`. */
const MAX_VERSION = 64;
const MAX_ANSWER = 16_384;

/**
 * `status.machine` with what its BuildKit told in this stretch of being awake. What was not asked, or not answered, stays as it was
 * told last: it is the same machine.
 */
export function withBuildkit(observed: Observation, machine: StatusMachine): StatusMachine {
  const { probe } = observed.memory.port;
  const { status } = observed.satellite;
  const told =
    probe?.epoch === status.power.epoch && status.machine?.id === machine.id ? probe.buildkit : undefined;
  if (told === undefined) {
    return machine;
  }
  const { answers: _before, ...rest } = machine;
  const cacheBytes = told.cacheBytes ?? machine.buildkit?.cacheBytes;
  const { cacheMaxBytes } = told;
  return {
    ...rest,
    buildkit: {
      version: told.version.slice(0, MAX_VERSION),
      ...(cacheBytes === undefined ? {} : { cacheBytes: bounded(cacheBytes) }),
      ...(cacheMaxBytes === undefined ? {} : { cacheMaxBytes: bounded(cacheMaxBytes) }),
    },
    ...(observed.satelliteClass?.spec.guest.answersAsleep === false ? {} : { answers: kept(told.answers) }),
  };
}

/** A guest may say anything; the CRD takes what is no negative number. */
function bounded(bytes: number): number {
  return Math.min(Math.max(bytes, 0), Number.MAX_SAFE_INTEGER);
}

/** The answers that the status has room for. */
function kept(answers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(answers).filter(([, answer]) => answer.length <= MAX_ANSWER));
}
