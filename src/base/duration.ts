import { SatelliteError } from "./errors.ts";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h)/g;

/** What was read lately: specs hold few different durations, and some are asked for with every request. */
const known = new Map<string, number>();
const MAX_KNOWN = 256;

/**
 * Reads a duration as Go writes it ("30m", "1h30m", "0s"), which is also what CEL's `duration()` accepts.
 *
 * @returns milliseconds
 * @throws SatelliteError `InvalidDuration` for anything else
 */
export function parseDurationMs(text: string): number {
  const knownMs = known.get(text);
  if (knownMs !== undefined) {
    return knownMs;
  }
  const totalMs = readDurationMs(text);
  if (known.size === MAX_KNOWN) {
    known.clear();
  }
  known.set(text, totalMs);
  return totalMs;
}

function readDurationMs(text: string): number {
  if (!DURATION.test(text)) {
    throw new SatelliteError(
      "InvalidDuration",
      `"${text}" is not a duration; write numbers with units ms, s, m or h, for example "30m" or "1h30m"`,
    );
  }
  let totalMs = 0;
  for (const [, amount = "0", unit = "ms"] of text.matchAll(PART)) {
    totalMs += Number(amount) * (UNIT_MS[unit] ?? 0);
  }
  return totalMs;
}
