import { expect } from "chai";
import { settingsFrame } from "../../../src/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType, MAX_31_BIT, Setting } from "../../../src/http2/protocol.ts";
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

describe("relay: injecting answers", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
  });
  afterEach(() => rig.stop());

  async function call(
    clientSettings: readonly (readonly [number, number])[] = [],
  ): Promise<{ client: Peer; vm: Peer }> {
    rig.admitAll();
    const both = await rig.call({ clientSettings });
    rig.gate.answer = undefined;
    return both;
  }

  async function refuse(place: number): Promise<void> {
    (await rig.gate.question(place)).settle({ kind: "refuse", status: 7, message: "", metadata: [] });
  }

  it("never come between HEADERS and CONTINUATION of the machine", async () => {
    const { client, vm } = await call();
    client.send(request(3, {}, true));
    await rig.gate.question(0);
    const block = headers(1, { ":status": "200", "x-a": "b" }).subarray(9);
    vm.send(frame(FrameType.HEADERS, 0, 1, block.subarray(0, 3)));
    await refuse(0);
    vm.send(frame(FrameType.CONTINUATION, 0, 1, block.subarray(3, 4)));
    expect((await client.headers(3)).get("grpc-status"), "it does not wait for the block").equal("7");
    vm.send(frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block.subarray(4)));
    expect((await client.headers(1)).get("x-a")).equal("b");
  });

  it("do not wait for the rest of a DATA frame of the machine, and do not come within one", async () => {
    const { client, vm } = await call();
    client.send(request(3, {}, true));
    const bytes = data(1, Buffer.alloc(16_000, 7));
    vm.send(headers(1, { ":status": "200" }), bytes.subarray(0, 6000));
    await client.headers(1);
    await refuse(0);
    expect((await client.headers(3)).get("grpc-status")).equal("7");
    vm.send(bytes.subarray(6000));
    const got = await client.content(1, 16_000);
    expect(got.every((byte) => byte === 7)).equal(true);
  });

  it("leave the machine's dynamic table as its encoder knows it", async () => {
    const { client, vm } = await call();
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

  it("begin with a table size update if the client reduces its table later", async () => {
    const { client } = await call();
    client.send(request(3, {}, true));
    await refuse(0);
    expect(firstByte(await answerTo(client, 3))).equal(0x88);
    client.send(
      settingsFrame([[Setting.HEADER_TABLE_SIZE, 100]]),
      request(5, {}, true),
      request(7, {}, true),
    );
    await refuse(1);
    const { payload } = await answerTo(client, 5);
    expect(payload.subarray(0, 2).toString("hex")).equal("3f45");
    await refuse(2);
    expect(firstByte(await answerTo(client, 7)), "once is enough").equal(0x88);
  });

  it("leave the table size update to the headers of the machine if these come first", async () => {
    const { client, vm } = await call();
    client.send(settingsFrame([[Setting.HEADER_TABLE_SIZE, 0]]), request(3, {}, true));
    await client.roundTrip();
    vm.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, Buffer.from([0x88])));
    expect((await answerTo(client, 1)).payload.subarray(0, 2).toString("hex")).equal("2088");
    await refuse(0);
    expect(firstByte(await answerTo(client, 3))).equal(0x88);
  });

  it("answer UNAVAILABLE to every open stream when the machine ends, as trailers where headers have passed", async () => {
    const { client, vm } = await call();
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
    await client.roundTrip();
    expect(client.frames.filter(({ id, type }) => id === 5 || type === FrameType.GOAWAY)).lengthOf(0);
    expect(rig.gate.failures).lengthOf(1);
  });

  it("end a stream whose machine ends within a frame, behind what has come of it", async () => {
    const { client, vm } = await call();
    vm.send(headers(1, { ":status": "200" }), data(1, Buffer.alloc(1000)).subarray(0, 509));
    await client.headers(1);
    vm.socket.end();
    expect(await client.content(1, 500)).lengthOf(500);
    expect((await client.headers(1)).get("satellite-reason")).equal("ConnectionLost");
    await rig.gate.until(() => rig.gate.released === 1);
  });
});

describe("relay: GOAWAY", () => {
  let rig: Rig;
  let client: Peer;
  let vm: Peer;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
    ({ client, vm } = await rig.call({ isWhole: true }));
  });
  afterEach(() => rig.stop());

  const goAway = async (): Promise<[lastStreamId: number, errorCode: number, debug: string]> => {
    const { payload } = await client.type(FrameType.GOAWAY);
    return [payload.readUInt32BE(0), payload.readUInt32BE(4), payload.toString("utf8", 8)];
  };
  const vmGoAway = (lastStreamId: number, debug = ""): Buffer =>
    frame(FrameType.GOAWAY, 0, 0, Buffer.concat([u32(lastStreamId, 0), Buffer.from(debug)]));

  async function expectNoGoAway(): Promise<void> {
    await client.roundTrip();
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
  }

  it("of the machine is kept from the client, whose further requests go over a new link", async () => {
    vm.send(vmGoAway(1, "bye"));
    await vm.roundTrip();
    client.send(request(3, {}, true));
    const further = await rig.vm.ready();
    await further.headers(1);
    vm.send(trailersOnly(1));
    further.send(trailersOnly(1));
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    expect((await client.headers(3)).get("grpc-status")).equal("0");
    await expectNoGoAway();
    expect(vm.frames.some(({ id }) => id === 3)).equal(false);
  });

  it("of the machine for a fault that it sees is kept from the client, who is told it when the link ends", async () => {
    const payload = Buffer.concat([u32(1, ErrorCode.ENHANCE_YOUR_CALM), Buffer.from("too_many_pings")]);
    vm.send(frame(FrameType.GOAWAY, 0, 0, payload));
    vm.socket.end();
    const answer = await client.headers(1);
    expect(answer.get("satellite-reason")).equal("ConnectionLost");
    expect(answer.get("grpc-message")).contain("too_many_pings");
    await expectNoGoAway();
  });

  it("of the machine that only announces its end leaves requests on their way alone", async () => {
    client.send(request(3, {}, true));
    await vm.headers(3);
    vm.send(vmGoAway(MAX_31_BIT), trailersOnly(1));
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    vm.send(vmGoAway(3), trailersOnly(3));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
    await expectNoGoAway();
  });

  it("of the machine lets the client send again what was passed on and not taken", async () => {
    client.send(request(3, {}, true));
    await vm.headers(3);
    vm.send(vmGoAway(1), trailersOnly(1));
    expect((await client.type(FrameType.RST_STREAM, 3)).payload.readUInt32BE(0)).equal(
      ErrorCode.REFUSED_STREAM,
    );
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    await rig.gate.until(() => rig.gate.released === 2);
  });

  it("is not sent before a sleep: links to the satellite end, where no stream is open", async () => {
    rig.engine.goAwayIdle("ns/vm");
    await vm.roundTrip();
    vm.send(trailersOnly(1));
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    rig.engine.goAwayIdle("ns/other");
    await vm.roundTrip();
    rig.engine.goAwayIdle("ns/vm");
    await vm.closed;
    await expectNoGoAway();
    expect(rig.gate.failures).lengthOf(0);
  });

  it("is not sent before a sleep: a request that is on its way is served after the sleep", async () => {
    vm.send(trailersOnly(1));
    await client.headers(1);
    rig.engine.goAwayIdle("ns/vm");
    rig.gate.answer = undefined;
    const part = "x".repeat(10_000);
    client.send(request(3), ...[1, 2, 3, 4].map(() => data(3, part)), data(3, part, true));
    const question = await rig.gate.question(0);
    await vm.closed;
    question.settle(rig.gate.forward({ ...rig.upstream, epoch: 2 }, { heldMs: 1000 }));
    const further = await rig.vm.ready();
    await further.headers(1);
    expect((await further.content(1, 50_000)).toString()).equal("x".repeat(50_000));
    further.send(headers(1, { ":status": "200" }), data(1, "y"), headers(1, { "grpc-status": "0" }, true));
    expect((await client.type(FrameType.DATA, 3)).payload.toString()).equal("y");
    await expectNoGoAway();
  });

  it("is not sent before a sleep: a link that a request waits for goes on", async () => {
    vm.socket.end(trailersOnly(1));
    await client.headers(1);
    await vm.closed;
    client.send(request(3, {}, true));
    const further = await rig.vm.accept();
    await client.roundTrip();
    rig.engine.goAwayIdle("ns/vm");
    further.send(settingsFrame([]));
    await further.headers(1);
    further.send(trailersOnly(1));
    expect((await client.headers(3)).get("grpc-status")).equal("0");
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
