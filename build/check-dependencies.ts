/**
 * Checks package.json and package-lock.json by the rules of build/dependencies.ts, and asks the registry for known
 * vulnerabilities where it answers (`npm audit`). A registry that does not is named, and is no fault.
 */
import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { faultsOf, type LockedPackage, type Manifest } from "./dependencies.ts";

const ROOT = join(import.meta.dirname, "..");
/** Of the devDependencies, those whose program is called. */
const PROGRAMS = ["c8", "mocha", "oxfmt", "oxlint", "oxlint-tsgolint", "typescript"];
/** Those that the validator of bills of materials asks for; it does not judge where it lacks them. */
const ASKED_FOR = ["ajv", "ajv-formats", "ajv-formats-draft2019"];

interface AuditReport {
  readonly error?: { readonly code?: string; readonly summary?: string };
  readonly message?: string;
  readonly vulnerabilities?: Readonly<
    Record<string, { readonly severity: string; readonly range: string; readonly isDirect: boolean }>
  >;
}

const readJson = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, name), "utf8"));

/** What `npm audit` says of the packages that go into the product. */
function audit(): Promise<AuditReport> {
  return new Promise((resolve) => {
    execFile(
      "npm",
      ["audit", "--omit=dev", "--json", "--fetch-retries=0"],
      { cwd: ROOT, timeout: 20_000 },
      (error, stdout) => {
        try {
          resolve(JSON.parse(stdout) as AuditReport);
        } catch {
          resolve({ message: error?.message ?? "it printed nothing" });
        }
      },
    );
  });
}

const manifest = readJson("package.json") as Manifest;
const { packages: lock } = readJson("package-lock.json") as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const sources = globSync("{src,test,bench,build}/**/*.{ts,js}", { cwd: ROOT }).map((path) => ({
  path,
  text: readFileSync(join(ROOT, path), "utf8"),
}));
const faults = faultsOf(manifest, lock, sources, [...PROGRAMS, ...ASKED_FOR]);

const { vulnerabilities, error, message } = await audit();
const known = Object.entries(vulnerabilities ?? {}).filter(([, { severity }]) =>
  ["moderate", "high", "critical"].includes(severity),
);
for (const [name, { severity, range }] of known) {
  faults.push(`${name} ${range} has a known vulnerability (${severity}); see npm audit`);
}
for (const fault of faults) {
  console.error(fault);
}
const audited =
  vulnerabilities === undefined
    ? `not audited: the registry does not answer npm audit (${(message ?? error?.summary ?? "no reason given").split(/ - |\n/)[0]})`
    : `audited: ${known.length} vulnerable`;
console.log(`dependencies: ${Object.keys(lock).length - 1} packages, ${faults.length} faults; ${audited}`);
process.exitCode = faults.length === 0 ? 0 : 1;
