import { expect } from "chai";
import { goAwayFrame, settingsAckFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType, MAX_31_BIT, Setting } from "../../../src/http2/protocol.ts";
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

describe("splice engine: spliced", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  /** A client and a machine that are spliced, with stream 1 open. */
  async function splice(
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
    it("carry the client's values to the machine, one frame for each, with push off", async () => {
      const client = rig.track(
        await connectRaw(rig.port, [
          [Setting.HEADER_TABLE_SIZE, 0],
          [Setting.ENABLE_PUSH, 1],
          [Setting.INITIAL_WINDOW_SIZE, 12_345],
          [NO_RFC7540_PRIORITIES, 1],
          [ENABLE_CONNECT_PROTOCOL, 1],
          [0x4242, 7],
        ]),
      );
      client.send(settingsFrame([[Setting.HEADER_TABLE_SIZE, 65_536]]), request(1));
      const vm = await rig.vm.accept();
      expect(settingsOf((await vm.take(isSettings)).payload)).deep.equal([
        [Setting.HEADER_TABLE_SIZE, 0],
        [Setting.INITIAL_WINDOW_SIZE, 12_345],
        [Setting.ENABLE_PUSH, 0],
      ]);
      vm.send(settingsFrame([]));
      expect(settingsOf((await vm.take(isSettings)).payload)).deep.equal([
        [Setting.HEADER_TABLE_SIZE, 65_536],
        [Setting.ENABLE_PUSH, 0],
      ]);
    });

    it("of the machine reach the client rewritten", async () => {
      const { client } = await splice(
        [],
        [
          [Setting.HEADER_TABLE_SIZE, 65_536],
          [Setting.ENABLE_PUSH, 0],
          [Setting.INITIAL_WINDOW_SIZE, 1_000_000],
          [Setting.MAX_FRAME_SIZE, 0xff_ffff],
          [Setting.MAX_HEADER_LIST_SIZE, 0xffff_ffff],
          [NO_RFC7540_PRIORITIES, 1],
          [0x4242, 7],
        ],
      );
      expect(settingsOf((await client.take(isSettings)).payload)).deep.equal([
        [Setting.INITIAL_WINDOW_SIZE, 1_000_000],
        [Setting.MAX_FRAME_SIZE, 128 * 1024],
        [Setting.MAX_CONCURRENT_STREAMS, MAX_31_BIT],
      ]);
    });

    it("never state a lower stream limit than the router's: what the machine does not take waits", async () => {
      const { client } = await splice([], [[Setting.MAX_CONCURRENT_STREAMS, 1]]);
      expect(settingsOf((await client.take(isSettings)).payload)).deep.equal([
        [Setting.MAX_CONCURRENT_STREAMS, 100],
      ]);
    });

    it("state a stream limit only where the machine is silent, and only the first time", async () => {
      const { client, vm } = await splice([], [[Setting.MAX_CONCURRENT_STREAMS, 700]]);
      expect(settingsOf((await client.take(isSettings)).payload)).deep.equal([
        [Setting.MAX_CONCURRENT_STREAMS, 700],
      ]);
      vm.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 1]]));
      expect(settingsOf((await client.take(isSettings)).payload)).deep.equal([
        [Setting.INITIAL_WINDOW_SIZE, 1],
      ]);
    });

    it("are acknowledged end to end, except those that the router answered itself", async () => {
      const { client, vm } = await splice();
      await client.take(isAck);
      await client.take(isSettings);
      client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 70_000]]));
      await vm.take(isSettings);
      await vm.take(isSettings);
      vm.send(settingsAckFrame());
      client.send(settingsAckFrame());
      await vm.take(isAck);
      vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
      await client.type(FrameType.PING);
      expect(client.frames.some(isAck), "the machine's first ACK was for what the client has long").equal(
        false,
      );
      vm.send(settingsAckFrame());
      await client.take(isAck);
      expect(vm.frames.some(isAck), "the client's ACK of the router's SETTINGS").equal(false);
    });

    it("let the client send larger frames once it was told so, and not before", async () => {
      const { client, vm } = await splice([], [[Setting.MAX_FRAME_SIZE, 100_000]]);
      await client.take(isSettings);
      vm.send(
        frame(FrameType.WINDOW_UPDATE, 0, 0, u32(200_000)),
        frame(FrameType.WINDOW_UPDATE, 0, 1, u32(200_000)),
      );
      await client.type(FrameType.WINDOW_UPDATE, 1);
      client.send(data(1, Buffer.alloc(99_999)));
      expect(await vm.content(1, 99_999)).lengthOf(99_999);
      client.send(data(1, Buffer.alloc(100_001)));
      expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(ErrorCode.FRAME_SIZE_ERROR);
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
    await client.take((got) => isSettings(got) && got.payload.length <= 12);
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await client.type(FrameType.PING);
    expect(vm.frames.some(({ type }) => type === FrameType.HEADERS)).equal(false);
    vm.send(trailersOnly(3));
    await vm.headers(5);
    vm.send(trailersOnly(1));
    await vm.headers(7);
  });

  it("passes DATA both ways, padded and empty ones too, byte for byte", async () => {
    const { client, vm } = await splice();
    const padded = frame(FrameType.DATA, Flag.PADDED, 1, Buffer.from("\u0003abc\0\0\0", "latin1"));
    client.send(padded, data(1, ""), data(1, "end", true));
    expect((await vm.type(FrameType.DATA)).payload.toString("latin1")).equal("\u0003abc\0\0\0");
    expect((await vm.type(FrameType.DATA)).payload).lengthOf(0);
    expect(await vm.type(FrameType.DATA)).include({ flags: Flag.END_STREAM });
    vm.send(headers(1, { ":status": "200" }), padded, data(1, "x"), headers(1, { "grpc-status": "0" }, true));
    expect((await client.headers(1)).get(":status")).equal("200");
    expect((await client.type(FrameType.DATA)).payload.toString("latin1")).equal("\u0003abc\0\0\0");
    expect((await client.type(FrameType.DATA)).payload.toString()).equal("x");
    expect((await client.headers(1)).get("grpc-status")).equal("0");
  });

  it("passes request fields one by one and in order, repeated ones too", async () => {
    const { client, vm } = await splice();
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
    const { client, vm } = await splice();
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
    const { client, vm } = await splice();
    const details = "d".repeat(900 * 1024);
    vm.send(
      headers(1, { ":status": "200" }),
      headers(1, { "grpc-status": "2", "grpc-status-details-bin": details }, true),
    );
    await client.headers(1);
    expect((await client.headers(1)).get("grpc-status-details-bin")).equal(details);
  });

  it("passes requests with header lists of 1,000,000 bytes", async () => {
    const { client, vm } = await splice();
    const note = "n".repeat(1_000_000);
    client.send(request(3, { note }, true));
    expect((await vm.headers(3)).get("note")).equal(note);
  });

  it("keeps the tables in step when requests are withheld among others", async () => {
    const { client, vm } = await splice();
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
    expect((await vm.headers(5)).get("x")).equal("passed");
    expect((await vm.headers(7)).get("x")).equal("passed");
    expect((await client.headers(3)).get("grpc-status")).equal("7");
  });

  it("decodes the same bytes anew when the table they refer to has changed", async () => {
    const { client, vm } = await splice();
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
    const { client, vm } = await splice();
    client.send(request(3, {}, true), request(5, {}, true), request(7, {}, true));
    await vm.headers(7);
    expect(rig.gate.admitted).equal(4);
    rig.gate.answer = () => ({ kind: "refuse", status: 16, message: "expired", metadata: [] });
    client.send(request(9, {}, true));
    expect((await client.headers(9)).get("grpc-status")).equal("16");
    expect(vm.frames.some(({ id }) => id === 9)).equal(false);
  });

  it("re-encodes anew when the gate drops other headers for the same bytes", async () => {
    const { client, vm } = await splice();
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

  it("lets everything flow while a check is pending, and serves its request on a link of its own", async () => {
    const { client, vm } = await splice();
    rig.gate.answer = undefined;
    client.send(request(3), request(5));
    await rig.gate.question(1);
    rig.gate.questions[1]?.settle(rig.gate.forward(rig.upstream));
    client.send(
      data(3, "late"),
      data(5, "flows"),
      data(1, "flows too"),
      frame(FrameType.PING, 0, 0, Buffer.from("pingpong")),
    );
    await vm.headers(5);
    expect((await vm.type(FrameType.DATA, 5)).payload.toString()).equal("flows");
    await vm.type(FrameType.DATA, 1);
    await vm.type(FrameType.PING);
    vm.send(headers(1, { ":status": "200" }), data(1, "flows back"));
    await client.type(FrameType.DATA, 1);
    expect(vm.frames.some(({ id }) => id === 3)).equal(false);
    rig.gate.questions[0]?.settle(rig.gate.forward(rig.upstream));
    const further = await rig.vm.ready();
    await further.headers(1);
    expect((await further.type(FrameType.DATA, 1)).payload.toString()).equal("late");
    further.send(trailersOnly(1));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
  });

  it("answers PING itself while others send on the connection: the machine would call them too many", async () => {
    const { client, vm } = await splice();
    rig.gate.answer = () => rig.gate.forward({ ...rig.upstream, epoch: 2 });
    client.send(request(3, {}, true));
    const further = await rig.vm.ready();
    await further.headers(1);
    further.send(headers(1, { ":status": "200" }), data(1, "from elsewhere"));
    await client.type(FrameType.DATA, 3);
    await client.roundTrip();
    vm.send(
      headers(1, { ":status": "200" }),
      data(1, "x"),
      frame(FrameType.PING, 0, 0, Buffer.from("machine!")),
    );
    await client.type(FrameType.PING);
    client.send(frame(FrameType.PING, Flag.ACK, 0, Buffer.from("machine!")));
    expect(await vm.type(FrameType.PING)).include({ flags: Flag.ACK });
    expect(vm.frames.some(({ type }) => type === FrameType.PING)).equal(false);
  });

  it("waits for the end of a DATA frame on its way before it puts a request in", async () => {
    const { client, vm } = await splice();
    rig.gate.answer = undefined;
    const half = data(1, Buffer.alloc(1000, 1));
    client.send(request(3, {}, true), half.subarray(0, 500));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await client.type(FrameType.PING);
    client.send(half.subarray(500));
    expect((await vm.type(FrameType.DATA, 1)).payload.every((byte) => byte === 1)).equal(true);
    await vm.headers(3);
  });

  it("drops client frames for a request that was not passed on, and gives their window back", async () => {
    const { client, vm } = await splice();
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
    expect((await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0)).equal(4);
  });

  it("lets PRIORITY and unknown frames pass to neither side", async () => {
    const { client, vm } = await splice();
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
    const allowed = new Set<number>([FrameType.SETTINGS, FrameType.HEADERS]);
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
    it(`ends the connection when the machine sends ${name}; the open call fails with UNAVAILABLE`, async () => {
      const { client, vm } = await splice();
      vm.send(...frames);
      expect((await client.headers(1)).get("grpc-status")).equal("14");
      await client.type(FrameType.GOAWAY);
      await client.closed;
      await vm.closed;
      expect(rig.gate.failures).lengthOf(1);
      expect(client.frames.some(({ id }) => id === 9 || id === 2)).equal(false);
    });
  }

  it("closes when the machine speaks of a request that was refused", async () => {
    const { client, vm } = await splice();
    rig.gate.answer = () => ({ kind: "refuse", status: 7, message: "", metadata: [] });
    client.send(request(3, {}, true));
    await client.headers(3);
    rig.admitAll();
    client.send(request(5, {}, true));
    await vm.headers(5);
    vm.send(headers(3, { ":status": "200" }));
    await client.closed;
    expect(client.frames.filter(({ id, type }) => id === 3 && type === FrameType.HEADERS)).lengthOf(0);
  });

  it("passes the client's half-close on and the answer back", async () => {
    const { client, vm } = await splice();
    client.send(data(1, "last", true));
    client.socket.end();
    await vm.type(FrameType.DATA);
    await vm.closed;
    vm.send(trailersOnly(1));
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    await client.closed;
  });

  it("closes the machine's connection when the client breaks off, and releases everything", async () => {
    const { client, vm } = await splice();
    client.send(request(3), request(5));
    await vm.headers(5);
    client.socket.resetAndDestroy();
    await vm.closed;
    await rig.gate.until(() => rig.gate.released === 3);
  });

  it("does not take the machine's end for a failure when the client has said goodbye", async () => {
    const { client, vm } = await splice();
    vm.send(trailersOnly(1));
    await client.headers(1);
    client.send(goAwayFrame(0, ErrorCode.NO_ERROR));
    expect((await vm.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(ErrorCode.NO_ERROR);
    vm.socket.end();
    await client.closed;
    expect(rig.gate.failures).lengthOf(0);
  });

  it("ends an idle connection with GOAWAY when the machine ends its own", async () => {
    const { client, vm } = await splice();
    vm.send(trailersOnly(1));
    client.send(data(1, "", true));
    await vm.type(FrameType.DATA);
    vm.send(goAwayFrame(1, ErrorCode.NO_ERROR));
    vm.socket.end();
    await client.type(FrameType.GOAWAY);
    await client.closed;
    expect(rig.gate.failures).lengthOf(0);
  });
});

describe("splice engine: counting", () => {
  let rig: Rig;
  let client: Peer;
  let vm: Peer;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
    client = rig.track(await connectRaw(rig.port));
    client.send(request(1));
    vm = await rig.vm.ready();
    await vm.headers(1);
  });
  afterEach(() => rig.stop());

  /** The client has seen everything that the machine sent. */
  async function settle(): Promise<void> {
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await client.type(FrameType.PING);
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

  it("passes what was on its way for a stream that one side has reset: header tables and windows need it", async () => {
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(8)));
    await vm.type(FrameType.RST_STREAM);
    vm.send(headers(1, { ":status": "200" }), data(1, "late"));
    await client.headers(1);
    expect((await client.type(FrameType.DATA, 1)).payload.toString()).equal("late");
    client.send(request(3));
    await vm.headers(3);
    vm.send(frame(FrameType.RST_STREAM, 0, 3, u32(2)));
    await client.type(FrameType.RST_STREAM, 3);
    client.send(data(3, "later"));
    expect((await vm.type(FrameType.DATA, 3)).payload.toString()).equal("later");
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
