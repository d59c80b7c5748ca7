import { once } from "node:events";
import { connect, createServer, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, connect as connectTcp } from "node:net";
import { expect } from "chai";
import { array, assert, nat, property } from "fast-check";
import { encodeFields, HeaderInjector } from "../../../src/cli/proxy/header-injector.ts";
import { CLIENT_PREFACE as PREFACE } from "../../../src/http2/protocol.ts";
import { frame } from "../../router/relay/support/peer.ts";

const FIELDS = [
  ["satellite-name", "ada"],
  ["authorization", `Bearer ${"t".repeat(900)}`],
] as const;
const BLOCK = encodeFields(FIELDS);
const HEADERS = 1;
const CONTINUATION = 9;
const DATA = 0;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;

const through = (bytes: Buffer, cuts: readonly number[] = [], block = BLOCK): Buffer => {
  const injector = new HeaderInjector();
  const ends = [...cuts, bytes.length].toSorted((left, right) => left - right);
  let at = 0;
  return Buffer.concat(
    ends.flatMap((end) => {
      const chunk = bytes.subarray(at, end);
      at = end;
      return injector.push(chunk, block);
    }),
  );
};

describe("header fields that are added to requests", () => {
  const request = Buffer.from("block of a request");
  const trailers = Buffer.from("block of trailers");

  it("stand behind the request's own, and nothing else changes", () => {
    const rest = [
      frame(4, 0, 0, Buffer.alloc(6)),
      frame(DATA, 0, 1, Buffer.from("PRI * HTTP/2.0 in the middle of a body")),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
    ];
    const [settings = PREFACE, ...others] = rest;
    const sent = Buffer.concat([PREFACE, settings, frame(HEADERS, END_HEADERS, 1, request), ...others]);
    const expected = Buffer.concat([
      PREFACE,
      settings,
      frame(HEADERS, END_HEADERS, 1, Buffer.concat([request, BLOCK])),
      ...others,
    ]);
    expect(through(sent).equals(expected)).to.equal(true);
  });

  it("come in a CONTINUATION where padding follows the block, or the frame has no room", () => {
    for (const [flags, payload] of [
      [END_HEADERS | PADDED, Buffer.from("\u0002block\0\0")],
      [END_HEADERS, Buffer.alloc(16_384 - 10, 7)],
    ] as const) {
      const expected = Buffer.concat([
        PREFACE,
        frame(HEADERS, flags & ~END_HEADERS, 1, payload),
        frame(CONTINUATION, END_HEADERS, 1, BLOCK),
      ]);
      expect(through(Buffer.concat([PREFACE, frame(HEADERS, flags, 1, payload)])).equals(expected)).to.equal(
        true,
      );
    }
  });

  it("fill several CONTINUATION frames where one may not hold them", () => {
    const large = Buffer.alloc(40_000, 1);
    const expected = Buffer.concat([
      PREFACE,
      frame(HEADERS, 0, 1, request),
      frame(CONTINUATION, 0, 1, large.subarray(0, 16_384)),
      frame(CONTINUATION, 0, 1, large.subarray(16_384, 32_768)),
      frame(CONTINUATION, END_HEADERS, 1, large.subarray(32_768)),
    ]);
    const sent = Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS, 1, request)]);
    expect(through(sent, [], large).equals(expected)).to.equal(true);
  });

  it("stand behind the last CONTINUATION of a request, and not of trailers", () => {
    const sent = Buffer.concat([
      PREFACE,
      frame(HEADERS, 0, 1, request),
      frame(CONTINUATION, END_HEADERS, 1, request),
      frame(HEADERS, END_STREAM, 1, trailers),
      frame(CONTINUATION, END_HEADERS, 1, trailers),
      frame(HEADERS, END_HEADERS, 3, Buffer.alloc(0)),
    ]);
    const expected = Buffer.concat([
      PREFACE,
      frame(HEADERS, 0, 1, request),
      frame(CONTINUATION, END_HEADERS, 1, Buffer.concat([request, BLOCK])),
      frame(HEADERS, END_STREAM, 1, trailers),
      frame(CONTINUATION, END_HEADERS, 1, trailers),
      frame(HEADERS, END_HEADERS, 3, BLOCK),
    ]);
    expect(through(sent).equals(expected)).to.equal(true);
  });

  it("come out the same wherever the bytes are cut", () => {
    const sent = Buffer.concat([
      PREFACE,
      frame(HEADERS, END_HEADERS, 1, request),
      frame(DATA, 0, 1, Buffer.alloc(50, 3)),
      frame(HEADERS, END_HEADERS | PADDED, 3, Buffer.from("\u0001block\0")),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
    ]);
    const whole = through(sent);
    for (let cut = 0; cut <= sent.length; cut += 1) {
      expect(through(sent, [cut]).equals(whole), `cut at ${cut}`).to.equal(true);
    }
    assert(property(array(nat(sent.length)), (cuts) => through(sent, cuts).equals(whole)));
  });

  it("are waited for by a request alone: what came before has gone on, and nothing behind it does", () => {
    const before = Buffer.concat([
      PREFACE,
      frame(HEADERS, END_HEADERS, 1, request),
      frame(DATA, 0, 1, Buffer.from("a")),
    ]);
    const behind = Buffer.concat([
      frame(HEADERS, 0, 3, request),
      frame(CONTINUATION, END_HEADERS, 3, request),
      frame(DATA, 0, 1, Buffer.from("b")),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
    ]);
    const whole = through(Buffer.concat([before, behind]));
    for (let cut = 0; cut <= behind.length; cut += 1) {
      const injector = new HeaderInjector();
      const out = injector.push(before, BLOCK);
      out.push(...injector.push(frame(DATA, 0, 1, Buffer.from("a")), undefined));
      expect(injector.wantsFields).to.equal(false);
      out.push(...injector.push(behind.subarray(0, cut), undefined));
      const early = Buffer.concat(out).length;
      out.push(...injector.push(behind.subarray(cut), undefined));
      expect(injector.wantsFields).to.equal(true);
      expect(Buffer.concat(out).length).to.be.within(
        early,
        before.length + BLOCK.length + 10 + 9 + request.length,
      );
      out.push(...injector.push(Buffer.alloc(0), BLOCK));
      const [first, more] = [through(before), frame(DATA, 0, 1, Buffer.from("a"))];
      expect(
        Buffer.concat(out).equals(Buffer.concat([first, more, whole.subarray(first.length)])),
        `cut at ${cut}`,
      ).to.equal(true);
    }
  });

  it("are read by an HTTP/2 server, request after request, with compressed fields of the client's own", async () => {
    const seen: unknown[] = [];
    const server = createServer((incoming, response) => {
      seen.push([
        incoming.headers["satellite-name"],
        incoming.headers.authorization,
        incoming.headers["x-own"],
      ]);
      response.end();
    });
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session) => sessions.push(session));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = createTcpServer((socket) => {
      const target = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
      const injector = new HeaderInjector();
      target.on("error", () => {});
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => {
        for (const bytes of injector.push(chunk, BLOCK)) {
          target.write(bytes);
        }
      });
      target.pipe(socket);
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const client = connect(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    try {
      for (const own of ["one", "one", "two"]) {
        const stream = client.request({ ":path": "/", "x-own": own });
        stream.resume();
        await once(stream, "end");
      }
      const added = FIELDS.map(([, value]) => value);
      expect(seen).to.deep.equal([
        [...added, "one"],
        [...added, "one"],
        [...added, "two"],
      ]);
    } finally {
      client.destroy();
      for (const session of sessions) {
        session.destroy();
      }
      proxy.close();
      server.close();
    }
  });
});
