/** As much as a frame holds that was not agreed to be larger (RFC 9113 §4.2). */
export const CHUNK_BYTES = 16 * 1024;
/** 8 MiB; more are needed only while much content waits. */
const MAX_FREE = 512;

/** Where memory for content that waits comes from, and where it goes back to. */
export interface ChunkMemory {
  /** Memory of {@link CHUNK_BYTES}, with whatever it held before. */
  takeChunk(): Buffer;
  /** Takes back what {@link takeChunk} gave, once, when nobody will write to it any more. */
  retire(chunk: Buffer): void;
}

/**
 * Memory for content that waits for a window, shared by all connections. Peers that have HTTP/2's default windows make most
 * content wait, and buffers that come and go make the garbage collector run all the time (measured: half of the processor
 * time of 1 MiB messages through windows of 64 KiB).
 */
export class Chunks {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Takes a chunk back that nobody reads any more: it is somebody else's from now on. */
  give(chunk: Buffer): void {
    if (this.#free.length < MAX_FREE) {
      this.#free.push(chunk);
    }
  }
}

/** Memory that is not used again. */
export const FRESH_CHUNKS: ChunkMemory = {
  takeChunk: () => Buffer.allocUnsafeSlow(CHUNK_BYTES),
  retire: () => {},
};
