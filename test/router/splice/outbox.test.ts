import { Writable } from "node:stream";
import { expect } from "chai";
import * as fc from "fast-check";
import { Outbox, Slabs } from "../../../src/router/splice/outbox.ts";

/** A socket that is slow: it keeps what it is given, uncopied, until the test is over. */
class SlowSocket extends Writable {
  readonly kept: Buffer[] = [];
  writes = 0;

  constructor() {
    super({ highWaterMark: 1 << 30 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes += 1;
    this.kept.push(chunk);
    done();
  }

  override _writev(chunks: { chunk: Buffer; encoding: string }[], done: () => void): void {
    this.writes += 1;
    this.kept.push(...chunks.map(({ chunk }) => chunk));
    done();
  }
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
  it("keeps every connection's bytes, in order and unchanged, until the slowest socket has sent them", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const slabs = new Slabs();
        const boxes = Array.from({ length: BOXES }, () => ({
          out: new Outbox(slabs),
          socket: new SlowSocket(),
          expected: [] as Buffer[],
        }));
        for (const [place, todo] of steps.entries()) {
          const { out, socket, expected } = boxes[todo.box]!;
          if (todo.kind === "flush") {
            out.flush(socket);
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
        for (const { out, socket, expected } of boxes) {
          out.flush(socket);
          expect(out.isEmpty).equal(true);
          expect(Buffer.concat(socket.kept).equals(Buffer.concat(expected))).equal(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("writes once a turn, however many pieces there are", () => {
    const out = new Outbox(new Slabs());
    const socket = new SlowSocket();
    for (let turn = 0; turn < 10; turn += 1) {
      out.pass(Buffer.alloc(5000), 0, 5000);
      out.add(Buffer.alloc(17));
    }
    out.flush(socket);
    expect(socket.writes).equal(1);
    expect(Buffer.concat(socket.kept)).lengthOf(50_170);
  });

  it("hands a received chunk on as it is, without copying it", () => {
    const out = new Outbox(new Slabs());
    const socket = new SlowSocket();
    const chunk = Buffer.alloc(65_536);
    out.pass(chunk, 0, 100);
    out.pass(chunk, 100, chunk.length);
    out.flush(socket);
    expect(socket.kept[0]).equal(chunk);
  });
});
