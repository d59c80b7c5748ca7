import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { expect } from "chai";
import { loaderOf, neededLibraries } from "../../../build/release/needed-libraries.ts";

describe("neededLibraries", () => {
  it("finds what ldd finds for the Node.js that runs the tests, the loader too", () => {
    const lines = execFileSync("ldd", [process.execPath], { encoding: "utf8" }).split("\n");
    const paths = lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
    const found = new Set(neededLibraries(readFileSync(process.execPath)));
    expect([...found].toSorted()).to.deep.equal(paths.map((path) => basename(path)).toSorted());
  });

  it("knows where the kernel looks for the loader, which is not among the libraries", () => {
    const [, path] =
      /^\s*(\/\S+) \(0x/m.exec(execFileSync("ldd", [process.execPath], { encoding: "utf8" })) ?? [];
    expect(loaderOf(readFileSync(process.execPath))).to.equal(path);
  });

  it("refuses what is no such program", () => {
    expect(() => neededLibraries(Buffer.from("#!/bin/sh\necho a script\n"))).to.throw("no ELF file");
  });
});
