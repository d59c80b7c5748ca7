import { once } from "node:events";
import net from "node:net";
import { expect } from "chai";
import { settingsFrame, type SettingEntry } from "../../../src/http2/frame-writer.ts";
import {
  CLIENT_PREFACE,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  MAX_31_BIT,
  Setting,
} from "../../../src/http2/protocol.ts";
import type { Rate } from "../../../src/router/rate-limit.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { connectRaw, data, frame, headers, request, trailersOnly, u32, type Peer } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

/** How often the router looks after what takes too long. */
const SWEEP_MS = 1000;

const few: Rate = { burst: 10, perSecond: 1 };

describe("relay: bounds", () => {
  let rig: Rig;
  let clock: VirtualClock;

  beforeEach(async () => {
    clock = new VirtualClock();
    rig = await new Rig({
      clock,
      limits: { settingsRate: few, pingRate: few, emptyDataRate: few, resetRate: few, droppedRate: few },
    }).start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  async function open(settings: readonly SettingEntry[] = []): Promise<Peer> {
    return rig.track(await connectRaw(rig.port, settings));
  }

  /**
   * Lets time pass, and everything arrive that the router sent meanwhile: `witness` is a connection of its own whose
   * answers come behind it.
   */
  async function pass(ms: number, witness: Peer): Promise<void> {
    await clock.advance(ms);
    await witness.roundTrip();
    await witness.roundTrip();
  }

  async function call(settings: readonly SettingEntry[] = []): Promise<{ client: Peer; vm: Peer }> {
    const client = await open(settings);
    client.send(request(1));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    return { client, vm };
  }

  async function expectGoAway(client: Peer, errorCode: number, closes = true): Promise<void> {
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(errorCode);
    if (closes) {
      await client.closed;
    }
  }

  /** The machine's fault ends the machine's streams; the client keeps its connection. */
  async function expectLost(client: Peer): Promise<void> {
    const answer = await client.headers(1);
    expect(answer.get("grpc-status")).equal("14");
    expect(answer.get("satellite-reason")).equal("ConnectionLost");
    await expectKept(client);
  }

  async function expectKept(client: Peer): Promise<void> {
    await client.roundTrip();
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
  }

  describe("protocol errors end the connection with the code of RFC 9113", () => {
    const cases: readonly (readonly [name: string, code: number, frames: Uint8Array[]])[] = [
      ["HEADERS on an even stream", ErrorCode.PROTOCOL_ERROR, [request(2)]],
      ["HEADERS on stream 0", ErrorCode.PROTOCOL_ERROR, [request(0)]],
      ["DATA on an idle stream", ErrorCode.PROTOCOL_ERROR, [data(7, "x")]],
      ["DATA on stream 0", ErrorCode.PROTOCOL_ERROR, [data(0, "x")]],
      [
        "WINDOW_UPDATE on an idle stream",
        ErrorCode.PROTOCOL_ERROR,
        [frame(FrameType.WINDOW_UPDATE, 0, 7, u32(1))],
      ],
      ["RST_STREAM on an idle stream", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.RST_STREAM, 0, 7, u32(1))]],
      [
        "RST_STREAM of a wrong length",
        ErrorCode.FRAME_SIZE_ERROR,
        [frame(FrameType.RST_STREAM, 0, 1, u32(1, 2))],
      ],
      ["WINDOW_UPDATE of zero", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.WINDOW_UPDATE, 0, 0, u32(0))]],
      [
        "a connection window over 2^31-1",
        ErrorCode.FLOW_CONTROL_ERROR,
        [frame(FrameType.WINDOW_UPDATE, 0, 0, u32(0x7fff_ffff))],
      ],
      ["PING of a wrong length", ErrorCode.FRAME_SIZE_ERROR, [frame(FrameType.PING, 0, 0, Buffer.alloc(7))]],
      ["PING on a stream", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.PING, 0, 1, Buffer.alloc(8))]],
      ["SETTINGS on a stream", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.SETTINGS, 0, 1)]],
      [
        "SETTINGS of a wrong length",
        ErrorCode.FRAME_SIZE_ERROR,
        [frame(FrameType.SETTINGS, 0, 0, Buffer.alloc(5))],
      ],
      [
        "an acknowledgement with content",
        ErrorCode.FRAME_SIZE_ERROR,
        [frame(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(6))],
      ],
      ["PUSH_PROMISE", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.PUSH_PROMISE, 0, 1, u32(2))]],
      ["CONTINUATION without HEADERS", ErrorCode.PROTOCOL_ERROR, [frame(FrameType.CONTINUATION, 0, 1)]],
      [
        "a PING within a header block",
        ErrorCode.PROTOCOL_ERROR,
        [frame(FrameType.HEADERS, 0, 1), frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
      ],
      [
        "CONTINUATION of another stream",
        ErrorCode.PROTOCOL_ERROR,
        [frame(FrameType.HEADERS, 0, 1), frame(FrameType.CONTINUATION, 0, 3)],
      ],
      [
        "HEADERS with more padding than content",
        ErrorCode.PROTOCOL_ERROR,
        [frame(FrameType.HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, Buffer.from([9, 0x82]))],
      ],
      [
        "a broken header block",
        ErrorCode.COMPRESSION_ERROR,
        [frame(FrameType.HEADERS, Flag.END_HEADERS, 1, u32(0xffff_ffff))],
      ],
      ["GOAWAY that is too short", ErrorCode.FRAME_SIZE_ERROR, [frame(FrameType.GOAWAY, 0, 0, u32(0))]],
      ["PRIORITY of a wrong length", ErrorCode.FRAME_SIZE_ERROR, [frame(FrameType.PRIORITY, 0, 1, u32(0))]],
    ];
    for (const [name, code, frames] of cases) {
      it(name, async () => {
        const client = await open();
        client.send(...frames);
        await expectGoAway(client, code);
      });
    }

    it("DATA behind the end of a held request", async () => {
      rig.gate.answer = undefined;
      const client = await open();
      client.send(request(1, {}, true), data(1, "x"));
      await expectGoAway(client, ErrorCode.STREAM_CLOSED);
    });
  });

  it("HEADERS and DATA behind the end of a stream that is over", async () => {
    for (const ending of [data(1, "", true), frame(FrameType.RST_STREAM, 0, 1, u32(8))]) {
      for (const late of [data(1, "x"), headers(1, { "x-late": "1" }, true)]) {
        const { client, vm } = await call();
        vm.send(trailersOnly(1));
        await client.headers(1);
        client.send(ending, late);
        await expectGoAway(client, ErrorCode.STREAM_CLOSED);
      }
    }
  });

  it("HEADERS behind the end of a held request reset it alone, whatever they hold", async () => {
    rig.gate.answer = undefined;
    const client = await open();
    client.send(request(1, {}, true), request(1, {}, true));
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
      ErrorCode.STREAM_CLOSED,
    );
    expect((await rig.gate.question(0)).signal.aborted).equal(true);
    await client.roundTrip();
  });

  it("HEADERS behind the end of a request that is not over reset it alone", async () => {
    const { client, vm } = await call();
    client.send(data(1, "", true), headers(1, { "x-late": "1" }, true));
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
      ErrorCode.STREAM_CLOSED,
    );
    expect((await vm.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(ErrorCode.STREAM_CLOSED);
    expect(rig.gate.released).equal(1);
  });

  it("a request that depends on itself is reset alone", async () => {
    const client = await open();
    const encoded = request(1).subarray(9);
    client.send(
      frame(
        FrameType.HEADERS,
        Flag.END_HEADERS | Flag.PRIORITY,
        1,
        Buffer.concat([u32(1), Buffer.alloc(1), encoded]),
      ),
    );
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
      ErrorCode.PROTOCOL_ERROR,
    );
    await client.roundTrip();
  });

  it("a header block over 1 MiB", async () => {
    const client = await open();
    const part = (type: number): Buffer => frame(type, 0, 1, Buffer.alloc(16_384));
    client.send(part(FrameType.HEADERS), ...Array.from({ length: 64 }, () => part(FrameType.CONTINUATION)));
    await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM);
  });

  it("a request with more metadata than is advertised, alone", async () => {
    const { client, vm } = await call();
    // 32 bytes of each field count for its bookkeeping, and none of them is on the wire.
    const LARGE = Object.fromEntries(
      Array.from({ length: 33_000 }, (_unused, place) => [place.toString(36), ""]),
    );
    client.send(request(3, LARGE, true), request(5, {}, true));
    const refused = await client.headers(3);
    expect(refused.get("grpc-status")).equal("8");
    expect(refused.get("satellite-reason")).equal("MetadataTooLarge");
    await vm.headers(3);
    client.send(data(1, "x", true));
    vm.send(trailersOnly(1), trailersOnly(3));
    await client.headers(1);
    expect((await client.headers(5)).get("grpc-status")).equal("0");
  });

  it("more than 64 CONTINUATION frames, even empty ones", async () => {
    const client = await open();
    const empty = frame(FrameType.CONTINUATION, 0, 1);
    client.send(frame(FrameType.HEADERS, 0, 1), ...Array.from({ length: 65 }, () => empty));
    await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM);
  });

  const floods: readonly (readonly [name: string, flood: (turn: number) => Buffer])[] = [
    ["SETTINGS", () => settingsFrame([])],
    ["PING", () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
    ["empty DATA", () => data(1, "")],
    ["PRIORITY", () => frame(FrameType.PRIORITY, 0, 9, Buffer.alloc(5))],
    ["unknown frames", () => frame(0x42, 0, 0)],
    [
      "rapid resets",
      (turn) => Buffer.concat([request(3 + 2 * turn), frame(FrameType.RST_STREAM, 0, 3 + 2 * turn, u32(8))]),
    ],
  ];
  for (const [name, flood] of floods) {
    it(`a flood of ${name} from the client`, async () => {
      const { client } = await call();
      client.send(...Array.from({ length: 12 }, (_unused, turn) => flood(turn)));
      await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM);
    });

    if (name !== "rapid resets") {
      it(`a flood of ${name} from the machine`, async () => {
        const { client, vm } = await call();
        vm.send(headers(1, { ":status": "200" }));
        expect((await client.headers(1)).get(":status")).equal("200");
        vm.send(...Array.from({ length: 12 }, (_unused, turn) => flood(turn)));
        await vm.closed;
        await expectLost(client);
        expect(rig.gate.failures[0]?.error).have.property("code", "Http2.ENHANCE_YOUR_CALM");
      });
    }
  }

  it("requests in error, which the router must reset (MadeYouReset)", async () => {
    const client = await open();
    for (let id = 1; id <= 41; id += 2) {
      client.send(headers(id, { ":method": "POST" }, true));
    }
    await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM);
  });

  it("window updates of nothing, for which the router must reset", async () => {
    const { client, vm } = await call();
    for (let count = 0; count < 20; count += 1) {
      client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, u32(0)));
    }
    for (const end of [client, vm]) {
      expect((await end.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
        ErrorCode.PROTOCOL_ERROR,
      );
    }
    await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM);
  });

  it("a request with an id that was passed over", async () => {
    const client = await open();
    client.send(request(5), request(3));
    await expectGoAway(client, ErrorCode.PROTOCOL_ERROR);
  });

  it("a flood of resets from the machine", async () => {
    const { client, vm } = await call();
    vm.send(...Array.from({ length: 12 }, () => frame(FrameType.RST_STREAM, 0, 1, u32(8))));
    await vm.closed;
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(ErrorCode.CANCEL);
    expect(rig.gate.failures[0]?.error).have.property("code", "Http2.ENHANCE_YOUR_CALM");
    await expectKept(client);
  });

  const blocks: readonly (readonly [what: string, continuations: number, sizeBytes: number])[] = [
    ["over 1 MiB", 64, 16_384],
    ["of more than 64 CONTINUATION frames, even empty ones", 65, 0],
  ];
  for (const [what, continuations, sizeBytes] of blocks) {
    it(`a header block of the machine ${what}`, async () => {
      const { client, vm } = await call();
      const part = (type: number): Buffer => frame(type, 0, 1, Buffer.alloc(sizeBytes));
      const more = Array.from({ length: continuations }, () => part(FrameType.CONTINUATION));
      vm.send(part(FrameType.HEADERS), ...more);
      await vm.closed;
      expect((await client.headers(1)).get("satellite-reason")).equal("ConnectionLost");
      expect(rig.gate.failures[0]?.error).have.property("code", "Http2.ENHANCE_YOUR_CALM");
    });
  }

  it("lets the same number pass over a longer time", async () => {
    const client = await open();
    for (let turn = 0; turn < 20; turn += 1) {
      await clock.advance(1000);
      await client.roundTrip();
    }
  });

  it("a client that does not read the answers it asks for", async () => {
    const deaf = await new Rig({
      limits: { maxControlBytes: 4096, pingRate: { burst: 1e9, perSecond: 1e9 } },
    }).start();
    try {
      const client = deaf.track(await connectRaw(deaf.port));
      await client.roundTrip();
      client.socket.pause();
      const pings = Buffer.concat(
        Array.from({ length: 1000 }, () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))),
      );
      const closed = new Promise<void>((resolve) => {
        client.socket.once("close", () => resolve());
      });
      const flood = (): void => {
        while (!client.socket.destroyed && client.socket.write(pings)) {
          // As fast as the socket takes it.
        }
      };
      client.socket.on("drain", flood);
      flood();
      await closed;
    } finally {
      await deaf.stop();
    }
  });

  it("stops reading the machine while the client takes nothing, and loses nothing", async () => {
    const { client, vm } = await call([[Setting.INITIAL_WINDOW_SIZE, MAX_31_BIT]]);
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, u32(MAX_31_BIT - DEFAULT_WINDOW_BYTES)));
    const other = await open();
    vm.send(headers(1, { ":status": "200" }));
    await client.headers(1);
    client.socket.pause();
    const chunk = data(1, Buffer.alloc(16_000, 5));
    const count = 4000;
    let taken = 0;
    const whenAllTaken = new Promise<void>((resolve) => {
      const next = (): void => {
        taken += 1;
        if (taken < count) {
          vm.socket.write(chunk, next);
        } else {
          resolve();
        }
      };
      vm.socket.write(chunk, next);
    });
    let before = -1;
    while (taken !== before) {
      before = taken;
      for (let turn = 0; turn < 10; turn += 1) {
        await other.roundTrip();
        await clock.advance(1000);
      }
    }
    expect(taken, "frames that the router and the sockets took").lessThan(count);
    client.socket.resume();
    await whenAllTaken;
    vm.send(headers(1, { "grpc-status": "0" }, true));
    await client.headers(1);
    const got = await client.content(1, count * 16_000);
    expect(got).lengthOf(count * 16_000);
    expect(got.every((byte) => byte === 5)).equal(true);
  });

  it("bytes that wait: beyond them the newest request is refused, and what is open goes on", async () => {
    const small = await new Rig({ limits: { maxWaitingBytes: 3000 } }).start();
    try {
      small.admitAll();
      const { client, vm } = await small.call();
      small.gate.answer = undefined;
      client.send(request(3), data(3, Buffer.alloc(2000)), request(5), data(5, Buffer.alloc(1000)));
      const question = await small.gate.question(0);
      await small.gate.question(1);
      await client.roundTrip();
      client.send(data(3, Buffer.alloc(1)), data(1, "goes on"));
      const refused = await client.headers(5);
      expect(refused.get("grpc-status")).equal("8");
      expect(refused.get("satellite-reason")).equal("TooManyHeldBytes");
      expect((await vm.type(FrameType.DATA, 1)).payload.toString()).equal("goes on");
      question.settle(small.gate.forward(small.upstream));
      expect((await vm.type(FrameType.DATA, 3)).payload).lengthOf(2000);
    } finally {
      await small.stop();
    }
  });

  for (const [what, bytes] of [
    ["without preface", Buffer.alloc(0)],
    ["with a slow preface", CLIENT_PREFACE.subarray(0, 10)],
    ["without SETTINGS", CLIENT_PREFACE],
  ] as const) {
    it(`connections ${what}, after ten seconds and not before`, async () => {
      const socket = net.connect(rig.port, "127.0.0.1");
      rig.track({ socket } as Peer);
      const closed = once(socket, "close");
      socket.on("error", () => {});
      socket.resume();
      socket.write(bytes);
      await once(socket, "connect");
      const witness = await open();
      await witness.roundTrip();
      await pass(10_000, witness);
      expect(socket.destroyed, "gone after ten seconds").equal(false);
      await pass(SWEEP_MS, witness);
      await closed;
    });
  }

  it("header blocks that never get whole, ten seconds after they were seen and not before", async () => {
    const client = await open();
    client.send(frame(FrameType.HEADERS, 0, 1));
    await client.type(FrameType.SETTINGS);
    await client.type(FrameType.SETTINGS);
    const witness = await open();
    await pass(SWEEP_MS, witness); // It is seen.
    await pass(10_000, witness);
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
    await clock.advance(SWEEP_MS);
    await expectGoAway(client, ErrorCode.ENHANCE_YOUR_CALM, false);
  });

  it("a machine that accepts a connection and stays silent", async () => {
    const client = await open();
    rig.gate.answer = undefined;
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    const silent = await rig.vm.accept();
    await silent.type(FrameType.SETTINGS);
    await pass(10_000, await open());
    expect(silent.socket.destroyed, "given up after ten seconds").equal(false);
    await clock.advance(SWEEP_MS);
    await silent.closed;
    expect(rig.gate.failures[0]?.error).have.property("code", "UpstreamTimeout");
    const again = await rig.gate.question(1);
    again.settle(rig.gate.forward(rig.upstream));
    await (await rig.vm.ready()).headers(1);
  });
});

describe("relay: other protocols", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
  });
  afterEach(() => rig.stop());

  async function answerTo(bytes: string): Promise<string> {
    const socket = net.connect({ port: rig.port, host: "127.0.0.1", allowHalfOpen: false });
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.write(bytes);
    await once(socket, "close");
    return Buffer.concat(parts).toString("latin1");
  }

  it("answers HTTP/1 with 426 and says what to use", async () => {
    const answer = await answerTo("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(answer).match(/^HTTP\/1\.1 426 Upgrade Required\r\n/);
    expect(answer).contain("Upgrade: h2c\r\n");
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    expect(head).contain(`Content-Length: ${body.length}`);
  });

  it("closes on anything else", async () => {
    expect(await answerTo("\u0016\u0003\u0001 not HTTP at all")).not.contain("HTTP/1");
    expect(await answerTo("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")).not.contain("HTTP/1");
    expect(await answerTo("INVALID CONNECTION PREFACE\r\n\r\n")).not.contain("HTTP/1");
  });

  it("takes a preface in single bytes", async () => {
    const socket = net.connect({ port: rig.port, host: "127.0.0.1", noDelay: true });
    for (const byte of Buffer.concat([CLIENT_PREFACE, settingsFrame([])])) {
      socket.write(Buffer.from([byte]));
    }
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(first[3]).equal(FrameType.SETTINGS);
    socket.destroy();
  });

  it("rejects a connection whose first frame is not SETTINGS", async () => {
    const answer = await answerTo(
      Buffer.concat([CLIENT_PREFACE, frame(FrameType.PING, 0, 0, Buffer.alloc(8))]).toString("latin1"),
    );
    expect(answer).contain("SETTINGS");
  });
});
