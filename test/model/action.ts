import type { Rules } from "./rules.ts";
import type { State } from "./state.ts";

/**
 * One kind of step. `progress` steps are what the protocol, the network and the machine do by themselves and
 * sooner or later; `chance` steps are wishes, faults and delays, which may never come.
 */
export interface Action {
  readonly name: string;
  readonly actor: "router" | "operator" | "world";
  readonly kind: "progress" | "chance";
  /**
   * Takes the step in place.
   *
   * @param index which router or operator
   * @returns false, with `s` untouched, when the step is not possible
   */
  step(s: State, index: number, rules: Rules): boolean;
}
