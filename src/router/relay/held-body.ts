/** Memory for a body is taken in pieces of this size, but for small ones: many requests wait with a few bytes each. */
const CHUNK_BYTES = 16 * 1024;
const FIRST_CHUNK_BYTES = 256;

/** Content that waits: copied, and close together, however small the parts were in which it came. */
export class HeldBody {
  readonly #chunks: Buffer[] = [];
  /** Bytes in the last chunk. */
  #usedBytes = 0;
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(content: Buffer): void {
    this.#sizeBytes += content.length;
    for (let from = 0; from < content.length;) {
      let chunk = this.#chunks.at(-1);
      if (chunk === undefined || this.#usedBytes === chunk.length) {
        const wantedBytes = Math.max(FIRST_CHUNK_BYTES, content.length - from, 2 * (chunk?.length ?? 0));
        chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, wantedBytes));
        this.#chunks.push(chunk);
        this.#usedBytes = 0;
      }
      const copiedBytes = content.copy(chunk, this.#usedBytes, from);
      this.#usedBytes += copiedBytes;
      from += copiedBytes;
    }
  }

  /** All of it in order, in parts that each fit into a frame; they stay as they are. */
  parts(): readonly Buffer[] {
    const last = this.#chunks.length - 1;
    return this.#chunks.map((chunk, place) => (place === last ? chunk.subarray(0, this.#usedBytes) : chunk));
  }
}
