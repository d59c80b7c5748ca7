import { expect } from "chai";
import { goAwayFrame, settingsAckFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType, Setting } from "../../../src/http2/protocol.ts";
import {
  connectRaw,
  data,
  frame,
  headers,
  request,
  settingsOf,
  trailersOnly,
  u32,
  type Frame,
  type Peer,
} from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

const NO_RFC7540_PRIORITIES = 9;
const ENABLE_CONNECT_PROTOCOL = 8;

/** The first SETTINGS are the router's own; later ones are the machine's. */
function isSettings(frameToLookAt: Frame): boolean {
  return frameToLookAt.type === FrameType.SETTINGS && frameToLookAt.flags === 0;
}

function isAck(frameToLookAt: Frame): boolean {
  return frameToLookAt.type === FrameType.SETTINGS && frameToLookAt.flags === Flag.ACK;
}

describe("relay: open requests", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  /** A client and a machine, with stream 1 open between them; ids on the link are the same as long as every request goes there. */
  async function open(
    clientSettings: readonly (readonly [number, number])[] = [],
    vmSettings: readonly (readonly [number, number])[] = [],
    options: { readonly tableBytes?: number } = {},
  ): Promise<{ client: Peer; vm: Peer }> {
    const client = rig.track(await connectRaw(rig.port, clientSettings, options));
    await client.take(isSettings);
    client.send(settingsAckFrame(), request(1));
    const vm = await rig.vm.ready(vmSettings);
    await vm.headers(1);
    return { client, vm };
  }

  describe("SETTINGS", () => {
    it("tell the machine which windows and lists the client takes, and that nothing may be pushed", async () => {
      const client = rig.track(
        await connectRaw(rig.port, [
          [Setting.HEADER_TABLE_SIZE, 0],
          [Setting.ENABLE_PUSH, 1],
          [Setting.INITIAL_WINDOW_SIZE, 12_345],
          [Setting.MAX_FRAME_SIZE, 100_000],
          [NO_RFC7540_PRIORITIES, 1],
          [ENABLE_CONNECT_PROTOCOL, 1],
          [0x4242, 7],
        ]),
      );
      client.send(request(1));
      const vm = await rig.vm.accept();
      expect(settingsOf((await vm.take(isSettings)).payload)).deep.equal([
        [Setting.INITIAL_WINDOW_SIZE, 12_345],
        [Setting.ENABLE_PUSH, 0],
      ]);
      vm.send(settingsFrame([]));
      await vm.headers(1);
      client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 50_000]]));
      expect(settingsOf((await vm.take(isSettings)).payload)).deep.equal([
        [Setting.INITIAL_WINDOW_SIZE, 50_000],
        [Setting.ENABLE_PUSH, 0],
      ]);
    });

    it("of the machine stay with the router, which acknowledges them", async () => {
      const { client, vm } = await open(
        [],
        [
          [Setting.HEADER_TABLE_SIZE, 0],
          [Setting.INITIAL_WINDOW_SIZE, 1_000_000],
          [Setting.MAX_FRAME_SIZE, 0xff_ffff],
          [Setting.MAX_CONCURRENT_STREAMS, 1],
          [Setting.MAX_HEADER_LIST_SIZE, 0xffff_ffff],
          [NO_RFC7540_PRIORITIES, 1],
          [0x4242, 7],
        ],
      );
      await vm.take(isAck);
      await client.roundTrip();
      expect(client.frames.some(isSettings)).equal(false);
    });

    it("of the client are acknowledged by the router, whatever the machine does", async () => {
      const { client, vm } = await open();
      await client.take(isAck);
      vm.socket.pause();
      client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 70_000]]));
      await client.take(isAck);
    });
  });

  it("releases held requests within the machine's stream limit, in the order of their ids", async () => {
    rig.gate.answer = undefined;
    const client = rig.track(await connectRaw(rig.port));
    client.send(...[1, 3, 5, 7].map((id) => request(id, {}, true)));
    await rig.gate.question(3);
    for (const question of rig.gate.questions.toReversed()) {
      question.settle(rig.gate.forward(rig.upstream));
    }
    const vm = await rig.vm.ready([[Setting.MAX_CONCURRENT_STREAMS, 2]]);
    await vm.headers(1);
    await vm.headers(3);
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await vm.type(FrameType.PING);
    expect(vm.frames.some(({ type }) => type === FrameType.HEADERS)).equal(false);
    vm.send(trailersOnly(3));
    await vm.headers(5);
    vm.send(trailersOnly(1));
    await vm.headers(7);
  });

  it("passes the content of DATA both ways, byte for byte; padding ends here, and its window is given back", async () => {
    const { client, vm } = await open();
    const padded = frame(FrameType.DATA, Flag.PADDED, 1, Buffer.from("\u0003abc\0\0\0", "latin1"));
    client.send(padded, data(1, ""), data(1, "end", true));
    expect((await vm.content(1, 6)).toString()).equal("abcend");
    vm.send(headers(1, { ":status": "200" }), padded, data(1, "x"), headers(1, { "grpc-status": "0" }, true));
    expect((await client.headers(1)).get(":status")).equal("200");
    expect((await client.content(1, 4)).toString()).equal("abcx");
    expect((await client.headers(1)).get("grpc-status")).equal("0");
  });

  it("passes request fields one by one and in order, repeated ones too", async () => {
    const { client, vm } = await open();
    const one = request(3).subarray(9);
    const repeated = Buffer.concat([
      one,
      ...["b", "a", "b"].map((value) => Buffer.from(`\0\u0001x\u0001${value}`, "latin1")),
    ]);
    client.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 3, repeated));
    const { fields } = await vm.take(({ id, type }) => id === 3 && type === FrameType.HEADERS);
    expect(fields?.filter(([name]) => name === "x").map(([, value]) => value)).deep.equal(["b", "a", "b"]);
  });

  it("passes requests that come in many CONTINUATION frames, and metadata over a frame's size", async () => {
    const { client, vm } = await open();
    const long = "v".repeat(70_000);
    client.send(request(3, { "x-long-bin": long }, true));
    expect((await vm.headers(3)).get("x-long-bin")).equal(long);
    const encoded = request(5).subarray(9);
    client.send(
      frame(FrameType.HEADERS, Flag.END_STREAM, 5, encoded.subarray(0, 10)),
      frame(FrameType.CONTINUATION, 0, 5, encoded.subarray(10, 10)),
      frame(FrameType.CONTINUATION, Flag.END_HEADERS, 5, encoded.subarray(10)),
    );
    expect((await vm.headers(5)).get(":path")).equal("/test.Service/Method");
  });

  it("passes trailers of 900 KiB, as large as a Dockerfile in grpc-status-details-bin makes them", async () => {
    const { client, vm } = await open();
    const details = "d".repeat(900 * 1024);
    vm.send(
      headers(1, { ":status": "200" }),
      headers(1, { "grpc-status": "2", "grpc-status-details-bin": details }, true),
    );
    await client.headers(1);
    expect((await client.headers(1)).get("grpc-status-details-bin")).equal(details);
  });

  it("passes requests with header lists of 1,000,000 bytes", async () => {
    const { client, vm } = await open();
    const note = "n".repeat(1_000_000);
    client.send(request(3, { note }, true));
    expect((await vm.headers(3)).get("note")).equal(note);
  });

  it("keeps the tables in step when requests are withheld among others", async () => {
    const { client, vm } = await open();
    const indexed = (id: number, value: string): Buffer =>
      frame(
        FrameType.HEADERS,
        Flag.END_HEADERS | Flag.END_STREAM,
        id,
        Buffer.concat([
          request(id).subarray(9),
          Buffer.from([0x40, 1, 0x78, value.length]),
          Buffer.from(value),
        ]),
      );
    rig.gate.answer = (fields) =>
      fields.some(([name, value]) => name === "x" && value === "withheld")
        ? { kind: "refuse", status: 7, message: "", metadata: [] }
        : rig.gate.forward(rig.upstream);
    const reuse = frame(
      FrameType.HEADERS,
      Flag.END_HEADERS | Flag.END_STREAM,
      7,
      Buffer.concat([request(7).subarray(9), Buffer.from([0xbe])]),
    );
    client.send(indexed(3, "withheld"), indexed(5, "passed"), reuse);
    expect((await vm.headers(3)).get("x")).equal("passed");
    expect((await vm.headers(5)).get("x")).equal("passed");
    expect((await client.headers(3)).get("grpc-status")).equal("7");
  });

  it("decodes the same bytes anew when the table they refer to has changed", async () => {
    const { client, vm } = await open();
    const block = (id: number, rest: number[]): Buffer =>
      frame(
        FrameType.HEADERS,
        Flag.END_HEADERS | Flag.END_STREAM,
        id,
        Buffer.concat([request(1).subarray(9), Buffer.from(rest)]),
      );
    const insert = (value: string): number[] => [0x40, 1, 0x78, 1, value.charCodeAt(0)];
    client.send(
      block(3, insert("1")),
      block(5, [0xbe]),
      block(7, insert("2")),
      block(9, [0xbe]),
      block(11, [0xbe]),
    );
    const seen = await Promise.all([3, 5, 7, 9, 11].map((id) => vm.headers(id)));
    expect(seen.map((fields) => fields.get("x"))).deep.equal(["1", "1", "2", "2", "2"]);
  });

  it("asks the gate for every request, also for one whose bytes it has seen before", async () => {
    const { client, vm } = await open();
    client.send(request(3, {}, true), request(5, {}, true), request(7, {}, true));
    await vm.headers(7);
    expect(rig.gate.admitted).equal(4);
    rig.gate.answer = () => ({ kind: "refuse", status: 16, message: "expired", metadata: [] });
    client.send(request(9, {}, true));
    expect((await client.headers(9)).get("grpc-status")).equal("16");
    expect(vm.frames.some(({ id }) => id === 9)).equal(false);
  });

  it("re-encodes anew when the gate drops other headers for the same bytes", async () => {
    const { client, vm } = await open();
    const fields = { authorization: "a", "x-other": "b" };
    for (const [id, name] of [
      [3, "authorization"],
      [5, "x-other"],
      [7, "authorization"],
    ] as const) {
      rig.gate.answer = () => rig.gate.forward(rig.upstream, { drop: new Set([name]) });
      client.send(request(id, fields, true));
      const seen = await vm.headers(id);
      expect([seen.has("authorization"), seen.has("x-other")]).deep.equal([
        name !== "authorization",
        name !== "x-other",
      ]);
    }
  });

  it("lets everything flow while a check is pending, and serves its request when it is over", async () => {
    const { client, vm } = await open();
    rig.gate.answer = undefined;
    client.send(request(3), request(5));
    await rig.gate.question(1);
    rig.gate.questions[1]?.settle(rig.gate.forward(rig.upstream));
    client.send(data(3, "late"), data(5, "flows"), data(1, "flows too"));
    await vm.headers(3);
    expect((await vm.type(FrameType.DATA, 3)).payload.toString()).equal("flows");
    await vm.type(FrameType.DATA, 1);
    vm.send(headers(1, { ":status": "200" }), data(1, "flows back"));
    await client.type(FrameType.DATA, 1);
    expect(vm.frames.some(({ id }) => id === 5)).equal(false);
    rig.gate.questions[0]?.settle(rig.gate.forward(rig.upstream));
    await vm.headers(5);
    expect((await vm.type(FrameType.DATA, 5)).payload.toString()).equal("late");
    vm.send(trailersOnly(5));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
  });

  it("answers each side's PING itself: machines call many pings too many", async () => {
    const { client, vm } = await open();
    await client.roundTrip();
    client.send(frame(FrameType.PING, Flag.ACK, 0, Buffer.from("nobody's")));
    vm.send(frame(FrameType.PING, 0, 0, Buffer.from("machine!")));
    expect(await vm.type(FrameType.PING)).include({ flags: Flag.ACK });
    await client.roundTrip();
    expect([...client.frames, ...vm.frames].some(({ type }) => type === FrameType.PING)).equal(false);
  });

  it("puts a request in while a DATA frame of another is on its way", async () => {
    const { client, vm } = await open();
    rig.gate.answer = undefined;
    const half = data(1, Buffer.alloc(1000, 1));
    client.send(request(3, {}, true), half.subarray(0, 500));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    await vm.headers(3);
    client.send(half.subarray(500));
    expect((await vm.content(1, 1000)).every((byte) => byte === 1)).equal(true);
  });

  it("drops client frames for a request that was not passed on, and gives their window back", async () => {
    const { client, vm } = await open();
    await client.type(FrameType.WINDOW_UPDATE, 0);
    rig.gate.answer = () => ({ kind: "refuse", status: 7, message: "", metadata: [] });
    client.send(request(3));
    await client.headers(3);
    client.send(
      data(3, "late"),
      frame(FrameType.WINDOW_UPDATE, 0, 3, u32(5)),
      headers(3, { "x-late": "1" }, true),
      frame(FrameType.RST_STREAM, 0, 3, u32(8)),
      data(1, "mark"),
    );
    await vm.type(FrameType.DATA, 1);
    expect(vm.frames.some(({ id }) => id === 3)).equal(false);
    // "late" and "mark".
    expect((await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0)).equal(8);
  });

  it("lets PRIORITY and unknown frames pass to neither side", async () => {
    const { client, vm } = await open();
    const ALTSVC = 0xa;
    const ORIGIN = 0xc;
    const strange = (id: number): Buffer[] => [
      frame(FrameType.PRIORITY, 0, id, Buffer.alloc(5)),
      frame(ALTSVC, 0, 0, Buffer.alloc(9)),
      frame(ORIGIN, 0, 0, Buffer.alloc(9)),
      frame(0x42, 0, id, Buffer.alloc(9)),
    ];
    client.send(...strange(1), data(1, "mark"));
    await vm.type(FrameType.DATA);
    vm.send(...strange(1), headers(1, { ":status": "200" }), data(1, "mark"));
    await client.type(FrameType.DATA);
    const allowed = new Set<number>([FrameType.SETTINGS, FrameType.HEADERS, FrameType.WINDOW_UPDATE]);
    expect([...client.frames, ...vm.frames].filter(({ type }) => !allowed.has(type))).deep.equal([]);
  });

  const hostile: readonly (readonly [name: string, frames: Buffer[]])[] = [
    ["a stream that it was never given", [headers(9, { ":status": "200" })]],
    ["a stream of its own", [headers(2, { ":status": "200" })]],
    ["DATA on stream 0", [data(0, "")]],
    ["PUSH_PROMISE", [frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, u32(2))]],
    ["CONTINUATION without HEADERS", [frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1)]],
    ["a reset of an unknown stream", [frame(FrameType.RST_STREAM, 0, 9, u32(0))]],
  ];
  for (const [name, frames] of hostile) {
    it(`ends the link when the machine sends ${name}; the open call fails with UNAVAILABLE, and the client stays`, async () => {
      const { client, vm } = await open();
      vm.send(...frames);
      expect((await client.headers(1)).get("grpc-status")).equal("14");
      await vm.closed;
      await client.roundTrip();
      expect(rig.gate.failures).lengthOf(1);
      expect(client.frames.some(({ id }) => id === 9 || id === 2)).equal(false);
    });
  }

  it("ends the link when the machine speaks of a request that was refused: it was never given it", async () => {
    const { client, vm } = await open();
    rig.gate.answer = () => ({ kind: "refuse", status: 7, message: "", metadata: [] });
    client.send(request(3, {}, true));
    await client.headers(3);
    vm.send(headers(3, { ":status": "200" }));
    await vm.closed;
    expect((await client.headers(1)).get("grpc-status")).equal("14");
    await client.roundTrip();
    expect(client.frames.some(({ id }) => id === 3)).equal(false);
  });

  it("closes the machine's connection when the client breaks off, and releases everything", async () => {
    const { client, vm } = await open();
    client.send(request(3), request(5));
    await vm.headers(5);
    client.socket.resetAndDestroy();
    await vm.closed;
    await rig.gate.until(() => rig.gate.released === 3);
  });

  it("keeps the client when an idle machine ends its own connection, and connects anew for the next request", async () => {
    const { client, vm } = await open();
    client.send(data(1, "", true));
    await vm.type(FrameType.DATA);
    vm.send(trailersOnly(1));
    await client.headers(1);
    vm.send(goAwayFrame(1, ErrorCode.NO_ERROR));
    vm.socket.end();
    await vm.closed;
    client.send(request(3, {}, true));
    const next = await rig.vm.ready();
    await next.headers(1);
    next.send(trailersOnly(1));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
    expect(rig.gate.failures).lengthOf(0);
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
  });
});

describe("relay: counting", () => {
  let rig: Rig;
  let client: Peer;
  let vm: Peer;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
    ({ client, vm } = await rig.call());
  });
  afterEach(() => rig.stop());

  /** The client has seen everything that the machine sent. */
  async function settle(): Promise<void> {
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await vm.type(FrameType.PING);
    await client.roundTrip();
  }

  it("does not count informational answers, answers and trailers as ends", async () => {
    vm.send(headers(1, { ":status": "103" }), headers(1, { ":status": "200" }), data(1, "x"));
    await settle();
    expect(rig.gate.released).equal(0);
    vm.send(headers(1, { "grpc-status": "0" }, true));
    await rig.gate.until(() => rig.gate.released === 1);
  });

  it("counts the machine's END_STREAM as the end, even while the client still sends", async () => {
    vm.send(trailersOnly(1));
    await rig.gate.until(() => rig.gate.released === 1);
    client.send(data(1, "more"), data(1, "end", true));
    expect(await vm.type(FrameType.DATA)).include({ flags: 0 });
    expect(await vm.type(FrameType.DATA)).include({ flags: Flag.END_STREAM });
    expect(rig.gate.released).equal(1);
  });

  it("does not count the client's END_STREAM as the end", async () => {
    client.send(data(1, "", true));
    await vm.type(FrameType.DATA);
    expect(rig.gate.released).equal(0);
  });

  it("counts a reset by either side as the end, once", async () => {
    client.send(request(3));
    await vm.headers(3);
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(8)));
    expect((await vm.type(FrameType.RST_STREAM)).payload.readUInt32BE(0)).equal(8);
    vm.send(frame(FrameType.RST_STREAM, 0, 1, u32(5)), frame(FrameType.RST_STREAM, 0, 3, u32(2)));
    await rig.gate.until(() => rig.gate.released === 2);
    await settle();
    expect(rig.gate.released).equal(2);
  });

  it("drops what was on its way for a stream that one side has reset, and keeps header tables and windows right", async () => {
    await client.type(FrameType.WINDOW_UPDATE, 0);
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(8)), request(3));
    await vm.type(FrameType.RST_STREAM);
    await vm.headers(3);
    // The first block enters a field into the table that the second one refers to.
    const entered = Buffer.from([0x88, 0x40, 1, 0x78, 1, 0x79]);
    vm.send(
      frame(FrameType.HEADERS, Flag.END_HEADERS, 1, entered),
      data(1, "late"),
      frame(FrameType.HEADERS, Flag.END_HEADERS, 3, Buffer.from([0x88, 0xbe])),
    );
    expect((await client.headers(3)).get("x")).equal("y");
    vm.send(frame(FrameType.RST_STREAM, 0, 3, u32(2)));
    await client.type(FrameType.RST_STREAM, 3);
    client.send(data(3, "later"), request(5, {}, true));
    await vm.headers(5);
    let backBytes = 0;
    while (backBytes < "later".length) {
      backBytes += (await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0);
    }
    expect([...client.frames, ...vm.frames].some(({ type }) => type === FrameType.DATA)).equal(false);
  });

  it("takes HEADERS for trailers unless their id is new and higher", async () => {
    client.send(headers(1, { "x-trailer": "1" }, true));
    expect([...(await vm.headers(1))]).deep.equal([["x-trailer", "1"]]);
    expect(rig.gate.admitted).equal(1);
  });

  it("releases all that is open when the machine breaks off", async () => {
    client.send(request(3), request(5));
    await vm.headers(5);
    vm.socket.resetAndDestroy();
    await rig.gate.until(() => rig.gate.released === 3);
  });
});
