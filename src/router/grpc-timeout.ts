import type { HeaderList } from "./engine.ts";

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const MAX_AMOUNT = 99_999_999;

/**
 * Reads a `grpc-timeout` (gRPC over HTTP2, "Requests": 1 to 8 digits and a unit).
 *
 * @returns milliseconds, or `undefined` when it is malformed; the VM's server then judges it
 */
export function parseGrpcTimeoutMs(value: string): number | undefined {
  const [, amount, unit] = TIMEOUT.exec(value) ?? [];
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
  return amount === undefined || unitMs === undefined ? undefined : Number(amount) * unitMs;
}

/** Writes a `grpc-timeout` in the finest unit that fits in 8 digits, never longer than `timeoutMs`. */
export function formatGrpcTimeout(timeoutMs: number): string {
  for (const unit of ["u", "m", "S", "M"]) {
    const amount = Math.floor(timeoutMs / (UNIT_MS[unit] ?? 1));
    if (amount <= MAX_AMOUNT) {
      return `${Math.max(0, amount)}${unit}`;
    }
  }
  return `${Math.min(MAX_AMOUNT, Math.floor(timeoutMs / 3_600_000))}H`;
}

/** The headers with their `grpc-timeout` less `elapsedMs`; the very same headers when there is nothing to change. */
export function withReducedTimeout(headers: HeaderList, elapsedMs: number): HeaderList {
  if (elapsedMs <= 0 || !headers.some(([name]) => name === "grpc-timeout")) {
    return headers;
  }
  return headers.map((field) => {
    const timeoutMs = field[0] === "grpc-timeout" ? parseGrpcTimeoutMs(field[1]) : undefined;
    return timeoutMs === undefined
      ? field
      : ["grpc-timeout", formatGrpcTimeout(Math.max(0, timeoutMs - elapsedMs))];
  });
}
