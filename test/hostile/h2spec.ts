import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { findOnPath, findTool } from "../tools/catalog.ts";
import type { Attack } from "./attack.ts";

const execute = promisify(execFile);

/** What h2spec found. */
export interface Report {
  readonly cases: number;
  /** Titles of failed cases, with the section they belong to. */
  readonly failed: ReadonlySet<string>;
}

/** Path of h2spec, or undefined when it is neither built nor installed. */
export function findH2spec(): string | undefined {
  return findTool("h2spec") ?? findOnPath("h2spec");
}

/**
 * Runs every case against a port: 145, and with --strict the one of RFC 9113 section 5.4.1 that only SHOULD hold.
 * h2spec ends with 1 when some failed; its report says which.
 */
export async function report(program: string, port: number, label: string): Promise<Report> {
  const file = path.join(os.tmpdir(), `h2spec-${process.pid}-${label}.xml`);
  try {
    await execute(program, ["-h", "127.0.0.1", "-p", String(port), "-o", "3", "--strict", "-j", file]).catch(
      (error: unknown) => {
        if ((error as { code?: unknown }).code !== 1) {
          throw error;
        }
      },
    );
    return readReport(readFileSync(file, "utf8"));
  } finally {
    rmSync(file, { force: true });
  }
}

/** Reads a JUnit report as h2spec writes it. */
function readReport(xml: string): Report {
  const failed = new Set<string>();
  let cases = 0;
  for (const [, attributes = "", body = ""] of xml.matchAll(
    /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    cases += 1;
    if (body.includes("<failure") || body.includes("<error")) {
      const named = /package="([^"]*)" classname="([^"]*)"/.exec(attributes);
      failed.add(`${named?.[1] ?? ""}: ${named?.[2] ?? attributes}`);
    }
  }
  return { cases, failed };
}

/**
 * Runs every case through a router. Cases that fail and that the VM alone passes are tried a second time: h2spec waits for
 * each answer for three seconds only.
 */
export async function reportThrough(program: string, port: number, alone: Report): Promise<Report> {
  const first = await report(program, port, "router");
  if ([...first.failed].every((title) => alone.failed.has(title))) {
    return first;
  }
  const second = await report(program, port, "router");
  return {
    cases: first.cases,
    failed: new Set([...first.failed].filter((title) => second.failed.has(title) || alone.failed.has(title))),
  };
}

/** Conformance: through the router no case may fail that the VM alone passes. */
export const H2SPEC: Attack = {
  name: "h2spec",
  async run({ router, vm }) {
    const program = findH2spec();
    if (program === undefined) {
      return {
        inputs: 0,
        figure: "skipped: h2spec is not built (node test/tools/build.ts h2spec)",
        problems: [],
      };
    }
    const alone = await report(program, vm.port, "vm");
    const through = await reportThrough(program, router.port, alone);
    const only = [...through.failed].filter((title) => !alone.failed.has(title));
    const both = [...through.failed].filter((title) => alone.failed.has(title));
    const passed = through.cases - through.failed.size;
    return {
      inputs: through.cases,
      figure:
        `${passed} of ${through.cases} passed, the VM alone ${alone.cases - alone.failed.size}` +
        (both.length === 0 ? "" : `; failed by both: ${both.join(", ")}`),
      problems: [
        ...(through.cases === 0 ? ["h2spec ran no case"] : []),
        ...only.map((title) => `h2spec ${title} fails through the router alone`),
      ],
    };
  },
};
