import { expect } from "chai";
import { GrpcStatus } from "../../../src/router/engine.ts";
import { settingsAckFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType, Setting } from "../../../src/http2/protocol.ts";
import {
  block,
  connectRaw,
  data,
  frame,
  headers,
  request,
  settingsOf,
  trailersOnly,
  u32,
  type Peer,
} from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

describe("relay: while requests are held", () => {
  let rig: Rig;
  let client: Peer;

  beforeEach(async () => {
    rig = await new Rig().start();
    client = rig.track(await connectRaw(rig.port));
  });
  afterEach(() => rig.stop());

  it("answers the preface at once with its own SETTINGS, and acknowledges the client's", async () => {
    const own = await client.take(({ type, flags }) => type === FrameType.SETTINGS && flags === 0);
    expect(settingsOf(own.payload)).deep.equal([
      [Setting.MAX_CONCURRENT_STREAMS, 1000],
      [Setting.MAX_HEADER_LIST_SIZE, 1024 * 1024],
    ]);
    await client.take(({ type, flags }) => type === FrameType.SETTINGS && flags === Flag.ACK);
  });

  it("answers PING and further SETTINGS while a request waits", async () => {
    client.send(request(1));
    await rig.gate.question(0);
    await client.type(FrameType.SETTINGS);
    await client.type(FrameType.SETTINGS);
    client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 1000]]));
    await client.roundTrip();
    expect(await client.type(FrameType.SETTINGS)).include({ flags: Flag.ACK });
  });

  it("passes nothing to the machine before the gate answers, then everything in order", async () => {
    client.send(request(1, { "x-one": "1" }), data(1, "first"), data(1, "second", true));
    const question = await rig.gate.question(0);
    await client.roundTrip();
    expect(rig.vm.peers).lengthOf(0);
    question.settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.ready();
    expect((await vm.headers(1)).get("x-one")).equal("1");
    expect(await vm.type(FrameType.DATA, 1)).deep.include({
      flags: Flag.END_STREAM,
      payload: Buffer.from("firstsecond"),
    });
  });

  it("waits for the machine's SETTINGS before it sends a request", async () => {
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.accept();
    await vm.type(FrameType.SETTINGS);
    await client.roundTrip();
    expect(vm.frames.some(({ type }) => type === FrameType.HEADERS)).equal(false);
    vm.send(settingsFrame([]));
    await vm.headers(1);
  });

  it("never lets a request that was cancelled while held reach the machine, nor disturbs its neighbours", async () => {
    client.send(request(1, { "x-n": "1" }), request(3, { "x-n": "3" }, true), data(1, "x".repeat(1000)));
    const first = await rig.gate.question(0);
    const second = await rig.gate.question(1);
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(ErrorCode.CANCEL)));
    await client.roundTrip();
    expect(first.signal.aborted).equal(true);
    expect(second.signal.aborted).equal(false);
    first.settle(rig.gate.forward(rig.upstream));
    await rig.gate.until(() => rig.gate.released === 1);
    second.settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.ready();
    expect((await vm.headers(1)).get("x-n")).equal("3");
    vm.send(trailersOnly(1));
    await client.headers(3);
    expect(vm.frames.some(({ type }) => type === FrameType.HEADERS)).equal(false);
  });

  it("does not let requests that wait stop the streams that are open", async () => {
    client.send(request(1));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    await client.type(FrameType.WINDOW_UPDATE, 0);
    const part = Buffer.alloc(12_000, 3);
    const waiting = [3, 5, 7, 9];
    for (const id of waiting) {
      client.send(request(id), ...Array.from({ length: 5 }, () => data(id, part)));
    }
    await rig.gate.question(waiting.length);
    let backBytes = 0;
    while (backBytes < 200_000) {
      backBytes += (await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0);
    }
    client.send(data(1, part), data(1, part, true));
    await vm.take(({ type, flags, id }) => type === FrameType.DATA && flags === Flag.END_STREAM && id === 1);
    vm.send(trailersOnly(1));
    await client.headers(1);
    for (const [place, id] of waiting.entries()) {
      client.send(data(id, "", true));
      rig.gate.questions[place + 1]?.settle(rig.gate.forward({ ...rig.upstream, epoch: 2 }, { heldMs: 1 }));
    }
    const further = await rig.vm.ready();
    further.send(frame(FrameType.WINDOW_UPDATE, 0, 0, u32(300_000)));
    for (const [place, id] of waiting.entries()) {
      const linkId = 2 * place + 1;
      const content = await further.content(linkId, 5 * part.length);
      expect(content.equals(Buffer.alloc(5 * part.length, 3))).equal(true);
      further.send(trailersOnly(linkId));
      expect((await client.headers(id)).get("grpc-status")).equal("0");
    }
  });

  it("gives the connection window of dropped DATA back, padding included", async () => {
    client.send(
      request(1),
      frame(FrameType.DATA, Flag.PADDED, 1, Buffer.concat([Buffer.from([50]), Buffer.alloc(100)])),
    );
    await rig.gate.question(0);
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(ErrorCode.CANCEL)));
    let grantedBytes = 0;
    while (grantedBytes < 101) {
      grantedBytes += (await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0);
    }
    expect(grantedBytes).equal(101);
    client.send(request(3));
    (await rig.gate.question(1)).settle({ kind: "refuse", status: 7, message: "", metadata: [] });
    await client.headers(3);
    client.send(data(3, "x".repeat(77)));
    expect((await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0)).equal(77);
  });

  it("refuses twenty requests with 60 KB of DATA each on one connection, and then serves one more", async () => {
    for (let id = 1; id < 40; id += 2) {
      client.send(request(id), ...Array.from({ length: 4 }, () => data(id, Buffer.alloc(15_000))));
      const question = await rig.gate.question((id - 1) / 2);
      await client.roundTrip();
      question.settle({ kind: "refuse", status: GrpcStatus.PERMISSION_DENIED, message: "no", metadata: [] });
      expect((await client.headers(id)).get("grpc-status")).equal("7");
      expect((await client.type(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0)).equal(60_000);
    }
    rig.admitAll();
    client.send(request(41, {}, true));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    vm.send(trailersOnly(1));
    expect((await client.headers(41)).get("grpc-status")).equal("0");
  });

  it("enforces the window of a stream, which no connection window exceeds", async () => {
    client.send(request(1));
    for (let sent = 0; sent < 65_535; sent += 13_107) {
      client.send(data(1, Buffer.alloc(13_107)));
    }
    await client.roundTrip();
    client.send(data(1, "x"));
    const goAway = await client.type(FrameType.GOAWAY);
    expect(goAway.payload.readUInt32BE(4)).equal(ErrorCode.FLOW_CONTROL_ERROR);
  });

  it("enforces the window of the connection", async () => {
    client.send(request(1), request(3), data(1, Buffer.alloc(16_000)), data(1, Buffer.alloc(16_000)));
    client.send(data(3, Buffer.alloc(16_000)), data(3, Buffer.alloc(16_000)));
    await client.roundTrip();
    client.send(data(3, Buffer.alloc(2000)));
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(ErrorCode.FLOW_CONTROL_ERROR);
  });

  it("enforces the frame size", async () => {
    client.send(request(1), data(1, Buffer.alloc(16_385)));
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(ErrorCode.FRAME_SIZE_ERROR);
  });

  it("refuses streams over the limit once the client knows it", async () => {
    await client.type(FrameType.SETTINGS);
    client.send(settingsAckFrame());
    for (let id = 1; id <= 2001; id += 2) {
      client.send(request(id));
    }
    const reset = await client.type(FrameType.RST_STREAM);
    expect([reset.id, reset.payload.readUInt32BE(0)]).deep.equal([2001, ErrorCode.REFUSED_STREAM]);
    expect(rig.gate.questions).lengthOf(1000);
  });

  it("passes the stream's windows that the client granted meanwhile on to the machine", async () => {
    client.send(request(1, {}, true));
    client.send(
      frame(FrameType.WINDOW_UPDATE, 0, 1, u32(300)),
      frame(FrameType.WINDOW_UPDATE, 0, 1, u32(400)),
    );
    const question = await rig.gate.question(0);
    await client.roundTrip();
    question.settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.ready();
    expect((await vm.type(FrameType.WINDOW_UPDATE, 1)).payload.readUInt32BE(0)).equal(700);
  });

  it("shortens grpc-timeout by the time held, and drops what the gate says", async () => {
    client.send(request(1, { "grpc-timeout": "10S", authorization: "Bearer secret", "x-keep": "me" }, true));
    const drop = new Set(["authorization"]);
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream, { drop, heldMs: 4000 }));
    const vm = await rig.vm.ready();
    const fields = await vm.headers(1);
    expect(fields.get("grpc-timeout")).equal("6000000u");
    expect(fields.get("x-keep")).equal("me");
    expect(fields.has("authorization")).equal(false);
  });

  it("answers DEADLINE_EXCEEDED when the deadline passed while held", async () => {
    client.send(request(1, { "grpc-timeout": "3S" }, true), request(3, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream, { heldMs: 3000 }));
    (await rig.gate.question(1)).settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    vm.send(trailersOnly(1));
    await client.headers(3);
    expect((await client.headers(1)).get("grpc-status")).equal("4");
    expect(vm.frames.some(({ type }) => type === FrameType.HEADERS)).equal(false);
    expect(rig.gate.released).equal(2);
  });

  it("drops the same headers from trailers", async () => {
    client.send(request(1), headers(1, { authorization: "Bearer secret", "x-sum": "9" }, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream, { drop: new Set(["authorization"]) }));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    expect([...(await vm.headers(1))]).deep.equal([["x-sum", "9"]]);
  });

  it("tells what a refusal says: status, encoded message, metadata, then RST_STREAM(NO_ERROR)", async () => {
    client.send(request(1));
    (await rig.gate.question(0)).settle({
      kind: "refuse",
      status: GrpcStatus.UNAVAILABLE,
      message: "100 % aus – später",
      metadata: [["satellite-phase", "Failed"]],
    });
    const answer = await client.headers(1);
    expect([...answer]).deep.equal([
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-status", "14"],
      ["grpc-message", "100 %25 aus %E2%80%93 sp%C3%A4ter"],
      ["satellite-phase", "Failed"],
    ]);
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(ErrorCode.NO_ERROR);
  });

  it("sends no RST_STREAM behind an answer to a request that was whole", async () => {
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).settle({ kind: "refuse", status: 5, message: "", metadata: [] });
    await client.headers(1);
    await client.roundTrip();
    expect(client.frames.some(({ type }) => type === FrameType.RST_STREAM)).equal(false);
  });

  it("answers INTERNAL when the gate throws, and says nothing of why", async () => {
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).fail(new Error("secret detail"));
    const answer = await client.headers(1);
    expect(answer.get("grpc-status")).equal("13");
    expect(answer.get("grpc-message")).not.contain("secret");
  });

  it("asks again and connects again when a machine goes away before its SETTINGS", async () => {
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    (await rig.vm.accept()).socket.destroy();
    const again = await rig.gate.question(1);
    expect(rig.gate.failures).lengthOf(1);
    expect(rig.gate.released).equal(1);
    again.settle(rig.gate.forward({ ...rig.upstream, epoch: 2 }));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    expect((await vm.type(FrameType.SETTINGS)).flags).equal(0);
  });

  it("answers UNAVAILABLE after the machine could not be reached many times", async () => {
    rig.gate.answer = () => rig.gate.forward({ ...rig.upstream, port: 1 });
    const patient = await new Rig({ limits: { redialBaseMs: 1, maxConnectAttempts: 3 } }).start();
    try {
      patient.gate.answer = () => patient.gate.forward({ ...patient.upstream, port: 1 });
      const peer = patient.track(await connectRaw(patient.port));
      peer.send(request(1, {}, true));
      expect((await peer.headers(1)).get("grpc-status")).equal("14");
      expect(patient.gate.failures).lengthOf(3);
      expect(patient.gate.released).equal(3);
    } finally {
      await patient.stop();
    }
  });

  it("treats a client that ended its side as gone", async () => {
    client.send(request(1, {}, true));
    const question = await rig.gate.question(0);
    client.socket.end();
    await client.closed;
    expect(question.signal.aborted).equal(true);
    question.settle(rig.gate.forward(rig.upstream));
    await rig.gate.until(() => rig.gate.released === 1);
    expect(rig.vm.peers).lengthOf(0);
  });

  it("gives a connection to a machine up when every request for it was cancelled", async () => {
    client.send(request(1, {}, true));
    (await rig.gate.question(0)).settle(rig.gate.forward(rig.upstream));
    const vm = await rig.vm.accept();
    client.send(frame(FrameType.RST_STREAM, 0, 1, u32(ErrorCode.CANCEL)));
    await vm.closed;
    expect(rig.gate.released).equal(1);
    expect(rig.gate.failures).lengthOf(0);
  });

  it("rejects malformed requests alone, with RST_STREAM(PROTOCOL_ERROR)", async () => {
    client.send(headers(1, { ":method": "GET", ":scheme": "http", ":path": "/", Upper: "1" }, true));
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
      ErrorCode.PROTOCOL_ERROR,
    );
    client.send(request(3, {}, true));
    await rig.gate.question(0);
    expect(rig.gate.questions).lengthOf(1);
  });

  it("refuses a request with very large metadata alone, with RESOURCE_EXHAUSTED", async () => {
    const value = Buffer.alloc(900, 0x61).toString();
    const bomb = Buffer.concat([
      block({ ":method": "POST", ":scheme": "http", ":path": "/a", ":authority": "a" }),
      Buffer.from([0x40, 0x01, 0x6b, 0x7f, 0x85, 0x06]),
      Buffer.from(value),
      Buffer.alloc(2000, 0xbe),
    ]);
    client.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, bomb));
    expect((await client.headers(1)).get("grpc-status")).equal("8");
    client.send(request(3, {}, true));
    await rig.gate.question(0);
  });
});
