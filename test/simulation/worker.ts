/** A thread that judges plans one by one; run.ts starts as many as there are cores. */
import { parentPort } from "node:worker_threads";
import { Judge } from "./judge.ts";
import type { Plan } from "./plan.ts";

/** One plan to judge. */
export interface Job {
  readonly number: number;
  readonly plan: Plan;
  readonly compares: boolean;
}

/** What is wrong with it. */
export interface Verdict {
  readonly number: number;
  readonly faults: readonly string[];
}

const judge = new Judge();
parentPort?.on("message", (job: Job) => {
  judge.judge(job.plan, { compares: job.compares }).then(
    (faults) => parentPort?.postMessage({ number: job.number, faults } satisfies Verdict),
    (error: unknown) =>
      parentPort?.postMessage({
        number: job.number,
        faults: [`the simulation failed: ${error instanceof Error ? error.stack : String(error)}`],
      } satisfies Verdict),
  );
});
