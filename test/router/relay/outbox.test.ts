import { expect } from "chai";
import * as fc from "fast-check";
import { Chunks } from "../../../src/router/relay/chunks.ts";
import { Outbox, Slabs } from "../../../src/router/relay/outbox.ts";
import type { Wire } from "../../../src/router/relay/wire.ts";

/** A wire that takes everything at once. */
class RecordingWire implements Wire {
  readonly isEncrypted = false;
  readonly unsentBytes = 0;
  readonly sent: Buffer[] = [];
  writes = 0;

  write(buffer: Buffer, from: number, to: number): void {
    this.writes += 1;
    this.sent.push(Buffer.from(buffer.subarray(from, to)));
  }

  writeAll(pieces: readonly Buffer[]): void {
    this.writes += 1;
    this.sent.push(...pieces.map((piece) => Buffer.from(piece)));
  }

  listen(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

type Step =
  | { readonly kind: "pass" | "add" | "reserve"; readonly box: number; readonly sizeBytes: number }
  | { readonly kind: "flush"; readonly box: number };

const BOXES = 3;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("pass" as const, "add" as const, "reserve" as const),
      box: fc.nat(BOXES - 1),
      sizeBytes: fc.oneof(fc.nat(200), fc.nat(9000), fc.constantFrom(4096, 4097, 40_000)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flush" as const), box: fc.nat(BOXES - 1) }) },
);

describe("Outbox", () => {
  it("keeps no chunk for which nothing is to be written", () => {
    const chunks = new Chunks();
    const out = new Outbox(new Slabs(chunks));
    const wire = new RecordingWire();
    const idle = out.takeChunk();
    out.retire(idle);
    expect(out.takeChunk()).equal(idle);
    const busy = out.takeChunk();
    out.add(busy.subarray(0, 10_000));
    out.retire(busy);
    expect(out.takeChunk()).not.equal(busy);
    out.flush(wire);
    expect(out.takeChunk()).equal(busy);
  });

  it("sends every connection's bytes, in order and unchanged, out of memory that is used again", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const slabs = new Slabs();
        const boxes = Array.from({ length: BOXES }, () => ({
          out: new Outbox(slabs),
          wire: new RecordingWire(),
          expected: [] as Buffer[],
        }));
        for (const [place, todo] of steps.entries()) {
          const { out, wire, expected } = boxes[todo.box]!;
          if (todo.kind === "flush") {
            out.flush(wire);
            continue;
          }
          const bytes = Buffer.alloc(todo.sizeBytes, place);
          expected.push(Buffer.from(bytes));
          if (todo.kind === "pass") {
            const half = bytes.length >> 1;
            out.pass(bytes, 0, half);
            out.pass(bytes, half, bytes.length);
          } else if (todo.kind === "add") {
            out.add(bytes);
          } else {
            const { slab, used } = out.reserve(bytes.length);
            bytes.copy(slab, used);
            out.commit(used + bytes.length);
          }
        }
        for (const { out, wire, expected } of boxes) {
          out.flush(wire);
          expect(out.isEmpty).equal(true);
          expect(Buffer.concat(wire.sent).equals(Buffer.concat(expected))).equal(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("writes once a turn, however many pieces there are", () => {
    const out = new Outbox(new Slabs());
    const wire = new RecordingWire();
    for (let turn = 0; turn < 10; turn += 1) {
      out.pass(Buffer.alloc(5000), 0, 5000);
      out.add(Buffer.alloc(17));
    }
    out.flush(wire);
    expect(wire.writes).equal(1);
    expect(Buffer.concat(wire.sent)).lengthOf(50_170);
  });

  it("hands a received chunk on as it is, without copying it", () => {
    const out = new Outbox(new Slabs());
    const chunk = Buffer.alloc(65_536);
    const given: [Buffer, number, number][] = [];
    const wire = new RecordingWire();
    wire.write = (buffer, from, to): void => void given.push([buffer, from, to]);
    out.pass(chunk, 10, 100);
    out.pass(chunk, 100, chunk.length);
    out.flush(wire);
    expect(given).deep.equal([[chunk, 10, chunk.length]]);
  });

  it("uses the memory of small frames again as soon as they were sent", () => {
    const slabs = new Slabs();
    const out = new Outbox(slabs);
    const { slab } = slabs;
    for (let turn = 0; turn < 10_000; turn += 1) {
      out.add(Buffer.alloc(100, turn));
      out.flush(new RecordingWire());
    }
    expect(slabs.slab).equal(slab);
    expect(slabs.used).equal(0);
  });
});
