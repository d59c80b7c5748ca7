import type { Action } from "./action.ts";
import type { Configuration } from "./configurations.ts";
import { checkState, isSettled, VIOLATIONS } from "./invariants.ts";
import { normalize } from "./normalize.ts";
import { Numbers } from "./numbers.ts";
import type { Rules } from "./rules.ts";
import { State } from "./state.ts";
import { StateSet } from "./state-set.ts";

/** A way from the initial state to a violation. */
export interface Counterexample {
  /** Which invariant broke. */
  readonly violation: string;
  /** The steps, the shortest there are, in words. */
  readonly trace: readonly string[];
}

export interface Result {
  readonly states: number;
  readonly transitions: number;
  /** Length of the longest of the shortest ways to a state. */
  readonly depth: number;
  readonly counterexample?: Counterexample;
}

export const DEAD_END = "5: a held request or a wish that no step of the protocol can fulfil";

/** Above this a configuration is too large to be run with the other tests. */
const MOST_STATES = 4_000_000;

/** One action by one actor. */
interface Step {
  readonly action: Action;
  readonly index: number;
}

function stepsOf(configuration: Configuration): Step[] {
  const counts = { router: configuration.routers, operator: configuration.operators, world: 1 };
  return configuration.actions.flatMap((action) =>
    Array.from({ length: counts[action.actor] }, (_, index) => ({ action, index })),
  );
}

/**
 * Visits every state that `configuration` can reach under `rules`, breadth first, so that the first violation
 * has a shortest trace. Where no violation is found and `liveness` is asked for, looks for states from which the
 * protocol alone cannot come to rest.
 */
export function explore(configuration: Configuration, rules: Rules, liveness = true): Result {
  return new Exploration(configuration, rules, liveness).run();
}

class Exploration {
  private readonly rules: Rules;
  private readonly liveness: boolean;
  private readonly steps: readonly Step[];
  private readonly configuration: Configuration;
  private readonly current: State;
  private readonly next: State;
  private readonly states: StateSet;
  private readonly parents = new Numbers();
  /** The step by which a state was first reached: 2 × its number, + 1 when the routers changed places after it. */
  private readonly ways = new Numbers();
  /** Progress edges backwards, as linked lists: newest edge into a state, then (from, next edge). */
  private readonly edgeInto = new Numbers();
  private readonly edgeFrom = new Numbers();
  private readonly edgeNext = new Numbers();
  private transitions = 0;

  constructor(configuration: Configuration, rules: Rules, liveness: boolean) {
    this.configuration = configuration;
    this.rules = rules;
    this.liveness = liveness;
    this.steps = stepsOf(configuration);
    this.current = new State(configuration.operators, configuration.routers);
    this.next = new State(configuration.operators, configuration.routers);
    this.states = new StateSet(this.current.words.length);
  }

  run(): Result {
    this.configuration.begin(this.next);
    this.reach(-1, 0, false);
    let depth = 0;
    let endOfLevel = 1;
    for (let index = 0; index < this.states.size; index += 1) {
      if (this.states.size > MOST_STATES)
        throw new Error(`${this.configuration.name}: beyond ${MOST_STATES} states`);
      if (index === endOfLevel) {
        depth += 1;
        endOfLevel = this.states.size;
      }
      const violated = this.expand(index);
      if (violated !== undefined) return { ...this.figures(depth + 1), counterexample: violated };
    }
    const stuck = this.liveness ? this.findStuck() : -1;
    if (stuck === -1) return this.figures(depth);
    return {
      ...this.figures(depth),
      counterexample: { violation: DEAD_END, trace: this.traceTo(stuck) },
    };
  }

  private figures(depth: number): Result {
    return { states: this.states.size, transitions: this.transitions, depth };
  }

  /** Takes every step out of state `index`. */
  private expand(index: number): Counterexample | undefined {
    const { current, next, rules, steps } = this;
    this.states.read(index, current.words);
    next.words.set(current.words);
    for (let number = 0; number < steps.length; number += 1) {
      const { action, index: actor } = steps[number] as Step;
      if (!action.step(next, actor, rules)) continue;
      this.transitions += 1;
      checkState(next);
      const { violation } = next.history;
      const reached = this.reach(index, number, action.kind === "progress");
      if (violation !== 0) {
        return { violation: VIOLATIONS[violation] ?? "unknown", trace: this.traceTo(reached) };
      }
      next.words.set(current.words);
    }
    return undefined;
  }

  /** Records that `next` was reached from state `from`; returns its number. */
  private reach(from: number, step: number, progress: boolean): number {
    normalize(this.next);
    const swapped = this.next.canonicalize();
    const added = this.states.add(this.next.words);
    const number = added < 0 ? -1 - added : added;
    if (added >= 0) {
      this.parents.push(from);
      this.ways.push(step * 2 + (swapped ? 1 : 0));
      if (this.liveness) this.edgeInto.push(-1);
    }
    if (progress && this.liveness && number !== from) {
      this.edgeFrom.push(from);
      this.edgeNext.push(this.edgeInto.at(number));
      this.edgeInto.set(number, this.edgeFrom.length - 1);
    }
    return number;
  }

  /** A state from which progress steps alone reach no settled state, the first of them; -1: there is none. */
  private findStuck(): number {
    const count = this.states.size;
    const fine = new Uint8Array(count);
    const stack = new Numbers();
    for (let index = 0; index < count; index += 1) {
      this.states.read(index, this.current.words);
      if (isSettled(this.current)) {
        fine[index] = 1;
        stack.push(index);
      }
    }
    while (stack.length > 0) {
      stack.length -= 1;
      for (let edge = this.edgeInto.at(stack.at(stack.length)); edge !== -1; edge = this.edgeNext.at(edge)) {
        const from = this.edgeFrom.at(edge);
        if (fine[from] === 1) continue;
        fine[from] = 1;
        stack.push(from);
      }
    }
    return fine.indexOf(0);
  }

  /** The steps to state `index` in words. Routers keep their names although states are kept canonical. */
  private traceTo(index: number): string[] {
    const chain: number[] = [];
    for (let at = index; at > 0; at = this.parents.at(at)) chain.push(this.ways.at(at));
    let names = ["router A", "router B"];
    return chain.toReversed().map((way) => {
      const { action, index: actor } = this.steps[way >> 1] as Step;
      const leaders = this.configuration.operators === 1 ? ["operator"] : ["operator 1", "operator 2"];
      const who =
        action.actor === "router" ? names[actor] : action.actor === "operator" ? leaders[actor] : "";
      if ((way & 1) === 1) names = names.toReversed();
      return who === "" ? action.name : `${who} ${action.name}`;
    });
  }
}
