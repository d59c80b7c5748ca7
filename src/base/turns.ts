import { FairLine } from "./fair-line.ts";

/** Lets a limited number of tasks run at the same time; the others wait for their turn, in order, groups by turns. */
export class Turns {
  readonly #waiting = new FairLine<() => void>();
  #free: number;

  /** @param limit tasks at the same time, at least 1 */
  constructor(limit: number) {
    this.#free = limit;
  }

  /**
   * Runs `task` when its turn has come, and settles as it does.
   *
   * @param group whose task it is: groups take turns
   */
  async run<T>(task: () => Promise<T>, group = ""): Promise<T> {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve, group);
      });
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.take();
      if (next === undefined) {
        this.#free += 1;
      } else {
        next();
      }
    }
  }
}
