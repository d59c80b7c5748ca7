import { type MochaOptions, reporters, Runner, type Test } from "mocha";

/** Mocha's spec reporter, and at the end which tests failed at first and held when they were tried again, and how. */
class SecondTryReporter extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options);
    const lines: string[] = [];
    runner.on(Runner.constants.EVENT_TEST_RETRY, (test: Test, error: Error) => {
      lines.push(`    ${test.fullTitle()}: ${error.message.split("\n", 1)[0] ?? ""}`);
    });
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      if (lines.length > 0) {
        console.log(`  ${lines.length} tried again after a failure:\n${lines.join("\n")}\n`);
      }
    });
  }
}

// Mocha requires reporters, as CommonJS does (https://nodejs.org/api/modules.html, "Loading ECMAScript modules using require()").
export { SecondTryReporter as "module.exports" };
