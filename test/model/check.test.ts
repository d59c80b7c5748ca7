import { expect } from "chai";

import { checkConfiguration, checkMutant, configurations, formatTrace, ruleNames } from "./report.ts";
import { RULES } from "./rules.ts";

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

  for (const rule of ruleNames) {
    it(`breaks without ${rule}: ${RULES[rule]}`, () => {
      expect(checkMutant(rule)).to.not.equal(undefined);
    });
  }
});
