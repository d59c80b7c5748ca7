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

function answer(verdict: Verdict): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, unlike a window
  parentPort?.postMessage(verdict);
}

parentPort?.on("message", ({ number, plan, compares }: Job) => {
  judge.judge(plan, { compares }).then(
    (faults) => answer({ number, faults }),
    (error: unknown) =>
      answer({
        number,
        faults: [`the simulation failed: ${error instanceof Error ? error.stack : String(error)}`],
      }),
  );
});
