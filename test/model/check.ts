/**
 * Checks the power protocol: explores every configuration in full, then every mutant. With the name of a rule as
 * argument, leaves that rule out alone and prints the counterexample.
 *
 *     node test/model/check.ts [rule]
 */
import { checkConfiguration, checkMutant, configurations, formatTrace, ruleNames } from "./report.ts";
import { RULES, type Rule } from "./rules.ts";

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const isRule = (name: string): name is Rule => Object.hasOwn(RULES, name);

function showMutant(name: string): boolean {
  if (!isRule(name)) {
    print(`no rule is called ${name}; the rules are:\n${ruleNames.join("\n")}`);
    return false;
  }
  const found = checkMutant(name);
  print(`without: ${RULES[name]}`);
  print(found === undefined ? "no violation" : formatTrace(found));
  return found !== undefined;
}

function checkAll(): boolean {
  let states = 0;
  let broken = 0;
  print(`${"configuration".padEnd(30)} ${"states".padStart(9)} ${"transitions".padStart(12)} depth  result`);
  for (const configuration of configurations) {
    const result = checkConfiguration(configuration);
    states += result.states;
    const { counterexample } = result;
    const verdict = counterexample === undefined ? "holds" : "VIOLATED";
    const figures = `${String(result.states).padStart(9)} ${String(result.transitions).padStart(12)} ${String(result.depth).padStart(5)}`;
    print(`${configuration.name.padEnd(30)} ${figures}  ${verdict}`);
    if (counterexample !== undefined) {
      broken += 1;
      print(formatTrace(counterexample));
    }
  }
  print(`\n${"without the rule".padEnd(30)} steps  violation`);
  let caught = 0;
  for (const rule of ruleNames) {
    const found = checkMutant(rule);
    if (found !== undefined) caught += 1;
    const outcome =
      found === undefined
        ? "    -  NONE FOUND"
        : `${String(found.trace.length).padStart(5)}  ${found.violation}`;
    print(`${rule.padEnd(30)} ${outcome}`);
  }
  print(
    `\nmodel: ${configurations.length} configurations, ${states} states, ${ruleNames.length} mutants, ${caught} violations`,
  );
  return broken === 0 && caught === ruleNames.length;
}

const [name] = process.argv.slice(2);
process.exitCode = (name === undefined ? checkAll() : showMutant(name)) ? 0 : 1;
