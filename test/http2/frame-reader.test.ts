import { expect } from "chai";
import * as fc from "fast-check";
import { Http2ConnectionError } from "../../src/http2/errors.ts";
import { FrameReader, type FrameSink } from "../../src/http2/frame-reader.ts";
import { settingsFrame, writeFrameHeader, writeHeaderFrames } from "../../src/http2/frame-writer.ts";
import { Flag, FrameType, Setting } from "../../src/http2/protocol.ts";

interface Seen {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly bytes: string;
}

/** Collects frames; the parts of a DATA frame are put together again. */
class Collector implements FrameSink {
  readonly frames: Seen[] = [];

  onFrame(
    type: number,
    flags: number,
    id: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    this.frames.push({ type, flags, id, bytes: buffer.toString("hex", start + 9, start + 9 + payloadBytes) });
  }

  onData(flags: number, id: number, _payloadBytes: number, buffer: Buffer, start: number, end: number): void {
    this.frames.push({ type: FrameType.DATA, flags, id, bytes: buffer.toString("hex", start + 9, end) });
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    const last = this.frames.pop();
    if (last === undefined) {
      throw new Error("a part of no frame");
    }
    this.frames.push({ ...last, bytes: last.bytes + buffer.toString("hex", start, end) });
  }
}

function frame({ type, flags, id, bytes }: Seen): Buffer {
  const payload = Buffer.from(bytes, "hex");
  const header = Buffer.alloc(9);
  writeFrameHeader(header, 0, payload.length, type, flags, id);
  return Buffer.concat([header, payload]);
}

function newReader(sink: FrameSink): FrameReader {
  return new FrameReader(sink);
}

const anyFrame: fc.Arbitrary<Seen> = fc.record({
  type: fc.nat(12),
  flags: fc.nat(255),
  id: fc.nat(0x7fff_ffff),
  bytes: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("hex")),
});

describe("FrameReader", () => {
  it("cuts the same frames however the bytes come in pieces", () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (frames, cuts) => {
          const sink = new Collector();
          const reader = newReader(sink);
          const bytes = Buffer.concat(frames.map(frame));
          let at = 0;
          for (let turn = 0; at < bytes.length; turn += 1) {
            const size = cuts[turn % cuts.length] ?? 1;
            reader.read(Buffer.from(bytes.subarray(at, at + size)));
            at += size;
          }
          expect(sink.frames).deep.equal(frames);
          expect(reader.isMidFrame).equal(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("hands DATA on before it is whole, and is at no boundary meanwhile", () => {
    const sink = new Collector();
    const reader = newReader(sink);
    const bytes = frame({ type: FrameType.DATA, flags: 0, id: 1, bytes: "00".repeat(100) });
    reader.read(bytes.subarray(0, 50));
    expect(sink.frames[0]?.bytes).lengthOf(82);
    expect(reader.atBoundary).equal(false);
    reader.read(bytes.subarray(50));
    expect(reader.atBoundary).equal(true);
  });

  it("is at a boundary while a frame that it keeps back is incomplete", () => {
    const reader = newReader(new Collector());
    reader.read(Buffer.from([0, 0, 8, FrameType.PING]));
    expect(reader.atBoundary).equal(true);
    expect(reader.isMidFrame).equal(true);
  });

  for (const type of [FrameType.DATA, FrameType.HEADERS]) {
    it(`rejects a frame of type ${type} over the size limit as soon as its header is there`, () => {
      const header = Buffer.alloc(9);
      writeFrameHeader(header, 0, 16_385, type, 0, 1);
      expect(() => newReader(new Collector()).read(header)).throw(Http2ConnectionError, "16385");
    });
  }

  it("hands nothing on once stopped, even within a chunk", () => {
    const sink = new Collector();
    const reader = newReader({
      onFrame: (...all) => {
        sink.onFrame(...all);
        reader.stop();
      },
      onData: () => {},
      onDataPart: () => {},
    });
    reader.read(Buffer.concat([settingsFrame([]), settingsFrame([]), settingsFrame([]).subarray(0, 4)]));
    expect(sink.frames).lengthOf(1);
  });
});

describe("the frame writer", () => {
  it("writes what the reader reads", () => {
    const sink = new Collector();
    newReader(sink).read(settingsFrame([[Setting.MAX_CONCURRENT_STREAMS, 0x7fff_ffff]]));
    expect(sink.frames).deep.equal([{ type: FrameType.SETTINGS, flags: 0, id: 0, bytes: "00037fffffff" }]);
  });

  it("splits a long header block into HEADERS and CONTINUATION", () => {
    const sink = new Collector();
    const reader = new FrameReader(sink);
    const block = Buffer.alloc(40_000, 0x61);
    const target = Buffer.alloc(40_100);
    reader.read(target.subarray(0, writeHeaderFrames(target, 0, 7, block, true)));
    expect(sink.frames.map(({ type, flags, bytes }) => [type, flags, bytes.length / 2])).deep.equal([
      [FrameType.HEADERS, Flag.END_STREAM, 16_384],
      [FrameType.CONTINUATION, 0, 16_384],
      [FrameType.CONTINUATION, Flag.END_HEADERS, 7232],
    ]);
  });
});
