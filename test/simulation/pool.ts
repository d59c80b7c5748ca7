import { Worker } from "node:worker_threads";
import type { Plan } from "./plan.ts";
import type { Job, Verdict } from "./worker.ts";

/** Judges plans on several threads. */
export class Pool {
  readonly #workers: Worker[];

  constructor(threads: number) {
    this.#workers = Array.from({ length: threads }, () => new Worker(new URL("worker.ts", import.meta.url)));
  }

  /**
   * Judges all of `plans`.
   *
   * @param onVerdict called for each, in the order in which they are done
   */
  async judgeAll(
    plans: readonly { readonly plan: Plan; readonly compares: boolean }[],
    onVerdict: (number: number, faults: readonly string[]) => void,
  ): Promise<void> {
    let next = 0;
    await Promise.all(
      this.#workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            const give = (): void => {
              const given = plans[next];
              if (given === undefined) {
                worker.off("message", onMessage);
                worker.off("error", reject);
                resolve();
                return;
              }
              // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
              worker.postMessage({ number: next, ...given } satisfies Job);
              next++;
            };
            const onMessage = ({ number, faults }: Verdict): void => {
              onVerdict(number, faults);
              give();
            };
            worker.on("message", onMessage);
            worker.once("error", reject);
            give();
          }),
      ),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
