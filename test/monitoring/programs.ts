import { ensurePrerequisites, type Prerequisite } from "../../src/local/qemu/prerequisites.ts";

/** Prometheus, and its tool for rules. */
const PROGRAMS: readonly Prerequisite[] = [
  { program: "apt-get", debianPackage: "apt", purpose: "install what is missing" },
  { program: "prometheus", debianPackage: "prometheus", purpose: "scrape the processes and run queries" },
  { program: "promtool", debianPackage: "prometheus", purpose: "test the alerts" },
];

/** Where Debian's Prometheus lies, which is installed where it may be. */
export async function requirePrometheus(): Promise<{
  readonly prometheus: string;
  readonly promtool: string;
}> {
  const { prometheus = "", promtool = "" } = await ensurePrerequisites({
    path: process.env["PATH"] ?? "",
    mayInstall: true,
    isRoot: process.getuid?.() === 0,
    progress: (line) => console.log(`    ${line}`),
    prerequisites: PROGRAMS,
  });
  return { prometheus, promtool };
}
