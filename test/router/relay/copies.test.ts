import { Writable } from "node:stream";
import { expect } from "chai";
import { Copies } from "../../../src/router/relay/copies.ts";

/** A stream that sends what it was given only when it is told to. */
class HeldStream extends Writable {
  readonly kept: Buffer[] = [];
  #send: (() => void)[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.kept.push(chunk);
    this.#send.push(done);
  }

  sendOne(): void {
    this.#send.shift()?.();
  }
}

describe("Copies", () => {
  it("keeps what a stream has not sent, whatever becomes of the memory that it came from", async () => {
    const copies = new Copies();
    const stream = new HeldStream();
    const source = Buffer.alloc(300_000);
    for (const [mark, sizeBytes] of [
      [1, 1],
      [2, 16_384],
      [3, 16_385],
      [4, 300_000],
    ] as const) {
      source.fill(mark);
      await new Promise<void>((resolve) => {
        copies.write(stream, source, 0, sizeBytes, resolve);
        source.fill(255);
        const [part] = stream.kept.splice(0);
        expect(part).lengthOf(sizeBytes);
        expect(part?.every((byte) => byte === mark)).equal(true);
        stream.sendOne();
      });
    }
  });

  it("uses memory again once it was sent, and never before", async () => {
    const copies = new Copies();
    const stream = new HeldStream();
    const memoryOf = (): ArrayBufferLike | undefined => stream.kept.at(-1)?.buffer;
    const source = Buffer.alloc(100);
    const sent = new Promise<void>((resolve) => copies.write(stream, source, 0, 100, resolve));
    const first = memoryOf();
    const other = new HeldStream();
    copies.write(other, source, 0, 100);
    expect(other.kept.at(-1)?.buffer).not.equal(first);
    stream.sendOne();
    await sent;
    copies.write(stream, source, 0, 50);
    expect(memoryOf()).equal(first);
  });
});
