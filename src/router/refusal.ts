import type { Phase } from "../satellite/resource.ts";
import type { Admission, GrpcStatusCode, HeaderList } from "./engine.ts";

/** An answer that the router makes itself instead of forwarding. */
export type Refusal = Extract<Admission, { kind: "refuse" }>;

/**
 * Builds a refusal. Its metadata says in machine form what the message says to people.
 *
 * @param reason CamelCase, as `satellite-reason`
 * @param phase the satellite's phase, as `satellite-phase`, when it is known
 */
export function refusal(status: GrpcStatusCode, message: string, reason: string, phase?: Phase): Refusal {
  const metadata: HeaderList = [
    ...(phase === undefined ? [] : ([["satellite-phase", phase]] as const)),
    ["satellite-reason", reason],
  ];
  return { kind: "refuse", status, message, metadata };
}
