import { expect } from "chai";
import { settingsAckFrame, settingsFrame } from "../../../src/router/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType, MAX_31_BIT, Setting } from "../../../src/router/http2/protocol.ts";
import {
  connectRaw,
  data,
  frame,
  headers,
  request,
  trailersOnly,
  u32,
  type Frame,
  type Peer,
} from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

describe("splice engine: injecting answers", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
  });
  afterEach(() => rig.stop());

  async function splice(
    clientSettings: readonly (readonly [number, number])[] = [],
  ): Promise<{ client: Peer; vm: Peer }> {
    rig.admitAll();
    const client = rig.track(await connectRaw(rig.port, clientSettings));
    client.send(request(1));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    rig.gate.answer = undefined;
    return { client, vm };
  }

  async function refuse(place: number): Promise<void> {
    (await rig.gate.question(place)).settle({ kind: "refuse", status: 7, message: "", metadata: [] });
  }

  /** HEADERS of a stream in the order in which they came to the client. */
  const order = (client: Peer): number[] =>
    client.frames
      .filter(({ type }) => type === FrameType.HEADERS || type === FrameType.CONTINUATION)
      .map(({ id }) => id);

  it("never come between HEADERS and CONTINUATION of the machine", async () => {
    const { client, vm } = await splice();
    client.send(request(3, {}, true));
    await rig.gate.question(0);
    const block = headers(1, { ":status": "200", "x-a": "b" }).subarray(9);
    vm.send(frame(FrameType.HEADERS, 0, 1, block.subarray(0, 3)));
    await client.take(({ type, flags }) => type === FrameType.HEADERS && flags === 0);
    await refuse(0);
    vm.send(frame(FrameType.CONTINUATION, 0, 1, block.subarray(3, 4)));
    vm.send(frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block.subarray(4)));
    expect((await client.headers(3)).get("grpc-status")).equal("7");
    expect(order(client)).deep.equal([1, 1]);
  });

  it("never come within a DATA frame of the machine", async () => {
    const { client, vm } = await splice();
    client.send(request(3, {}, true));
    const bytes = data(1, Buffer.alloc(50_000, 7));
    vm.send(headers(1, { ":status": "200" }), bytes.subarray(0, 20_000));
    await client.headers(1);
    await refuse(0);
    vm.send(bytes.subarray(20_000));
    const got = await client.type(FrameType.DATA, 1);
    expect(got.payload.every((byte) => byte === 7)).equal(true);
    expect((await client.headers(3)).get("grpc-status")).equal("7");
  });

  it("leave the client's dynamic table as the machine's encoder knows it", async () => {
    const { client, vm } = await splice();
    const indexing = Buffer.concat([Buffer.from([0x88, 0x40, 1, 0x61, 1, 0x31])]);
    vm.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, indexing));
    expect((await client.headers(1)).get("a")).equal("1");
    client.send(request(3, {}, true));
    await refuse(0);
    await client.headers(3);
    vm.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, Buffer.from([0xbe])));
    expect((await client.headers(1)).get("a")).equal("1");
  });

  const firstByte = ({ payload }: Frame): number => payload[0] ?? 0;
  const answerTo = (client: Peer, id: number): Promise<Frame> => client.type(FrameType.HEADERS, id);

  it("begin with a table size update if the client reduced its table while held", async () => {
    const client = rig.track(await connectRaw(rig.port, [[Setting.HEADER_TABLE_SIZE, 0]]));
    client.send(request(1, {}, true), request(3, {}, true));
    await refuse(0);
    expect(firstByte(await answerTo(client, 1))).equal(0x20);
    await refuse(1);
    expect(firstByte(await answerTo(client, 3)), "once is enough").equal(0x88);
  });

  it("begin with a table size update only after the machine acknowledged the reduction", async () => {
    const { client, vm } = await splice();
    vm.send(settingsAckFrame());
    client.send(settingsFrame([[Setting.HEADER_TABLE_SIZE, 100]]), request(3, {}, true));
    await refuse(0);
    expect(firstByte(await answerTo(client, 3))).equal(0x88);
    vm.send(settingsAckFrame());
    client.send(request(5, {}, true));
    await client.take(({ type, flags }) => type === FrameType.SETTINGS && flags === Flag.ACK);
    await client.take(({ type, flags }) => type === FrameType.SETTINGS && flags === Flag.ACK);
    await refuse(1);
    const { payload } = await answerTo(client, 5);
    expect(payload.subarray(0, 2).toString("hex")).equal("3f45");
  });

  it("leave the table size update to the machine if its own headers come first", async () => {
    const { client, vm } = await splice();
    vm.send(settingsAckFrame());
    client.send(settingsFrame([[Setting.HEADER_TABLE_SIZE, 0]]), request(3, {}, true));
    vm.send(settingsAckFrame(), frame(FrameType.HEADERS, Flag.END_HEADERS, 1, Buffer.from([0x20, 0x88])));
    await client.headers(1);
    await refuse(0);
    expect(firstByte(await answerTo(client, 3))).equal(0x88);
  });

  it("answer a request for another satellite with FAILED_PRECONDITION, without GOAWAY", async () => {
    const { client, vm } = await splice();
    client.send(request(3), request(5, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward({ ...rig.upstream, satellite: "ns/other" }));
    const answer = await client.headers(3);
    expect(answer.get("grpc-status")).equal("9");
    expect(answer.get("grpc-message")).contain("ns/vm").and.contain("ns/other");
    expect((await client.type(FrameType.RST_STREAM, 3)).payload.readUInt32BE(0)).equal(ErrorCode.NO_ERROR);
    expect(rig.gate.released).equal(1);
    (await rig.gate.question(1)).settle(rig.gate.forward(rig.upstream));
    await vm.headers(5);
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
  });

  it("answer FAILED_PRECONDITION also before the splice, and at once when admitted at once", async () => {
    const client = rig.track(await connectRaw(rig.port));
    rig.gate.answer = (fields) => {
      const satellite = fields.find(([name]) => name === "satellite-name")?.[1] ?? "";
      return rig.gate.forward({ ...rig.upstream, satellite });
    };
    client.send(request(1, { "satellite-name": "a" }, true), request(3, { "satellite-name": "b" }, true));
    expect((await client.headers(3)).get("grpc-status")).equal("9");
    const vm = await rig.vm.ready();
    await vm.headers(1);
    client.send(request(5, { "satellite-name": "b" }, true));
    expect((await client.headers(5)).get("grpc-status")).equal("9");
  });

  it("answer UNAVAILABLE to every open stream when the machine ends, as trailers where headers have passed", async () => {
    const { client, vm } = await splice();
    rig.admitAll();
    client.send(request(3, {}, true), request(5, {}, true));
    await vm.headers(5);
    vm.send(headers(1, { ":status": "200" }), trailersOnly(5));
    await client.headers(1);
    expect((await client.headers(5)).get("grpc-status")).equal("0");
    vm.socket.end();
    const trailers = await client.headers(1);
    expect([trailers.has(":status"), trailers.get("grpc-status")]).deep.equal([false, "14"]);
    const whole = await client.headers(3);
    expect([whole.get(":status"), whole.get("grpc-status")]).deep.equal(["200", "14"]);
    const goAway = await client.type(FrameType.GOAWAY);
    expect(goAway.payload.readUInt32BE(0)).equal(5);
    await client.closed;
    expect(client.frames.filter(({ id }) => id === 5)).lengthOf(0);
    expect(rig.gate.failures).lengthOf(1);
  });

  it("give requests that were never passed on back by a GOAWAY below their ids when the machine ends", async () => {
    const { client, vm } = await splice();
    client.send(request(3, {}, true));
    await rig.gate.question(0);
    vm.socket.end();
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(0)).equal(1);
    await client.closed;
    expect(rig.gate.questions[0]?.signal.aborted).equal(true);
    expect(client.frames.filter(({ id }) => id === 3)).lengthOf(0);
  });

  it("inject nothing when the machine ends within a frame: the connection closes", async () => {
    const { client, vm } = await splice();
    vm.send(headers(1, { ":status": "200" }), data(1, Buffer.alloc(1000)).subarray(0, 500));
    await client.headers(1);
    vm.socket.end();
    await client.closed;
    expect(
      client.frames.filter(({ type }) => type === FrameType.HEADERS || type === FrameType.GOAWAY),
    ).lengthOf(0);
    await rig.gate.until(() => rig.gate.released === 1);
  });
});

describe("splice engine: GOAWAY", () => {
  let rig: Rig;
  let client: Peer;
  let vm: Peer;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
    client = rig.track(await connectRaw(rig.port));
    client.send(request(1, {}, true));
    vm = await rig.vm.ready();
    await vm.headers(1);
  });
  afterEach(() => rig.stop());

  const goAway = async (): Promise<[lastStreamId: number, errorCode: number, debug: string]> => {
    const { payload } = await client.type(FrameType.GOAWAY);
    return [payload.readUInt32BE(0), payload.readUInt32BE(4), payload.toString("utf8", 8)];
  };
  const vmGoAway = (lastStreamId: number, debug = ""): Buffer =>
    frame(FrameType.GOAWAY, 0, 0, Buffer.concat([u32(lastStreamId, 0), Buffer.from(debug)]));

  it("of the machine passes, and its last stream id only falls", async () => {
    vm.send(vmGoAway(MAX_31_BIT), vmGoAway(9, "bye"), vmGoAway(100));
    expect(await goAway()).deep.equal([MAX_31_BIT, 0, ""]);
    expect(await goAway()).deep.equal([9, 0, "bye"]);
    expect(await goAway()).deep.equal([9, 0, ""]);
  });

  it("of the machine that only announces its end leaves requests on their way alone", async () => {
    vm.send(vmGoAway(MAX_31_BIT), trailersOnly(1));
    await client.headers(1);
    client.send(request(3, {}, true));
    await vm.headers(3);
    vm.send(vmGoAway(3), trailersOnly(3));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
    await client.closed;
  });

  it("of the machine sends requests above its id back: they neither pass nor get an answer", async () => {
    vm.send(vmGoAway(1));
    await goAway();
    client.send(request(3, {}, true));
    vm.send(trailersOnly(1));
    await client.headers(1);
    await client.closed;
    expect(vm.frames.some(({ id }) => id === 3)).equal(false);
    expect(client.frames.some(({ id }) => id === 3)).equal(false);
  });

  it("to idle connections of a satellite is sent only where no stream is open", async () => {
    rig.engine.goAwayIdle("ns/vm");
    await client.roundTripThrough(vm);
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
    vm.send(trailersOnly(1));
    await client.headers(1);
    rig.engine.goAwayIdle("ns/other");
    await client.roundTripThrough(vm);
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
    rig.engine.goAwayIdle("ns/vm");
    expect((await goAway()).slice(0, 2)).deep.equal([1, ErrorCode.NO_ERROR]);
    await client.closed;
    await vm.closed;
  });

  it("gives a request back that comes in a new epoch: connections do not carry over", async () => {
    rig.gate.answer = () => rig.gate.forward({ ...rig.upstream, epoch: 2 });
    client.send(request(3, {}, true));
    expect((await goAway()).slice(0, 2)).deep.equal([1, ErrorCode.NO_ERROR]);
    expect(rig.gate.released).equal(1);
    vm.send(trailersOnly(1));
    await client.headers(1);
    await client.closed;
    expect(vm.frames.some(({ id }) => id === 3)).equal(false);
  });

  it("of a drain: 2^31-1, PING, then the highest id, and the streams run to their end", async () => {
    const drained = rig.engine.drain(60_000);
    expect((await goAway())[0]).equal(MAX_31_BIT);
    const ping = await client.type(FrameType.PING);
    client.send(request(3, {}, true));
    await vm.headers(3);
    client.send(frame(FrameType.PING, Flag.ACK, 0, ping.payload));
    expect((await goAway())[0]).equal(3);
    client.send(request(5, {}, true));
    vm.send(trailersOnly(1), trailersOnly(3));
    await client.headers(1);
    await client.headers(3);
    client.socket.end();
    await drained;
    await client.closed;
    expect(vm.frames.some(({ id, type }) => id === 5 || type === FrameType.PING)).equal(false);
    expect(rig.gate.released).equal(2);
  });

  it("of a drain does not wait longer than its grace; what is open then hears UNAVAILABLE", async () => {
    await rig.engine.drain(1);
    await rig.engine.close();
    const answer = await client.headers(1);
    expect(answer.get("grpc-status")).equal("14");
    expect(answer.get("satellite-reason")).equal("RouterStopping");
    await client.closed;
    expect(rig.gate.released).equal(1);
  });
});
