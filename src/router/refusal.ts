import type { Phase } from "../satellite/resource.ts";
import { GrpcStatus, type Admission, type GrpcStatusCode, type HeaderList } from "./engine.ts";

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

/** The answer to whatever is held or open when the router ends. */
export const ROUTER_STOPPING: Refusal = refusal(
  GrpcStatus.UNAVAILABLE,
  "the router is shutting down",
  "RouterStopping",
);

/** The answer to what the router itself serves on a connection that ends. */
export const CONNECTION_ENDING: Refusal = refusal(
  GrpcStatus.UNAVAILABLE,
  "this connection ends; call again on another one",
  "ConnectionEnding",
);
