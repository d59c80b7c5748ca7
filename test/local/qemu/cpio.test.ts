import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";
import * as fc from "fast-check";

import { type CpioEntry, writeCpio } from "../../../src/local/qemu/cpio.ts";

/** Reads an archive by the format's definition, independently of the writer. */
function readCpio(archive: Buffer): { path: string; mode: number; content: Buffer }[] {
  const entries: { path: string; mode: number; content: Buffer }[] = [];
  let offset = 0;
  const align = (value: number): number => Math.ceil(value / 4) * 4;
  for (;;) {
    expect(archive.toString("latin1", offset, offset + 6)).to.equal("070701");
    const field = (index: number): number =>
      Number.parseInt(archive.toString("latin1", offset + 6 + index * 8, offset + 14 + index * 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const path = archive.toString("utf8", offset + 110, offset + 110 + nameSize - 1);
    const start = offset + align(110 + nameSize);
    if (path === "TRAILER!!!") {
      return entries;
    }
    entries.push({ path, mode, content: archive.subarray(start, start + size) });
    offset = start + align(size);
  }
}

describe("the cpio writer", () => {
  it("writes what a reader of the format finds again", () => {
    const entry = fc.record({
      kind: fc.constant("file" as const),
      path: fc.string({ minLength: 1, unit: "grapheme" }).filter((path) => !path.includes("\0")),
      mode: fc.integer({ min: 0, max: 0o777 }),
      content: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
        const found = readCpio(writeCpio(entries)).map(({ path, mode, content }) => ({
          path,
          mode,
          content: [...content],
        }));
        expect(found).to.deep.equal(
          entries.map(({ path, mode, content }) => ({ path, mode: 0o100000 | mode, content: [...content] })),
        );
      }),
    );
  });

  it("gives equal bytes for equal entries", () => {
    const entries: CpioEntry[] = [{ kind: "file", path: "a", mode: 0o644, content: Buffer.from("x") }];
    expect(writeCpio(entries).equals(writeCpio([...entries]))).to.equal(true);
  });

  it("is unpacked by busybox", function () {
    let busybox: string;
    try {
      busybox = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
    } catch {
      throw new Error(
        "busybox is not here; install it with: apt-get install --no-install-recommends busybox-static",
      );
    }
    const directory = mkdtempSync(join(tmpdir(), "cpio-"));
    const archive = writeCpio([
      { kind: "directory", path: "d", mode: 0o755 },
      { kind: "file", path: "d/run", mode: 0o755, content: Buffer.from("#!/bin/sh\n") },
      { kind: "file", path: "empty", mode: 0o600, content: Buffer.alloc(0) },
    ]);
    try {
      execFileSync(busybox, ["cpio", "-i"], {
        cwd: directory,
        input: archive,
        stdio: ["pipe", "ignore", "ignore"],
      });
      expect(readdirSync(directory).sort()).to.deep.equal(["d", "empty"]);
      expect(readFileSync(join(directory, "d/run"), "utf8")).to.equal("#!/bin/sh\n");
      expect(statSync(join(directory, "d/run")).mode & 0o777).to.equal(0o755);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
