import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = "docs/destructive-calls.md";

/** Actions of the operator that take something away. */
const ACTIONS =
  "Terminate|DeleteVolume|DetachVolume|Stop|Reboot|ChangeType|Claim|Retain|RemoveFinalizer|PruneRouters?";
/** What stands in the sources for a call that takes something away. */
const PATTERNS: readonly RegExp[] = [
  new RegExp(`(?<!readonly |Extract<Action, \\{ )kind: "(${ACTIONS})"`, "g"),
  /\b\w*[cC]loud\w*(?:\([^()]*\))?\??\.(terminate|stop|deleteVolume|detachVolume|reboot|changeType|tag)\(/g,
  /\bnew ((?:Terminate|Stop|Reboot|Delete|Detach|Release|Revoke|Reset|Modify|CreateTags)\w*Command)\(/g,
  /(?<!function )\b(removeFinalizer)\(/g,
];

/** How often each kind of call stands in each file, as "file: call × count". */
function callsInSources(): string[] {
  const counts = new Map<string, number>();
  for (const file of globSync("src/{operator,machines,satellite}/**/*.ts", { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, call] of PATTERNS.flatMap((pattern) => [...text.matchAll(pattern)])) {
      const key = `${file}: ${call ?? ""}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return [...counts].map(([key, count]) => `${key} × ${count}`).toSorted();
}

/** The same as the page's tables have it: | `file` | `call` × count | proof |. */
function callsInPage(): { readonly call: string; readonly proof: string }[] {
  const rows = readFileSync(join(ROOT, PAGE), "utf8").matchAll(
    /^\| `(?<file>[\w/.-]+\.ts)` \| `(?<call>\w+)`(?: × (?<count>\d+))? \| (?<proof>[^|]*) \|$/gm,
  );
  return [...rows].map(({ groups }) => ({
    call: `src/${groups?.["file"] ?? ""}: ${groups?.["call"] ?? ""} × ${groups?.["count"] ?? "1"}`,
    proof: groups?.["proof"]?.trim() ?? "",
  }));
}

describe("calls that take something away", () => {
  it(`each have a row in ${PAGE} that says what proof they need`, () => {
    const rows = callsInPage();
    expect(rows.map(({ call }) => call).toSorted()).to.deep.equal(callsInSources());
    expect(rows.filter(({ proof }) => proof === "")).to.deep.equal([]);
  });

  it("are found in the sources at all", () => {
    const found = callsInSources().join("\n");
    for (const call of [
      "Terminate",
      "terminate",
      "deleteVolume",
      "TerminateInstancesCommand",
      "removeFinalizer",
    ]) {
      expect(found).to.include(`: ${call} × `);
    }
  });
});
