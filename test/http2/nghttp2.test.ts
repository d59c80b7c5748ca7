import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { expect } from "chai";
import * as fc from "fast-check";
import { FrameReader } from "../../src/http2/frame-reader.ts";
import {
  headerFramesBytes,
  settingsAckFrame,
  settingsFrame,
  writeHeaderFrames,
} from "../../src/http2/frame-writer.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack-encoder.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/protocol.ts";

type Field = [name: string, value: string];

const nameOf = fc
  .string({
    unit: fc.constantFrom(...Array.from("abcdefghijklmnopqrstuvwxyz0123456789-_.")),
    minLength: 1,
    maxLength: 24,
  })
  .map((name) => `x${name}`);
const valueOf = fc.uint8Array({ maxLength: 120 }).map((bytes) =>
  Buffer.from(bytes.map((byte) => (byte === 0x7f || byte < 0x20 ? 0x61 : byte)))
    .toString("latin1")
    .trim(),
);
const fieldsOf = fc.array(fc.tuple(nameOf, valueOf), { maxLength: 12 });

/** Values of one name that node joins or keeps apart are compared in the raw order of the wire. */
function pairs(raw: readonly string[]): Field[] {
  const found: Field[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    found.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  }
  return found;
}

describe("HPACK against nghttp2 (node:http2)", () => {
  it("decodes what nghttp2 encodes, over many blocks of one connection", async () => {
    const decoder = new HpackDecoder({ maxListBytes: 1 << 20 });
    const decoded: Field[][] = [];
    let wake = (): void => {};
    let ended = 0;
    const server = net.createServer((socket) => {
      const reader = new FrameReader(
        {
          onFrame(type, flags, _id, payloadBytes, buffer, start) {
            if (type === FrameType.HEADERS) {
              expect(flags & Flag.END_HEADERS).equal(Flag.END_HEADERS);
              const from = start + 9 + ((flags & Flag.PRIORITY) === 0 ? 0 : 5);
              decoded.push([...decoder.decode(buffer, from, start + 9 + payloadBytes).fields] as Field[]);
            }
            if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) {
              socket.write(Buffer.concat([settingsFrame([]), settingsAckFrame()]));
            }
          },
          onData: () => {},
          onDataPart: () => {},
        },
        1 << 20,
      );
      let skip = CLIENT_PREFACE.length;
      socket.on("data", (chunk: Buffer) => {
        const taken = Math.min(skip, chunk.length);
        skip -= taken;
        reader.read(chunk, taken);
        wake();
      });
      socket.on("end", () => {
        ended += 1;
        socket.end();
      });
      socket.on("error", () => {});
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const client = http2.connect(`http://127.0.0.1:${port}`);
    client.on("error", () => {});
    try {
      const sent: Field[][] = [];
      for (const fields of fc.sample(fieldsOf, 300)) {
        const headers: Record<string, string | string[]> = { ":path": "/p", ":method": "POST" };
        for (const [name, value] of fields) {
          headers[name] = value;
        }
        sent.push(Object.entries(headers).map(([name, value]) => [name, String(value)]));
        const request = client.request(headers, { endStream: true });
        request.on("error", () => {});
        while (decoded.length < sent.length) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const got = decoded.at(-1)?.filter(([name]) => name !== ":scheme" && name !== ":authority");
        const byName = (left: Field, right: Field): number => (left[0] < right[0] ? -1 : 1);
        expect(got?.sort(byName)).deep.equal(sent.at(-1)?.sort(byName));
        request.close();
      }
      expect(decoded).lengthOf(300);
    } finally {
      client.destroy();
      server.close();
      await once(server, "close");
    }
    expect(ended).at.most(1);
  });

  it("encodes what nghttp2 decodes", async () => {
    const server = http2.createServer({ maxHeaderListPairs: 1000 });
    const received: Field[][] = [];
    let wake = (): void => {};
    server.on("stream", (stream, _headers, _flags, raw: string[]) => {
      received.push(pairs(raw));
      stream.on("error", () => {});
      stream.respond({ ":status": 200 }, { endStream: true });
      wake();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
    socket.resume();
    try {
      socket.write(Buffer.concat([CLIENT_PREFACE, settingsFrame([])]));
      let id = 1;
      const encoder = new HpackEncoder();
      const repeated: Field[] = [];
      for (const extra of fc.sample(fieldsOf, 300)) {
        const fields: Field[] = [
          [":method", "POST"],
          [":scheme", "http"],
          [":path", "/p"],
          [":authority", "a"],
          ...extra,
        ];
        // Half of the fields come again, so that they enter the table and are taken from it.
        fields.push(...repeated.slice(-4));
        repeated.push(...extra.slice(0, 2));
        const neverIndexed = new Set([...fields.keys()].filter((place) => place % 3 === 2));
        const block = encoder.encode(fields, { neverIndexed });
        const frames = Buffer.alloc(headerFramesBytes(block.length));
        writeHeaderFrames(frames, 0, id, block, true);
        socket.write(frames);
        id += 2;
        while (received.length < (id - 1) / 2) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        expect(received.at(-1)).deep.equal(fields);
      }
    } finally {
      socket.destroy();
      server.close();
      await once(server, "close");
    }
  });
});
