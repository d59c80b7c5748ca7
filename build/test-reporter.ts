import { type MochaOptions, reporters, Runner, type Test } from "mocha";

/** Lines of an error's message that are shown: many say what was seen last, behind a first line of what was expected. */
const MAX_LINES = 8;

/**
 * Mocha's spec reporter. At the end it names once more, a line each, the tests that failed and those that failed at
 * first and were tried again, with how they failed: mocha-counts.ts reads these lines.
 */
class TestReporter extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options);
    const retried: string[] = [];
    const failed: string[] = [];
    const line = (test: Test, error: Error): string =>
      `${test.fullTitle()}: ${error.message
        .trim()
        .split(/\s*\n\s*/, MAX_LINES)
        .join(" | ")}`;
    runner.on(Runner.constants.EVENT_TEST_RETRY, (test: Test, error: Error) => {
      retried.push(`    tried again: ${line(test, error)}`);
    });
    runner.on(Runner.constants.EVENT_TEST_FAIL, (test: Test, error: Error) => {
      failed.push(`    failed: ${line(test, error)}`);
    });
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      if (retried.length > 0) {
        console.log(`  ${retried.length} tried again after a failure:\n${retried.join("\n")}\n`);
      }
      if (failed.length > 0) {
        console.log(`${failed.join("\n")}\n`);
      }
    });
  }
}

// Mocha requires reporters, as CommonJS does (https://nodejs.org/api/modules.html, "Loading ECMAScript modules using require()").
export { TestReporter as "module.exports" };
