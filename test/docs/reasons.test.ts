import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";

const ROOT = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** What looks like a reason: a word in CamelCase as a text. */
const WORD = /"([A-Z][a-z]+[A-Za-z0-9]*)"/g;
/** In a cloud's room, where such words are the cloud's too: what is given as a reason, or an error is made with. */
const GIVEN = /reason: "([A-Z]\w+)"|Error\(\s*"([A-Z]\w+)"/g;
/** A key of the words for what is waited for (src/operator/waiting.ts). */
const KEY = /^ {2}([A-Z]\w+): \(/gm;

/** The words of some lines. */
const wordsOf = (...lines: readonly string[]): ReadonlySet<string> =>
  new Set(lines.flatMap((line) => line.split(" ")));

/** Reasons of conditions and events that need no row, since nobody has to do anything about what they say. */
const SELF_EXPLAINING = wordsOf(
  // All is well, or goes on as it was asked for.
  "Asleep Launched PortAnswers Resolved Running Supported UpToDate",
  "Deleting Launching Off Sleeping Starting Stopping Updating Waking",
  "MachineFound Relaunching Replaced SizeChangePending VolumeCreated",
  // What was asked for, in other words.
  "NotLaunched Paused SleepModeStop",
  // Something is over, or not known yet.
  "NoEvent None NotKnown Unknown",
  // Another try or another process follows within seconds.
  "ClassNotHeld ImageUnchanged LeadershipLost NotLeader StaleClass",
  // The message names the satellites, or the machines and the page.
  "InUse KeptAside",
);

/** Words in the operator's sources that are no reasons of conditions or events. */
const OTHER_WORDS = wordsOf(
  // Types and states of conditions and events, and phases.
  "Awake EventScheduled Failed False Healthy Hibernatable MachinesKeptAside Normal",
  "Pending Ready True Updated Warning",
  // Values of fields.
  "Always Fail Hibernate Hibernated IfDataKept Refused Required Restart Returning Stopped",
  // Why power changes (status.power.reason).
  "DesiredOff Drift Refresh ScheduledEvent Update",
  // Why it waits, in the log alone.
  "GuestBusy NeverLaunched NotOurs",
  // Words of the log, and steps of collectors.
  "Acting Delete Mark MarkVolume Observe Unmark UnmarkVolume Waiting",
  // Days.
  "Mon Tue Wed Thu Fri Sat Sun",
);

const withoutComments = (source: string): string => source.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "");

/** What is found in the sources of a folder, without their comments. */
function wordsIn(pattern: string, ...wanted: readonly RegExp[]): string[] {
  return globSync(pattern, { cwd: ROOT }).flatMap((file) => {
    const source = withoutComments(read(file));
    return wanted.flatMap((regex) =>
      [...source.matchAll(regex)].map(([, first, second]) => first ?? second ?? ""),
    );
  });
}

/** What the operator's steps are called (src/operator/action.ts). */
const STEPS: ReadonlySet<string> = new Set(wordsIn("src/operator/action.ts", /kind: "(\w+)"/g));

const found: ReadonlySet<string> = new Set([
  ...wordsIn("src/operator/**/*.ts", WORD, KEY),
  ...wordsIn("src/machines/**/*.ts", GIVEN),
]);

/**
 * The reasons that the tables of a page have a row for: a first or second cell that is one word, and what stands in
 * backquotes in a first cell.
 */
const rowsOf = (page: string): ReadonlySet<string> =>
  new Set(
    read(page)
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .flatMap((line) => {
        const [first = "", second = ""] = line.slice(2).split(" | ");
        const quoted = [...first.matchAll(/`(\w+)`/g)].map(([, word = ""]) => word);
        return [...quoted, ...[first, second].filter((cell) => /^\w+$/.test(cell))];
      }),
  );
const errors = rowsOf("docs/errors.md");
const troubleshooting = rowsOf("docs/troubleshooting.md");

describe("reasons of conditions and events", () => {
  it("have a row that says what to do, or need none", () => {
    const unknown = [...found].filter(
      (word) =>
        ![errors, troubleshooting, SELF_EXPLAINING, OTHER_WORDS, STEPS].some((known) => known.has(word)),
    );
    expect(
      unknown.toSorted(),
      "give each a row in OWN_REASONS (build/generate-error-docs.ts), or name it in this test",
    ).to.deep.equal([]);
  });

  it("are not called self-explaining where nobody gives them, or where there is a row", () => {
    const idle = [...SELF_EXPLAINING, ...OTHER_WORDS].filter((word) => !found.has(word));
    expect(idle).to.deep.equal([]);
    expect([...SELF_EXPLAINING].filter((word) => errors.has(word))).to.deep.equal([]);
  });
});
