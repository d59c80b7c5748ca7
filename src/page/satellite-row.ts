import { parseDurationMs } from "../base/duration.ts";
import { findCondition } from "../satellite/conditions.ts";
import { Annotation, isPaused, type Phase } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";

/** What a row of the table says of one satellite. */
export interface SatelliteRow {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly phase: Phase;
  /** What its machine is, in words: "on", "hibernated", "starting". */
  readonly power: string;
  /** RFC 3339 time of the last change of power; undefined before the first. */
  readonly since: string | undefined;
  /** Who keeps it awake; none where nobody does. */
  readonly holders: readonly string[];
  /** Streams that are open or wait, at all routers. */
  readonly streams: number;
  /** What is in the way of what is wished, or under way; undefined where all is as wished. */
  readonly trouble: { readonly reason: string; readonly message: string } | undefined;
}

/** What the table says of a satellite. `now` judges leases by the routers' clocks, as people would. */
export function satelliteRow(satellite: Satellite, now: Date): SatelliteRow {
  const { metadata, status } = satellite;
  const { namespace = "", name } = metadata;
  const ready = findCondition(status.conditions, "Ready");
  const leases = Object.values(status.activity ?? {}).filter(
    ({ time, validSeconds }) => now.getTime() - Date.parse(time) <= validSeconds * 1000,
  );
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    phase: status.phase ?? "Pending",
    power: powerWord(satellite),
    since: status.power?.since,
    holders: holdersOf(satellite, leases, now),
    streams: leases.reduce((sum, { openStreams }) => sum + openStreams, 0),
    trouble:
      ready === undefined || ready.status === "True"
        ? undefined
        : { reason: ready.reason, message: ready.message },
  };
}

const POWER_WORDS = {
  Off: "off",
  Starting: "starting",
  Running: "on",
  Stopping: "stopping",
  Updating: "updating",
} as const;

function powerWord({ status: { power, sleep, machine } }: Satellite): string {
  if (power === undefined) {
    return "unknown";
  }
  if (power.state !== "Off") {
    return POWER_WORDS[power.state];
  }
  return machine === undefined ? "no machine" : (sleep?.kind.toLowerCase() ?? POWER_WORDS.Off);
}

/** Streams that are open or wait say most; else what people wrote into it. Nobody holds what is off and wished so. */
function holdersOf(
  satellite: Satellite,
  leases: readonly Satellite["status"]["activity"][string][],
  now: Date,
): string[] {
  const { metadata, spec, status } = satellite;
  if (spec.desiredPower === "off" || status.power?.state === "Off") {
    return [];
  }
  const callers = leases
    .filter(({ openStreams }) => openStreams > 0)
    .map(({ oldestStream }) =>
      oldestStream === undefined
        ? "a request"
        : `${oldestStream.user ?? "somebody"} by ${oldestStream.method}`,
    );
  const until = metadata.annotations?.[Annotation.keepAwakeUntil];
  return [
    ...new Set(callers),
    ...(isPaused(satellite) ? ["paused: nobody acts on it"] : []),
    ...(until !== undefined && Date.parse(until) > now.getTime() ? [`annotation, until ${until}`] : []),
    ...(parseDurationMs(spec.idleTimeout) === 0 ? ["it never sleeps by itself"] : []),
  ];
}
