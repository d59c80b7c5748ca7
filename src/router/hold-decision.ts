import { apiServerFailed, operatorStalled, otherVm, type Named } from "./hold-refusals.ts";
import type { Refusal } from "./refusal.ts";
import { unknownSatellite, type Standing, type Target } from "./standing.ts";

/** What is known when the gate of a satellite decides what the requests that it holds need. */
export interface GateFacts {
  /** "namespace/name" of the satellite. */
  readonly key: string;
  readonly heldRequests: number;
  /** Undefined where there is no such satellite. */
  readonly standing: Standing | undefined;
  /** Whether the VM takes requests: it is said to run and has not failed this router, or it answered a probe. */
  readonly isReachable: boolean;
  /** Whether this router's lease admits requests in the epoch of `standing`. */
  readonly isLeased: boolean;
}

/** What the requests need now. */
export type GateDecision =
  /** Nobody waits. */
  | { readonly kind: "rest" }
  /** No waiting helps. */
  | { readonly kind: "refuse"; readonly refusal: Refusal }
  /** All may go. */
  | { readonly kind: "release"; readonly target: Target }
  /** The VM takes requests; the lease is missing. */
  | { readonly kind: "lease" }
  | { readonly kind: "wake" }
  /** It is the operator's turn. */
  | { readonly kind: "wait" }
  /** The VM must answer this router first. The lease is taken meanwhile, so that the first answer opens the gate. */
  | {
      readonly kind: "probe";
      readonly target: Target;
      readonly needsLease: boolean;
      /** The VM is said to run, so it is given little time. */
      readonly isSaidToRun: boolean;
    };

/** Decides from the facts alone (docs/power-protocol.md, "Router"). */
export function decideHeld({ key, heldRequests, standing, isReachable, isLeased }: GateFacts): GateDecision {
  if (heldRequests === 0) {
    return { kind: "rest" };
  }
  if (standing === undefined) {
    return { kind: "refuse", refusal: unknownSatellite(key) };
  }
  switch (standing.kind) {
    case "hopeless":
      return { kind: "refuse", refusal: standing.refusal };
    case "asleep":
      return { kind: "wake" };
    case "moving":
      return { kind: "wait" };
    case "awake":
    case "starting": {
      const { target } = standing;
      if (isReachable) {
        return isLeased ? { kind: "release", target } : { kind: "lease" };
      }
      return { kind: "probe", target, needsLease: !isLeased, isSaidToRun: standing.kind === "awake" };
    }
  }
}

/** What may keep a satellite from waking. */
export interface WaitFacts {
  /** The last error of the API server, where nothing has gone well since. */
  readonly trouble: Error | undefined;
  /** Whether the satellite is wished on and off: the operator should move. */
  readonly isOperatorsTurn: boolean;
  /** Milliseconds since the last change of the satellite. */
  readonly stillMs: number;
  /** Milliseconds without a change after which the operator is taken to be absent. */
  readonly stalledMs: number;
  /** Whether another VM answers at the satellite's address. */
  readonly isOtherVm: boolean;
}

/** The reason for which waiting brings nothing; undefined where none is known. */
export function whyNothingMoves(named: Named, facts: WaitFacts): Refusal | undefined {
  if (facts.trouble !== undefined) {
    return apiServerFailed(named, facts.trouble);
  }
  if (facts.isOperatorsTurn && facts.stillMs >= facts.stalledMs) {
    return operatorStalled(named, facts.stillMs);
  }
  return facts.isOtherVm ? otherVm(named) : undefined;
}
