import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import * as fc from "fast-check";
import { Rig } from "./support/rig.ts";

/** What one call does, on both ends. */
interface Script {
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** Sizes of the client's messages, and of the server's. */
  readonly requests: readonly number[];
  readonly responses: readonly number[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** Answer with trailers only, without messages. */
  readonly isTrailersOnly: boolean;
  /** Reset by the server instead of trailers. */
  readonly resetWith: number | undefined;
  readonly status: number;
  /** The server answers while the client still sends, as in a stream both ways. */
  readonly isEager: boolean;
}

/** What one end has seen of one call. */
interface Seen {
  readonly headers: readonly (readonly [string, string])[];
  readonly messages: readonly string[];
  readonly trailers: readonly (readonly [string, string])[];
  readonly end: string;
}

const text = fc
  .string({ unit: fc.constantFrom(...Array.from("abc XYZ 019-_,;=%~!")), maxLength: 40 })
  .map((drawn) => drawn.trim());
/** Short text, or binary metadata that fills more than one frame together. */
const value = fc.oneof(
  { weight: 9, arbitrary: text },
  {
    weight: 1,
    arbitrary: fc.nat(4000).map((sizeBytes) => Buffer.alloc(sizeBytes, 0xa7).toString("base64")),
  },
);
const metadata = fc.array(
  fc.tuple(fc.constantFrom("x-a", "x-b", "x-long-name-of-a-header", "trace-bin", "user-agent"), value),
  { maxLength: 8 },
);
const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(40_000), fc.constantFrom(16_379, 16_384, 65_535)), {
  maxLength: 5,
});
const script: fc.Arbitrary<Script> = fc.record({
  metadata,
  requests: sizes,
  responses: sizes,
  trailers: metadata,
  isTrailersOnly: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
  resetWith: fc
    .integer({ min: 0, max: 9 })
    .map((roll) => (roll === 0 ? http2.constants.NGHTTP2_INTERNAL_ERROR : undefined)),
  status: fc.nat(16),
  isEager: fc.boolean(),
});

/** Conversations of up to eight calls at once: `CONVERSATIONS=5000 mocha test/router/relay/differential.test.ts`. */
const CONVERSATIONS = Number(process.env["CONVERSATIONS"] ?? 150);
const MS_PER_CONVERSATION = 500;

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_unused, place) => [
    raw[place * 2] ?? "",
    raw[place * 2 + 1] ?? "",
  ]);
}

function flat(fields: readonly (readonly [string, string])[]): string[] {
  return fields.flat();
}

/** A length-prefixed gRPC message whose content tells its place. */
function message(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(5 + sizeBytes, seed & 0xff);
  bytes[0] = 0;
  bytes.writeUInt32BE(sizeBytes, 1);
  return bytes;
}

/** Cuts a body into gRPC messages. */
function messagesIn(body: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at + 5 <= body.length;) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    found.push(body.toString("base64", at, end));
    at = end;
  }
  return found;
}

/** A server that does what each call's script says, and notes what it saw under the call's number. */
class ScriptedServer {
  readonly #server = http2.createServer({ maxHeaderListPairs: 1000, strictSingleValueFields: false });
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  scripts: readonly Script[] = [];
  readonly seen = new Map<number, Seen>();

  async listen(): Promise<number> {
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
    });
    this.#server.on("stream", (stream, headers, _flags, raw: string[]) => {
      void this.#serve(stream, Number(headers["x-call"]), pairs(raw));
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  async #serve(stream: http2.ServerHttp2Stream, call: number, headers: [string, string][]): Promise<void> {
    stream.on("error", () => {});
    let trailers: [string, string][] = [];
    stream.on("trailers", (_headers, _flags, raw: string[]) => {
      trailers = pairs(raw);
    });
    const todo = this.scripts[call]!;
    const read = async (): Promise<void> => {
      const body: Buffer[] = [];
      for await (const part of stream) {
        body.push(part as Buffer);
      }
      this.seen.set(call, { headers, messages: messagesIn(Buffer.concat(body)), trailers, end: "end" });
    };
    if (todo.isEager) {
      await this.#answer(stream, todo, read);
    } else {
      await read();
      await this.#answer(stream, todo, () => Promise.resolve());
    }
  }

  /** @param beforeEnd awaited between the first half of the messages and the rest */
  async #answer(
    stream: http2.ServerHttp2Stream,
    todo: Script,
    beforeEnd: () => Promise<void>,
  ): Promise<void> {
    const last = ["grpc-status", String(todo.status), ...flat(todo.trailers)];
    const first = [":status", "200", "content-type", "application/grpc"];
    if (todo.isTrailersOnly) {
      await beforeEnd();
      stream.respond([...first, ...last], { endStream: true });
      return;
    }
    stream.respond(first, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      if (todo.resetWith === undefined) {
        stream.sendTrailers(grouped(last));
      } else {
        stream.close(todo.resetWith);
      }
    });
    const half = todo.responses.length >> 1;
    for (const [place, sizeBytes] of todo.responses.entries()) {
      if (place === half) {
        await beforeEnd();
      }
      stream.write(message(sizeBytes, place + 7));
    }
    if (todo.responses.length === 0) {
      await beforeEnd();
    }
    stream.end();
  }

  close(): void {
    for (const session of this.#sessions) {
      session.destroy();
    }
    this.#server.close();
  }
}

/** sendTrailers takes no raw list; values of one name stay apart in an array. */
function grouped(raw: readonly string[]): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [name, one] of pairs(raw)) {
    (fields[name] ??= []).push(one);
  }
  return fields;
}

/** Repeated names are what is tested here. */
const CLIENT_OPTIONS: http2.ClientSessionOptions & { readonly strictSingleValueFields: boolean } = {
  strictSingleValueFields: false,
};

/** Makes all calls at once over one connection and notes what the client sees. */
async function traffic(port: number, scripts: readonly Script[]): Promise<Seen[]> {
  const session = http2.connect(`http://127.0.0.1:${port}`, CLIENT_OPTIONS);
  session.on("error", () => {});
  try {
    return await Promise.all(scripts.map((todo, call) => oneCall(session, todo, call)));
  } finally {
    session.destroy();
  }
}

async function oneCall(session: http2.ClientHttp2Session, todo: Script, call: number): Promise<Seen> {
  const stream = session.request(
    flat([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/t.T/Call"],
      [":authority", "a.b.example"],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["x-call", String(call)],
      ...todo.metadata,
    ]),
  );
  let headers: [string, string][] = [];
  let trailers: [string, string][] = [];
  const body: Buffer[] = [];
  stream.on("response", (_headers, _flags, raw: string[]) => {
    headers = pairs(raw);
  });
  stream.on("trailers", (_headers, _flags, raw: string[]) => {
    trailers = pairs(raw);
  });
  stream.on("data", (part: Buffer) => body.push(part));
  stream.on("error", () => {});
  for (const [place, sizeBytes] of todo.requests.entries()) {
    stream.write(message(sizeBytes, place));
  }
  stream.end();
  await new Promise<void>((resolve) => {
    stream.once("close", () => resolve());
  });
  const isReset = stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR;
  return {
    headers: headers.filter(([name]) => name !== "date"),
    messages: isReset ? [] : messagesIn(Buffer.concat(body)),
    trailers,
    end: `reset ${stream.rstCode}`,
  };
}

describe("relay against no router at all", function () {
  this.timeout(Math.max(120_000, CONVERSATIONS * MS_PER_CONVERSATION));

  it("delivers the same calls: header by header, message by message, trailer by trailer", async () => {
    const server = new ScriptedServer();
    const rig = await new Rig().start();
    rig.upstream = { ...rig.upstream, port: await server.listen() };
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.array(script, { minLength: 1, maxLength: 8 }),
          fc.boolean(),
          async (scripts, isHeld) => {
            server.scripts = scripts;
            server.seen.clear();
            const direct = await traffic(rig.upstream.port, scripts);
            const directlySeen = new Map(server.seen);
            server.seen.clear();
            const before = rig.gate.released;
            rig.gate.questions.length = 0;
            rig.gate.answer = isHeld ? undefined : () => rig.gate.forward(rig.upstream);
            const through = traffic(rig.port, scripts);
            if (isHeld) {
              await rig.gate.question(scripts.length - 1);
              for (const question of rig.gate.questions) {
                question.settle(rig.gate.forward(rig.upstream));
              }
            }
            expect(await through).deep.equal(direct);
            expect(server.seen).deep.equal(directlySeen);
            await rig.gate.until(() => rig.gate.released === before + scripts.length);
          },
        ),
        { numRuns: CONVERSATIONS },
      );
    } finally {
      server.close();
      await rig.stop();
    }
  });
});
