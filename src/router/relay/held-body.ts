import { CHUNK_BYTES, FRESH_CHUNKS, type ChunkMemory } from "./chunks.ts";

/** A body begins with little memory: many requests wait with a few bytes each. */
const FIRST_CHUNK_BYTES = 256;
const NOTHING: Buffer = Buffer.alloc(0);

/** Content that waits: copied, and close together, however small the parts were in which it came. It leaves at its beginning. */
export class HeldBody {
  readonly #chunks: Buffer[] = [];
  /** Bytes of the first chunk that have left. */
  #goneBytes = 0;
  /** Bytes in the last chunk, with those that have left. */
  #usedBytes = 0;
  #sizeBytes = 0;
  readonly #memory: ChunkMemory;

  constructor(memory: ChunkMemory = FRESH_CHUNKS) {
    this.#memory = memory;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(content: Buffer): void {
    this.#sizeBytes += content.length;
    for (let from = 0; from < content.length;) {
      let chunk = this.#chunks.at(-1);
      if (chunk === undefined || this.#usedBytes === chunk.length) {
        const wantedBytes = Math.max(FIRST_CHUNK_BYTES, content.length - from, 2 * (chunk?.length ?? 0));
        chunk = wantedBytes < CHUNK_BYTES ? Buffer.allocUnsafeSlow(wantedBytes) : this.#memory.takeChunk();
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
    return this.#chunks.map((_chunk, place) => this.#part(place));
  }

  /** The first of {@link parts}; undefined where there is nothing. */
  first(): Buffer | undefined {
    return this.#sizeBytes === 0 ? undefined : this.#part(0);
  }

  #part(place: number): Buffer {
    const chunk = this.#chunks[place] ?? NOTHING;
    const isLast = place === this.#chunks.length - 1;
    return chunk.subarray(place === 0 ? this.#goneBytes : 0, isLast ? this.#usedBytes : chunk.length);
  }

  /** Lets the beginning of {@link first} go: so many bytes of it. */
  skip(sizeBytes: number): void {
    this.#sizeBytes -= sizeBytes;
    this.#goneBytes += sizeBytes;
    const isLast = this.#chunks.length === 1;
    if (this.#goneBytes === (isLast ? this.#usedBytes : this.#chunks[0]?.length)) {
      this.#retire(this.#chunks.shift());
      this.#goneBytes = 0;
      this.#usedBytes = isLast ? 0 : this.#usedBytes;
    }
  }

  /** Lets all of it go. */
  clear(): void {
    for (const chunk of this.#chunks.splice(0)) {
      this.#retire(chunk);
    }
    this.#goneBytes = 0;
    this.#usedBytes = 0;
    this.#sizeBytes = 0;
  }

  #retire(chunk: Buffer | undefined): void {
    if (chunk?.length === CHUNK_BYTES) {
      this.#memory.retire(chunk);
    }
  }
}
