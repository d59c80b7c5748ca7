import { spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect } from "chai";
import { cliContext } from "../../src/cli/program.ts";

const ENTRY = join(import.meta.dirname, "../../src/kubectl-satellite.ts");

const MAIN = join(import.meta.dirname, "../../src/main.ts");

describe("kubectl-satellite as a program", function () {
  this.timeout(30_000);
  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [ENTRY, ...args], { encoding: "utf8" });

  it("shows what there is when nothing is asked, as kubectl does", () => {
    const { status, stdout, stderr } = run();
    expect([status, stderr]).to.deep.equal([0, ""]);
    expect(stdout)
      .to.match(/^Usage: /)
      .and.contain("doctor");
  });

  it("names the command that was meant, and ends with status 1", () => {
    const { status, stdout, stderr } = run("wak");
    expect([status, stdout]).to.deep.equal([1, ""]);
    expect(stderr).to.contain("Did you mean wake?");
  });

  it("says what is wrong with a flag in two lines, as kubectl does, and not the whole help", () => {
    for (const [args, message] of [
      [["ls", "-o=nope"], /^error: option '-o, --output <format>' argument 'nope' is invalid\. .*\n/],
      [["-n", "team-a", "ls", "--nope"], /^error: unknown option '--nope'\n/],
    ] as const) {
      const { status, stderr } = run(...args);
      expect(status).to.equal(1);
      expect(stderr).to.match(message);
      expect(stderr.replace(message, "").trim()).to.equal("See 'kubectl satellite ls --help'.");
    }
    const { stderr } = spawnSync(process.execPath, [MAIN, "router", "--nope"], { encoding: "utf8" });
    expect(stderr).to.match(/^error: unknown option '--nope'\s+See 'satellites router --help'\.\n$/);
  });

  it("tells somebody with an older Node.js that it is too old, and nothing else", () => {
    const older = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.11.0"})`;
    for (const entry of [ENTRY, MAIN]) {
      const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", older, entry, "ls"], {
        encoding: "utf8",
      });
      expect([status, stdout]).to.deep.equal([1, ""]);
      expect(stderr).to.match(/^error: Node\.js 24\.\d+\.\d+ or newer is needed, .* is 22\.11\.0: [^\n]*\n$/);
    }
  });

  it("stops once nobody reads what it prints, however often it writes on", () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const process = Object.assign(new EventEmitter(), {
      env: { XDG_CACHE_HOME: globalThis.process.env["XDG_CACHE_HOME"] },
      stdout,
      stderr,
      stdin: new PassThrough(),
      exitCode: undefined,
    }) as unknown as Parameters<typeof cliContext>[0];
    const { stop } = cliContext(process);
    stderr.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    expect(stop.aborted).to.equal(false);
    for (let write = 0; write < 2; write++) {
      stdout.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
      expect(stop.aborted).to.equal(true);
    }
  });
});
