import { expect } from "chai";
import * as fc from "fast-check";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { encodeField, encodeSizeUpdate, HpackEncoder, maxFieldBytes } from "../../src/http2/hpack-encoder.ts";
import { STATIC_TABLE } from "../../src/http2/static-table.ts";

type Fields = readonly (readonly [name: string, value: string, never: boolean])[];

function encode(fields: Fields): Buffer {
  const target = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0));
  let at = 0;
  for (const [name, value, never] of fields) {
    const next = encodeField(target, at, name, value, never);
    expect(next - at).at.most(maxFieldBytes(name, value));
    at = next;
  }
  return target.subarray(0, at);
}

const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString("latin1"));

const field = fc.tuple(
  fc.oneof(fc.constantFrom(...STATIC_TABLE.map(([name]) => name)), latin1(40)),
  fc.oneof(fc.constantFrom(...STATIC_TABLE.map(([, value]) => value)), latin1(300)),
  fc.boolean(),
);

describe("the stateless HPACK encoder", () => {
  it("codes long strings by Huffman where that is shorter, since nghttp2 takes no more than 64 KiB", () => {
    const octets = fc.oneof(latin1(3), fc.constantFrom("Dockerfile", "RG9ja2VyZmlsZQ==", "\u0000\u00ff"));
    fc.assert(
      fc.property(fc.array(octets, { minLength: 1, maxLength: 9 }), (pieces) => {
        const piece = pieces.join("") || "x";
        const value = piece.repeat(Math.ceil(40_000 / piece.length));
        const block = encode([["detail-bin", value, false]]);
        const decoded = new HpackDecoder({ maxListBytes: 1 << 20 }).decode(block, 0, block.length);
        expect(decoded.fields).deep.equal([["detail-bin", value]]);
      }),
    );
    expect(
      encode([["detail-bin", Buffer.alloc(60_000, "Dockerfile").toString("base64"), false]]),
    ).lengthOf.below(64 * 1024);
  });

  it("writes what the decoder reads, field by field and flag by flag", () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 20 }), (fields) => {
        const block = encode(fields);
        const decoder = new HpackDecoder({ maxListBytes: 1 << 20 });
        const decoded = decoder.decode(block, 0, block.length);
        expect(decoded.fields).deep.equal(fields.map(([name, value]) => [name, value]));
        const never = fields.flatMap(([, , isNever], place) => (isNever ? [place] : []));
        expect([...(decoded.neverIndexed ?? [])]).deep.equal(never);
        expect(decoder.tableSizeBytes, "the peer's dynamic table is left alone").equal(0);
      }),
      { numRuns: 500 },
    );
  });

  it("uses the static table for whole fields and for names", () => {
    expect(encode([[":method", "POST", false]]).toString("hex")).equal("83");
    expect(encode([["te", "trailers", false]])[0]).equal(0x00);
    expect(encode([[":path", "/a", false]]).toString("hex")).equal("04022f61");
  });

  it("keeps a never-indexed field out of every index, even one of the static table", () => {
    expect(encode([["authorization", "x", true]]).toString("hex")).equal("1f080178");
    expect(encode([[":method", "GET", true]]).toString("hex")).equal("1203474554");
  });

  it("writes values of 64 KiB and more", () => {
    for (const length of [126, 127, 128, 254, 255, 16_384, 65_536, 131_072]) {
      const block = encode([["k", "v".repeat(length), false]]);
      const decoded = new HpackDecoder({ maxListBytes: 1 << 20 }).decode(block, 0, block.length);
      expect(decoded.fields[0]?.[1]).lengthOf(length);
    }
  });

  it("writes size updates", () => {
    const target = Buffer.alloc(8);
    expect(target.subarray(0, encodeSizeUpdate(target, 0, 0)).toString("hex")).equal("20");
    expect(target.subarray(0, encodeSizeUpdate(target, 0, 4096)).toString("hex")).equal("3fe11f");
  });
});

describe("the HPACK encoder of a connection", () => {
  const one = (name: string, value: string): [string, string] => [name, value];
  const few = fc.tuple(
    fc.oneof(fc.constantFrom(":path", "grpc-status", "user-agent", "x-id", "x-tenant"), latin1(6)),
    fc.oneof(
      fc.constantFrom("0", "a", "b", "grpc-go/1.76.0", ""),
      latin1(40),
      fc.constantFrom("v".repeat(900)),
    ),
    fc.boolean(),
  );
  /** A block of fields, or a change of the peer's HEADER_TABLE_SIZE. */
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.array(few, { maxLength: 8 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 100, 2000, 4096, 65_536) },
  );

  it("writes what a decoder reads, over many blocks, evictions and sizes of the table", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder({ maxListBytes: 1 << 20 });
        for (const now of steps) {
          if (typeof now === "number") {
            encoder.adopt(now);
            continue;
          }
          const neverIndexed = new Set(now.flatMap(([, , isNever], place) => (isNever ? [place] : [])));
          const fields = now.map(([name, value]) => one(name, value));
          const block = encoder.encode(fields, { neverIndexed });
          const decoded = decoder.decode(block, 0, block.length);
          expect(decoded.fields).deep.equal(fields);
          expect(new Set(decoded.neverIndexed ?? [])).deep.equal(neverIndexed);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("writes a settled block of one octet per field, and the same bytes until the table changes", () => {
    const encoder = new HpackEncoder();
    const fields = [one(":path", "/a.B/C"), one("user-agent", "grpc-go/1.76.0"), one("te", "trailers")];
    const sizes = Array.from({ length: 3 }, () => {
      const { length } = encoder.encode(fields);
      return [length, encoder.isSettled];
    });
    expect(sizes.map(([, isSettled]) => isSettled)).deep.equal([false, false, true]);
    expect(sizes[2]).deep.equal([3, true]);
    const { generation } = encoder;
    encoder.encode([one("x-trace", "1")]);
    expect(encoder.generation, "a field that came once").equal(generation);
    encoder.encode([one("x-trace", "1")]);
    expect(encoder.generation, "a field that entered the table").equal(generation + 1);
  });

  it("lets nothing that comes once push out what repeats", () => {
    const encoder = new HpackEncoder();
    const kept = one("x-kept", "k".repeat(100));
    encoder.encode([kept]);
    encoder.encode([kept]);
    for (let id = 0; id < 1000; id += 1) {
      encoder.encode([one("traceparent", `00-${id}`.padEnd(55, "0"))]);
    }
    expect(encoder.encode([kept])).lengthOf(1);
  });

  it("never enters what must not be indexed, nor what takes much of the table", () => {
    const encoder = new HpackEncoder();
    const fields = [one("authorization", "Bearer secret"), one("x-large", "v".repeat(2000))];
    for (let time = 0; time < 3; time += 1) {
      const block = encoder.encode(fields, { neverIndexed: new Set([0]) });
      expect(block.includes("Bearer secret")).equal(true);
      expect(block.includes("v".repeat(2000))).equal(true);
    }
    expect(encoder.generation).equal(0);
  });

  it("announces a smaller table once, before anything else", () => {
    const encoder = new HpackEncoder();
    encoder.encode([one("a", "b")]);
    encoder.encode([one("a", "b")]);
    encoder.adopt(0);
    encoder.adopt(4096);
    expect([...encoder.encode([one("a", "b")])]).deep.equal([0x20, 0x00, 1, 0x61, 1, 0x62]);
    expect([...encoder.encode([one("a", "b")])]).deep.equal([0, 1, 0x61, 1, 0x62]);
  });
});
