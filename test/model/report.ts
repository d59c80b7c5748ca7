import { type Configuration, configurations } from "./configurations.ts";
import { type Counterexample, explore, type Result } from "./explorer.ts";
import { foundIn } from "./mutants.ts";
import { type Rule, ruleNames, rulesWithout } from "./rules.ts";

/** Explores one world under the whole protocol. */
export const checkConfiguration = (configuration: Configuration): Result =>
  explore(configuration, rulesWithout());

/**
 * Leaves `rule` out and looks for a violation, in the world where it matters.
 *
 * @returns the shortest way to a violation; undefined when there is none, so that the rule seems superfluous
 */
export function checkMutant(rule: Rule): Counterexample | undefined {
  const configuration = configurations.find(({ name }) => name === foundIn[rule]);
  if (configuration === undefined) throw new Error(`mutants.ts names no configuration for ${rule}`);
  return explore(configuration, rulesWithout(rule), false).counterexample;
}

/** A counterexample as numbered lines. */
export const formatTrace = ({ violation, trace }: Counterexample): string =>
  [`violated: ${violation}`, ...trace.map((step, number) => `  ${number + 1}. ${step}`)].join("\n");

export { configurations, ruleNames };
