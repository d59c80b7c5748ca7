import { expect } from "chai";

import { DEAD_END, explore } from "./explorer.ts";
import { checkConfiguration, checkMutant, configurations, formatTrace, ruleNames } from "./report.ts";
import { RULES, rulesWithout } from "./rules.ts";

describe("the power protocol", function () {
  this.timeout(120_000);
  this.slow(60_000);

  for (const configuration of configurations) {
    it(`holds in every state: ${configuration.name} (${configuration.about})`, () => {
      const { states, counterexample } = checkConfiguration(configuration);
      expect(counterexample, counterexample && formatTrace(counterexample)).to.equal(undefined);
      expect(states).to.be.greaterThan(1000);
    });
  }

  it("would show a dead end: a machine that never comes up leaves a request held for ever", () => {
    const [wake] = configurations;
    if (wake === undefined) throw new Error("there is no configuration");
    const actions = wake.actions.filter(({ name }) => name !== "EC2 has started the VM");
    const { counterexample } = explore({ ...wake, actions }, rulesWithout());
    expect(counterexample?.violation).to.equal(DEAD_END);
  });

  for (const rule of ruleNames) {
    it(`breaks without ${rule}: ${RULES[rule]}`, () => {
      expect(checkMutant(rule)).to.not.equal(undefined);
    });
  }
});
