/** The body of a watch: lines as they are pushed. */
export class WatchStream implements AsyncIterable<Uint8Array> {
  readonly #encoder = new TextEncoder();
  readonly #lines: Uint8Array[] = [];
  #wake: () => void = () => {};
  #end: { readonly error?: unknown } | undefined;
  onDestroy: () => void = () => {};

  push(line: string): void {
    this.#lines.push(this.#encoder.encode(line));
    this.#wake();
  }

  /** Ends the stream, by an error if one is given. What was pushed before is still read. */
  end(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  destroy(): void {
    this.end();
    this.onDestroy();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) {
        yield line;
      } else if (this.#end !== undefined) {
        if ("error" in this.#end) {
          throw this.#end.error;
        }
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
