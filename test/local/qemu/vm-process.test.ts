import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { runningPid, startQemu } from "../../../src/local/qemu/vm-process.ts";

describe("a VM's process", () => {
  let directory: string;
  let pidFile: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "vm-"));
    pidFile = join(directory, "qemu.pid");
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it("is found only if the process with that number was started for this very VM", async () => {
    expect(await runningPid(pidFile)).to.equal(undefined);
    const ours = spawn(process.execPath, ["-e", "process.stdin.resume()", pidFile], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    await once(ours, "spawn");
    writeFileSync(pidFile, `${ours.pid}\n`);
    expect(await runningPid(pidFile)).to.equal(ours.pid);
    ours.stdin?.end();
    await once(ours, "exit");
    expect(await runningPid(pidFile)).to.equal(undefined);
    // A number that somebody else has now.
    writeFileSync(pidFile, `${process.pid}\n`);
    expect(await runningPid(pidFile)).to.equal(undefined);
  });

  for (const [words, code, told] of [
    ["Could not set up host forwarding rule 'tcp:127.77.0.1:8372-:8372'", "PortInUse", "8372 at 127.77.0.1"],
    ["could not open disk", "QemuFailed", "could not open disk"],
  ] as const) {
    it(`reports ${code} when QEMU says "${words}"`, async () => {
      const program = join(directory, "qemu");
      writeFileSync(program, `#!/bin/sh\necho "${words}" >&2\nexit 1\n`);
      chmodSync(program, 0o755);
      const failure = await startQemu(program, [], "127.77.0.1").catch((error: unknown) => error);
      expect(failure).to.include({ code });
      expect(String(failure)).to.contain(told);
    });
  }
});
