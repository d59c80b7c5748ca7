import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

const SCRIPT = join(import.meta.dirname, "../../build/use-node.mjs");

describe("build/use-node.mjs", () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "use-node-"));
    mkdirSync(join(folder, "build"));
    cpSync(SCRIPT, join(folder, "build/use-node.mjs"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function check(wanted: string): { status: number | null; stderr: string } {
    writeFileSync(join(folder, "package.json"), JSON.stringify({ engines: { node: wanted } }));
    const options = { encoding: "utf8" } as const;
    return spawnSync(process.execPath, [join(folder, "build/use-node.mjs")], options);
  }

  it("lets pass the Node.js that runs the tests, and older wishes", () => {
    for (const wanted of [`>=${process.versions.node}`, ">=18.0.0", ">=24.0.0"]) {
      expect(check(wanted), wanted).to.include({ status: 0, stderr: "" });
    }
  });

  it("refuses an older one, and says what to do", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    for (const wanted of [`>=${major + 1}.0.0`, `>=${major}.${minor + 1}.0`]) {
      const { status, stderr } = check(wanted);
      expect(status, wanted).to.equal(1);
      expect(stderr).to.contain(`node is ${process.version}, and ${wanted} is needed`);
      expect(stderr).to.contain("install that Node.js yourself");
    }
  });

  it("links the program of this platform's package, also where npm has left none or another", () => {
    const name = `node-${process.platform}-${process.arch}`;
    mkdirSync(join(folder, `node_modules/${name}/bin`), { recursive: true });
    mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
    writeFileSync(join(folder, `node_modules/${name}/bin/node`), "");
    const link = join(folder, "node_modules/.bin/node");
    for (const before of [undefined, "../node-other-os/bin/node"]) {
      rmSync(link, { force: true });
      if (before !== undefined) {
        symlinkSync(before, link);
      }
      expect(check(">=99.0.0")).to.include({ status: 0, stderr: "" });
      expect(readlinkSync(link)).to.equal(`../${name}/bin/node`);
    }
  });
});
