import { isDraining, PowerReason } from "./power.ts";
import type { Phase, Power } from "./resource.ts";

/** What the phase is derived from. */
export interface PhaseFacts {
  readonly deleting: boolean;
  /** A failure that needs a person. */
  readonly failed: boolean;
  readonly desiredPower: "on" | "off";
  readonly power: Power;
  /** Whether a machine is known. */
  readonly hasMachine: boolean;
}

/** First match wins; the last row always matches. */
const PHASES: readonly (readonly [Phase, (facts: PhaseFacts) => boolean])[] = [
  ["Deleting", ({ deleting }) => deleting],
  ["Failed", ({ failed }) => failed],
  ["Updating", ({ power }) => power.state === "Updating"],
  ["Draining", ({ power }) => isDraining(power) && !power.accepted],
  ["Stopping", ({ power }) => power.state === "Stopping"],
  ["Running", ({ power }) => power.state === "Running"],
  ["Launching", ({ power }) => power.state === "Starting" && power.reason === PowerReason.Launch],
  ["Waking", ({ power }) => power.state === "Starting"],
  ["Waking", ({ desiredPower, hasMachine }) => desiredPower === "on" && hasMachine],
  ["Pending", ({ desiredPower }) => desiredPower === "on"],
  ["Asleep", () => true],
];

/** What the satellite is doing, in one word for people. No decision depends on it. */
export function phaseOf(facts: PhaseFacts): Phase {
  return PHASES.find(([, matches]) => matches(facts))?.[0] ?? "Asleep";
}
