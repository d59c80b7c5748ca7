import { expect } from "chai";
import * as fc from "fast-check";
import { Http2ConnectionError } from "../../src/http2/errors.ts";
import { HpackDecoder, type DecodedBlock } from "../../src/http2/hpack-decoder.ts";

const MAX_LIST_BYTES = 256 * 1024;

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}

function newDecoder(maxTableBytes = 4096, maxListBytes = MAX_LIST_BYTES): HpackDecoder {
  return new HpackDecoder({ maxTableBytes, maxListBytes });
}

function decode(decoder: HpackDecoder, block: Buffer): DecodedBlock {
  return decoder.decode(block, 0, block.length);
}

function literal(name: string, value: string, pattern = 0x40): Buffer {
  return Buffer.concat([Buffer.from([pattern]), string(name), string(value)]);
}

function string(text: string): Buffer {
  const length = text.length < 127 ? Buffer.from([text.length]) : longLength(text.length);
  return Buffer.concat([length, Buffer.from(text, "latin1")]);
}

function longLength(length: number): Buffer {
  const bytes = [0x7f];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    bytes.push((rest & 0x7f) | 0x80);
  }
  return Buffer.from([...bytes, rest]);
}

function compressionErrorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).instanceOf(Http2ConnectionError);
    expect((error as Http2ConnectionError).code).equal("Http2.COMPRESSION_ERROR");
    return (error as Http2ConnectionError).message;
  }
  throw new Error("nothing was thrown");
}

describe("HpackDecoder", () => {
  describe("the examples of RFC 7541 Appendix C", () => {
    it("C.2: single representations", () => {
      const decoder = newDecoder();
      const indexed = decode(
        decoder,
        hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"),
      );
      expect(indexed.fields).deep.equal([["custom-key", "custom-header"]]);
      expect(decoder.tableSizeBytes).equal(55);
      expect(decode(decoder, hex("040c 2f73 616d 706c 652f 7061 7468")).fields).deep.equal([
        [":path", "/sample/path"],
      ]);
      const secret = decode(decoder, hex("1008 7061 7373 776f 7264 0673 6563 7265 74"));
      expect(secret.fields).deep.equal([["password", "secret"]]);
      expect([...(secret.neverIndexed ?? [])]).deep.equal([0]);
      expect(decode(decoder, hex("82")).fields).deep.equal([[":method", "GET"]]);
      expect(decoder.tableSizeBytes).equal(55);
    });

    const requests = [
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "www.example.com"],
      ],
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "www.example.com"],
        ["cache-control", "no-cache"],
      ],
      [
        [":method", "GET"],
        [":scheme", "https"],
        [":path", "/index.html"],
        [":authority", "www.example.com"],
        ["custom-key", "custom-value"],
      ],
    ];
    const responses = [
      [
        [":status", "302"],
        ["cache-control", "private"],
        ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
        ["location", "https://www.example.com"],
      ],
      [
        [":status", "307"],
        ["cache-control", "private"],
        ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
        ["location", "https://www.example.com"],
      ],
      [
        [":status", "200"],
        ["cache-control", "private"],
        ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
        ["location", "https://www.example.com"],
        ["content-encoding", "gzip"],
        ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
      ],
    ];
    const cases = [
      {
        name: "C.3: requests without Huffman coding",
        tableBytes: 4096,
        sizes: [57, 110, 164],
        lists: requests,
        blocks: [
          "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
          "8286 84be 5808 6e6f 2d63 6163 6865",
          "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
      },
      {
        name: "C.4: requests with Huffman coding",
        tableBytes: 4096,
        sizes: [57, 110, 164],
        lists: requests,
        blocks: [
          "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
          "8286 84be 5886 a8eb 1064 9cbf",
          "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
      },
      {
        name: "C.5: responses without Huffman coding, with eviction",
        tableBytes: 256,
        sizes: [222, 222, 215],
        lists: responses,
        blocks: [
          `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
           2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
          "4803 3330 37c1 c0bf",
          `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a
           6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d
           6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
        ],
      },
      {
        name: "C.6: responses with Huffman coding, with eviction",
        tableBytes: 256,
        sizes: [222, 222, 215],
        lists: responses,
        blocks: [
          `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
           29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
          "4883 640e ffc1 c0bf",
          `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
           d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
           3d50 07`,
        ],
      },
    ];
    for (const { name, tableBytes, sizes, lists, blocks } of cases) {
      it(name, () => {
        const decoder = newDecoder(tableBytes);
        for (const [place, block] of blocks.entries()) {
          expect(decode(decoder, hex(block)).fields).deep.equal(lists[place]);
          expect(decoder.tableSizeBytes).equal(sizes[place]);
        }
      });
    }
  });

  describe("what RFC 7541 calls a decoding error", () => {
    const blocks: readonly (readonly [name: string, block: Buffer])[] = [
      ["index 0", hex("80")],
      ["an index beyond both tables", hex("be")],
      ["a name index beyond both tables", hex("7e 01 61")],
      ["an integer that never ends", hex("ff ff ff ff ff ff ff ff ff ff 01")],
      ["an integer over 28 bits", hex("ff ff ff ff ff 7f")],
      ["an integer cut off", hex("ff ff")],
      ["a string that reaches beyond the block", hex("40 0a 61")],
      ["a block that ends behind the name", hex("40 01 61")],
      ["a size update above what was announced", hex("3f e2 1f")],
      ["a size update behind a field", hex("82 20")],
      ["three size updates", hex("20 20 20 82")],
      ["Huffman padding of zeros", hex("00 01 61 81 18")],
      ["Huffman padding of eight bits", hex("00 01 61 82 1f ff")],
      ["the end-of-string symbol", hex("00 01 61 84 ff ff ff ff")],
    ];
    for (const [name, block] of blocks) {
      it(`rejects ${name}`, () => {
        expect(compressionErrorOf(() => decode(newDecoder(), block))).not.equal("");
      });
    }

    it("takes a size update to exactly what was announced", () => {
      expect(decode(newDecoder(), hex("3f e1 1f 82")).fields).deep.equal([[":method", "GET"]]);
    });
  });

  it("decodes every byte value from Huffman code as nghttp2 encodes it", () => {
    // '!' has the ten-bit code 1111111000; six one-bits of padding follow.
    expect(decode(newDecoder(), hex("00 01 61 82 fe 3f")).fields).deep.equal([["a", "!"]]);
  });

  it("evicts on a size update, and forgets all on a size update to 0", () => {
    const decoder = newDecoder();
    decode(decoder, Buffer.concat([literal("a", "1"), literal("b", "2"), literal("c", "3")]));
    expect(decoder.tableSizeBytes).equal(102);
    expect(decode(decoder, hex("3f 25 be bf")).fields).deep.equal([
      ["c", "3"],
      ["b", "2"],
    ]);
    decode(decoder, hex("20 82"));
    expect(decoder.tableSizeBytes).equal(0);
    compressionErrorOf(() => decode(decoder, hex("be")));
  });

  it("empties the table for a field that is larger than it, without an error (§4.4)", () => {
    const decoder = newDecoder();
    decode(decoder, literal("a", "1"));
    expect(decode(decoder, literal("b", "x".repeat(5000))).fields).deep.equal([["b", "x".repeat(5000)]]);
    expect(decoder.tableSizeBytes).equal(0);
  });

  it("keeps the table in step while a list is over its bound, and keeps no more than the bound", () => {
    const decoder = newDecoder(4096, 1000);
    const bomb = Buffer.concat([
      literal("k", "v".repeat(900)),
      Buffer.alloc(10_000, 0xbe),
      literal("z", "9"),
    ]);
    const block = decode(decoder, bomb);
    expect(block.tooLarge).equal(true);
    expect(block.fields).lengthOf(1);
    expect(decode(decoder, hex("be")).fields).deep.equal([["z", "9"]]);
  });

  it("changes its generation with the table and only then", () => {
    const decoder = newDecoder();
    const start = decoder.generation;
    decode(decoder, hex("82"));
    expect(decoder.generation).equal(start);
    decode(decoder, literal("a", "1"));
    const inserted = decoder.generation;
    expect(inserted).greaterThan(start);
    decode(decoder, hex("be"));
    expect(decoder.generation).equal(inserted);
    decode(decoder, hex("20"));
    expect(decoder.generation).greaterThan(inserted);
  });

  it("answers any bytes with fields or COMPRESSION_ERROR, and stays within its bounds", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 6 }), (blocks) => {
        const decoder = newDecoder(4096, 4096);
        try {
          for (const bytes of blocks) {
            const { fields } = decode(decoder, Buffer.from(bytes));
            expect(fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0)).at.most(
              4096,
            );
            expect(decoder.tableSizeBytes).at.most(4096);
          }
        } catch (error) {
          expect((error as Http2ConnectionError).code).equal("Http2.COMPRESSION_ERROR");
        }
      }),
      { numRuns: 2000 },
    );
  });
});
