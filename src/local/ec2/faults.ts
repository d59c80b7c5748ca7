import { SatelliteError } from "../../base/errors.ts";

/** Something that is to go wrong, and how often. */
export interface Fault {
  /** Action that it affects, e.g. `StartInstances`; `*` for any. */
  readonly action: string;
  /** Only requests whose parameters contain this text, e.g. an instance ID. Default: all. */
  readonly containing?: string;
  /** How often; default once. JSON has no infinity: use a large number. */
  readonly times?: number;
  /**
   * `refuse` answers with the error, and nothing is done. `forget` does the work and then answers with the
   * error or, without a code, not at all. `drop` closes the connection, and nothing is done. `delay` does
   * the work and answers later. `fail-later` accepts a launch or a start, which then fails: the instance is
   * pending for `delayMs` and ends with `code` and `message` as its StateReason.
   */
  readonly kind: "refuse" | "forget" | "drop" | "delay" | "fail-later";
  /** Error code, for `refuse` and `forget`; code of the StateReason, for `fail-later`. */
  readonly code?: string;
  readonly message?: string;
  /** HTTP status of the error; default 400. */
  readonly status?: number;
  /** Delay in milliseconds, for `delay` and `fail-later`. */
  readonly delayMs?: number;
}

const KINDS: readonly string[] = ["refuse", "forget", "drop", "delay", "fail-later"];
/** Actions that start a machine. */
const STARTING_ACTIONS: readonly string[] = ["RunInstances", "StartInstances"];

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
  if (
    fault.kind === "fail-later" &&
    (typeof fault.code !== "string" || !STARTING_ACTIONS.includes(fault.action))
  ) {
    throw new SatelliteError(
      "InvalidFault",
      `a fault of kind "fail-later" needs the "code" of a StateReason, and one of the actions ${STARTING_ACTIONS.join(", ")}`,
    );
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

  /** The fault with this code that applies to a request; it is not used up. */
  find(action: string, parameters: string, code: string): Fault | undefined {
    return this.#pending.find(({ fault }) => fault.code === code && appliesTo(fault, action, parameters))
      ?.fault;
  }

  /** The fault that applies to this request; it is then used up once. */
  take(action: string, parameters: string): Fault | undefined {
    const hit = this.#pending.find(({ fault }) => appliesTo(fault, action, parameters));
    if (hit === undefined) {
      return undefined;
    }
    hit.left -= 1;
    this.#pending = this.#pending.filter(({ left }) => left > 0);
    return hit.fault;
  }
}

function appliesTo(fault: Fault, action: string, parameters: string): boolean {
  return (fault.action === "*" || fault.action === action) && parameters.includes(fault.containing ?? "");
}
