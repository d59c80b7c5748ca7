import { expect } from "chai";
import type { Command } from "commander";
import { createProgram } from "../../src/command-line.ts";

/** Values that no flag with a value of this form may take; `undefined`: any text is good. */
const BAD_VALUES: Readonly<Record<string, readonly string[] | undefined>> = {
  n: [
    "abc",
    "",
    " ",
    "-1",
    "1.5",
    "1e3",
    "0x10",
    "NaN",
    "Infinity",
    "10s",
    "1_000",
    "9".repeat(15),
    "9".repeat(400),
  ],
  "host:port": ["abc", "", "8080", ":70000", "host:", "host:http"],
  url: ["abc", "", "localhost:80", "ftp://host"],
  "namespace/name": ["abc", "", "/", "a/", "/b", "a/b/c"],
  networks: ["abc", "10.0.0.0/33", "10.0.0.0/x"],
  "method...": ["abc", "", "/", "package.Service/Method"],
  level: ["loud", ""],
  format: ["xml", ""],
  preset: ["gcp", ""],
  kind: ["other", ""],
  way: ["car", ""],
  what: ["colour", ""],
  duration: ["abc", "", "-1s", "1.5", "10 s"],
  file: undefined,
  path: undefined,
  directory: undefined,
  labels: undefined,
  "dns-label": ["A", "", "-a", "a-", "a.b", "a b", "a".repeat(64)],
  selector: ["a in", "a in b", "=b", "a,,b", "a b"],
  user: undefined,
  group: undefined,
  "name=value": undefined,
  dir: undefined,
  prefix: undefined,
  "claim=value...": ["abc", "", "=value"],
  name: undefined,
  "name...": undefined,
  id: undefined,
  // Judged by what loads with the command (test/cli/proxy/outside-tokens.test.ts, test/cli/savings/usage.test.ts).
  source: undefined,
  when: undefined,
  where: undefined,
};

const noContext = (): never => {
  throw new Error("parsing needs no context");
};

/** How parsing `--flag=value` alone ends: with the parser's message, or undefined when the value is good. */
function refusal(name: string, flag: string, value: string): string | undefined {
  const command = find(name);
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  // What else the command needs is no matter here.
  for (const option of command.options) {
    option.makeOptionMandatory(false);
  }
  try {
    command.parseOptions([`${flag}=${value}`]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function find(name: string): Command {
  const command = createProgram({}, noContext).commands.find((candidate) => candidate.name() === name);
  if (command === undefined) {
    throw new Error(`there is no command ${name}`);
  }
  return command;
}

const placeholder = (flags: string): string =>
  /[<[](?<form>[^>\]]+)[>\]]/.exec(flags)?.groups?.["form"] ?? "";

describe("the flags of every command", () => {
  for (const command of createProgram({}, noContext).commands) {
    for (const option of command.options.filter(({ flags }) => placeholder(flags) !== "")) {
      const { flags, long } = option;
      it(`${command.name()} ${flags} refuses what has no meaning, and says what has`, () => {
        expect(Object.keys(BAD_VALUES)).to.include(placeholder(flags));
        for (const value of BAD_VALUES[placeholder(flags)] ?? []) {
          expect(refusal(command.name(), long ?? "", value), JSON.stringify(value))
            .to.be.a("string")
            .that.contains(long);
        }
      });
    }
  }

  it("take numbers from the least to the greatest of their range", () => {
    expect(refusal("router", "--grace-seconds", "0")).to.equal(undefined);
    expect(refusal("router", "--grace-seconds", "604800")).to.equal(undefined);
    expect(refusal("router", "--grace-seconds", "604801")).to.contain(
      "a whole number of seconds from 0 to 604800",
    );
    expect(refusal("operator", "--concurrency", "0")).to.contain(
      "a whole number of satellites from 1 to 10000",
    );
  });

  it("take defaults that they would take as values", () => {
    for (const command of createProgram({}, noContext).commands) {
      for (const { flags, long, defaultValue } of command.options) {
        if (placeholder(flags) !== "" && defaultValue !== undefined) {
          expect(refusal(command.name(), long ?? "", String(defaultValue)), flags).to.equal(undefined);
        }
      }
    }
  });
});
