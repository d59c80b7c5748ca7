/**
 * Lets one write be under way at a time: a router's patches of one satellite reach the API server in the order in which
 * they were decided (docs/power-protocol.md, "Router").
 */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;

  /** Writes that wait or are under way. */
  get pending(): number {
    return this.#pending;
  }

  /** Runs `write` after all before it have ended, however they ended; settles as it does. */
  run<T>(write: () => Promise<T>): Promise<T> {
    this.#pending++;
    const result = this.#last.then(write).finally(() => {
      this.#pending--;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}
