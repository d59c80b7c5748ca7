import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { ensurePrerequisites, findPrerequisites } from "../../../src/local/qemu/prerequisites.ts";

describe("prerequisites", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tools-"));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const program = (name: string, script = "exit 0"): void => {
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  };
  const needed = [
    { program: "satellites-test-a", debianPackage: "pkg-a", purpose: "do a" },
    { program: "satellites-test-b", debianPackage: "pkg-b", purpose: "do b" },
    { program: "apt-get", debianPackage: "apt", purpose: "install" },
  ];
  const options = () => ({
    path: directory,
    isRoot: true,
    mayInstall: true,
    prerequisites: needed,
    progress: () => {},
  });

  it("finds programs by PATH and names those that are missing", async () => {
    program("satellites-test-a");
    const report = await findPrerequisites(directory, needed.slice(0, 2));
    expect(report.found).to.deep.equal({ "satellites-test-a": join(directory, "satellites-test-a") });
    expect(report.missing.map((each) => each.debianPackage)).to.deep.equal(["pkg-b"]);
  });

  for (const [why, change] of [
    ["it may not install", { mayInstall: false }],
    ["it is not root", { isRoot: false }],
  ] as const) {
    it(`says which packages to install when ${why}`, async () => {
      program("apt-get");
      const failure = await ensurePrerequisites({ ...options(), ...change }).catch((error: unknown) => error);
      expect(failure).to.include({ code: "PrerequisitesMissing" });
      expect(String(failure)).to.contain("apt-get install --no-install-recommends pkg-a pkg-b");
      expect(String(failure)).to.contain("satellites-test-a (needed to do a)");
    });
  }

  it("updates, installs only what is missing, without questions, and says so", async () => {
    program("satellites-test-a");
    const log = join(directory, "log");
    const install = `for p in "$@"; do [ $p = pkg-b ] && cp ${directory}/satellites-test-a ${directory}/satellites-test-b; done`;
    program("apt-get", `echo "$DEBIAN_FRONTEND $@" >> ${log}; ${install}; exit 0`);
    const lines: string[] = [];
    const found = await ensurePrerequisites({ ...options(), progress: (line) => lines.push(line) });
    expect(found["satellites-test-b"]).to.equal(join(directory, "satellites-test-b"));
    expect(readFileSync(log, "utf8").trim().split("\n")).to.deep.equal([
      "noninteractive update --quiet",
      "noninteractive install --yes --quiet --no-install-recommends pkg-b",
    ]);
    expect(lines).to.have.length(2);
  });

  it("says what is still missing when the packages did not bring it", async () => {
    program("apt-get");
    const failure = await ensurePrerequisites(options()).catch((error: unknown) => error);
    expect(failure).to.include({ code: "PrerequisitesMissing" });
  });

  it("hands on what apt-get complained about", async () => {
    program("apt-get", "echo 'E: no network' >&2; exit 100");
    const failure = await ensurePrerequisites(options()).catch((error: unknown) => error);
    expect(failure).to.include({ code: "ToolFailed" });
    expect(String(failure)).to.contain("E: no network");
  });
});
