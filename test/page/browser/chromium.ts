import { type Browser, chromium } from "playwright-core";
import { ensurePrerequisites, type Prerequisite } from "../../../src/local/qemu/prerequisites.ts";

const PROGRAMS: readonly Prerequisite[] = [
  { program: "apt-get", debianPackage: "apt", purpose: "install what is missing" },
  { program: "chromium", debianPackage: "chromium", purpose: "look at the page" },
];

/** Debian's Chromium, without a window; it is installed where it may be. */
export async function startBrowser(): Promise<Browser> {
  const { chromium: executablePath = "" } = await ensurePrerequisites({
    path: process.env["PATH"] ?? "",
    mayInstall: true,
    isRoot: process.getuid?.() === 0,
    progress: (line) => console.log(`    ${line}`),
    prerequisites: PROGRAMS,
  });
  // Its sandbox does not run as root. It visits nothing but this machine.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, args: isRoot ? ["--no-sandbox"] : [], chromiumSandbox: !isRoot });
}
