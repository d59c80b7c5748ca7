import { Chunks } from "../../../../src/router/relay/chunks.ts";

/** What is given back is somebody else's at once: whoever still reads it reads that. Counts what is out. */
export class SpoilingChunks extends Chunks {
  out = 0;

  override take(): Buffer {
    this.out += 1;
    return super.take();
  }

  override give(chunk: Buffer): void {
    this.out -= 1;
    chunk.fill(0xee);
    super.give(chunk);
  }
}
