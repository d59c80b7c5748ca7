import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SatelliteError } from "../base/errors.ts";
import { rejectOnAbort } from "../base/abort.ts";
import type { DemoContext } from "./demo-context.ts";
import { createDemoContext } from "./demo-context.ts";
import { reportTable, type DemoReport } from "./demo-report.ts";
import {
  coldStart,
  concurrentRequests,
  deleteAll,
  fallAsleep,
  stopAndWake,
  wakeUp,
  warmCalls,
} from "./demo-steps.ts";
import { LocalSystem } from "./local-system.ts";
import { ensurePrerequisites, type Prerequisite } from "../local/qemu/prerequisites.ts";
import type { ProcessContext } from "./process-context.ts";

const KUBECTL: Prerequisite = {
  program: "kubectl",
  debianPackage: "kubernetes-client",
  purpose: "apply, look at and delete satellites as a user does",
};
const APT: Prerequisite = { program: "apt-get", debianPackage: "apt", purpose: "install what is missing" };

/** Options of `satellites demo`. */
export interface DemoCommandOptions {
  readonly stateDir: string;
  readonly cacheDir: string;
  /** File that the figures are written to. */
  readonly report: string;
  /** The kubectl program. When absent, it is looked up in PATH, and installed where that is allowed. */
  readonly kubectl?: string;
  readonly install: boolean;
}

/**
 * Takes a satellite through its whole life on this machine and measures it: apply, cold start, warm requests, idle,
 * hibernation, wake, a burst that causes one start, stop for comparison, delete.
 *
 * @throws SatelliteError when a step failed; all programs are stopped first
 */
export async function runDemo(options: DemoCommandOptions, context: ProcessContext): Promise<void> {
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  const progress = (line: string): void => {
    const seconds = ((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(6);
    console.log(`${seconds} s  ${line}`);
  };
  const kubectl = options.kubectl ?? (await findKubectl(options, progress, context));
  progress("starting API server, EC2 endpoint, operator and router");
  const system = await LocalSystem.start(
    {
      stateDir: options.stateDir,
      fresh: true,
      cacheDir: options.cacheDir,
      routerPort: 0,
      mayInstall: options.install,
      progress,
    },
    context,
  );
  progress(`to watch it in a browser: ${system.pageUrl}`);
  const demo = await createDemoContext(system, kubectl, progress, context);
  let report: DemoReport;
  try {
    report = await Promise.race([tell(demo), rejectOnAbort(context.stop)]);
  } catch (error) {
    throw new SatelliteError(
      "DemoFailed",
      `the demo did not hold: ${error instanceof Error ? error.message : String(error)}; logs are in ` +
        join(options.stateDir, "logs"),
      { cause: error },
    );
  } finally {
    await demo.close();
    await system.stop("end");
  }
  await mkdir(dirname(options.report), { recursive: true });
  await writeFile(options.report, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(reportTable(report));
  console.log(`report: ${options.report}`);
}

/** Finds kubectl. Debian's version is old, and good enough for this. */
async function findKubectl(
  { install }: DemoCommandOptions,
  progress: (line: string) => void,
  { environment }: ProcessContext,
): Promise<string> {
  const { kubectl = "kubectl" } = await ensurePrerequisites({
    path: environment["PATH"] ?? "",
    mayInstall: install,
    isRoot: process.getuid?.() === 0,
    progress,
    prerequisites: [APT, KUBECTL],
  });
  return kubectl;
}

async function tell(demo: DemoContext): Promise<DemoReport> {
  const cold = await coldStart(demo);
  const warmCallMs = await warmCalls(demo);
  const hibernateSeconds = await fallAsleep(demo, "Hibernated");
  const woken = await wakeUp(demo, cold.guest);
  await fallAsleep(demo, "Hibernated");
  const burst = await concurrentRequests(demo);
  const wakeFromStopSeconds = await stopAndWake(demo, cold.guest.bootId);
  const instancesLeft = await deleteAll(demo);
  return {
    coldStartSeconds: cold.seconds,
    warmCallMs,
    hibernateSeconds,
    wakeFromHibernateSeconds: woken.seconds,
    sameBootID: woken.sameBootID,
    memoryKept: woken.memoryKept,
    wakeFromStopSeconds,
    concurrentRequests: burst.requests,
    startInstancesCalls: burst.startInstancesCalls,
    instancesLeft,
  };
}
