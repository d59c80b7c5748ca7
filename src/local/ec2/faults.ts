import { SatelliteError } from "../../base/errors.ts";

/** Something that shall go wrong, as often as it says. */
export interface Fault {
  /** Action that it befalls, e.g. `StartInstances`; `*` for any. */
  readonly action: string;
  /** Only requests whose parameters contain this text, e.g. an instance ID. Default: all. */
  readonly containing?: string;
  /** How often; default once. JSON has no infinity: use a large number. */
  readonly times?: number;
  /**
   * `refuse` answers with the error, and nothing is done. `forget` does the work and then answers with the
   * error or, without a code, not at all. `drop` closes the connection, and nothing is done. `delay` does
   * the work and answers later.
   */
  readonly kind: "refuse" | "forget" | "drop" | "delay";
  /** Error code, for `refuse` and `forget`. */
  readonly code?: string;
  readonly message?: string;
  /** HTTP status of the error; default 400. */
  readonly status?: number;
  /** Delay in milliseconds, for `delay`. */
  readonly delayMs?: number;
}

const KINDS: readonly string[] = ["refuse", "forget", "drop", "delay"];

/**
 * Checks a fault that came from outside.
 *
 * @throws SatelliteError `InvalidFault`
 */
export function parseFault(value: unknown): Fault {
  const fault = value as Partial<Fault> | null;
  if (typeof fault !== "object" || fault === null || typeof fault.action !== "string") {
    throw new SatelliteError("InvalidFault", 'a fault needs an "action", for example "StartInstances"');
  }
  if (fault.kind === undefined || !KINDS.includes(fault.kind)) {
    throw new SatelliteError("InvalidFault", `"kind" of a fault is one of ${KINDS.join(", ")}`);
  }
  if (fault.kind === "refuse" && typeof fault.code !== "string") {
    throw new SatelliteError("InvalidFault", 'a fault of kind "refuse" needs the error\'s "code"');
  }
  if (fault.kind === "delay" && typeof fault.delayMs !== "number") {
    throw new SatelliteError("InvalidFault", 'a fault of kind "delay" needs "delayMs"');
  }
  return fault as Fault;
}

/** Faults that are still to happen, first come first served. */
export class Faults {
  #pending: { readonly fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    this.#pending.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#pending = [];
  }

  /** The fault that befalls this request, which is thereby used up once. */
  take(action: string, parameters: string): Fault | undefined {
    const hit = this.#pending.find(
      ({ fault }) =>
        (fault.action === "*" || fault.action === action) && parameters.includes(fault.containing ?? ""),
    );
    if (hit === undefined) {
      return undefined;
    }
    hit.left -= 1;
    this.#pending = this.#pending.filter(({ left }) => left > 0);
    return hit.fault;
  }
}
