import type { Writable } from "node:stream";

/** Small parts and large ones: as much as a TLS record, and as a connection receives at once. */
const SIZES_BYTES = [16 * 1024, 256 * 1024] as const;
/** Of each size; more are needed only while many connections do not take what is sent to them. */
const MAX_FREE = 16;

/**
 * Memory for what a connection does not take at once. It is used again and again: large buffers that come and go make
 * the garbage collector run all the time (measured: a third of the processor time of large responses over TLS).
 */
export class Copies {
  readonly #free = SIZES_BYTES.map((sizeBytes) => ({ sizeBytes, buffers: [] as Buffer[] }));

  /**
   * Writes a copy of buffer[from, to) to a stream, which keeps it by reference until it has sent it.
   *
   * @param stream one whose bytes leave the process: what a stream in memory has sent, another one may still keep
   * @param onSent called when it was sent, or never will be
   */
  write(stream: Writable, buffer: Buffer, from: number, to: number, onSent?: () => void): void {
    const lengthBytes = to - from;
    const shelf = this.#free.find(({ sizeBytes }) => lengthBytes <= sizeBytes);
    const memory = shelf?.buffers.pop() ?? Buffer.allocUnsafeSlow(shelf?.sizeBytes ?? lengthBytes);
    buffer.copy(memory, 0, from, to);
    stream.write(memory.subarray(0, lengthBytes), () => {
      if (shelf !== undefined && shelf.buffers.length < MAX_FREE) {
        shelf.buffers.push(memory);
      }
      onSent?.();
    });
  }
}
