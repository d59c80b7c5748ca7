import { once } from "node:events";
import { expect } from "chai";
import { Flag, FrameType, Setting } from "../../../src/http2/protocol.ts";
import { connectRaw, data, frame, headers, request, trailersOnly, u32, type Peer } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

const MAX_WINDOW_BYTES = 2 ** 31 - 1;

function windowSetting(sizeBytes: number): Buffer {
  const payload = Buffer.concat([Buffer.from([0, Setting.INITIAL_WINDOW_SIZE]), u32(sizeBytes)]);
  return frame(FrameType.SETTINGS, 0, 0, payload);
}

describe("relay: the end of each request", () => {
  let rig: Rig;
  let codes: string[];

  beforeEach(async () => {
    codes = [];
    rig = await new Rig({ onRequestEnd: (code) => codes.push(code) }).start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  /** Resolves when so many requests have been released, and their ends counted. */
  async function released(count: number): Promise<string[]> {
    await rig.gate.until(() => rig.gate.released === count);
    await new Promise(setImmediate);
    return codes;
  }

  /** One request that the gate holds. */
  async function held(): Promise<Peer> {
    rig.gate.answer = undefined;
    const client = rig.track(await connectRaw(rig.port));
    client.send(request(1));
    await rig.gate.question(0);
    return client;
  }

  it("comes whole to a client that has ended its side, however long the answer, and whatever the machine asks meanwhile", async () => {
    const { client, vm } = await rig.call({
      isWhole: true,
      clientSettings: [[Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW_BYTES]],
    });
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 0, u32(2 ** 30)));
    await client.roundTrip();
    client.socket.end();
    await client.type(FrameType.GOAWAY);
    vm.send(headers(1, { ":status": "200" }));
    const part = Buffer.alloc(16_000, 7);
    for (let sent = 0; sent < 100; sent += 1) {
      vm.send(data(1, part));
      if (sent % 10 === 0) {
        vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
        await vm.type(FrameType.PING);
      }
    }
    vm.send(headers(1, { "grpc-status": "0" }, true));
    let receivedBytes = 0;
    while (receivedBytes < 100 * part.length) {
      receivedBytes += (await client.type(FrameType.DATA, 1)).payload.length;
    }
    // The answer's own headers came first.
    await client.headers(1);
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    expect(await released(1)).deep.equal(["PASSED"]);
    expect(rig.gate.failures).lengthOf(0);
  });

  it("comes soon after the client is gone, though all of the request was sent, and is no failure of the machine", async () => {
    const { client, vm } = await rig.call({ isWhole: true });
    await client.roundTrip();
    client.socket.destroy();
    await vm.closed;
    expect(await released(1)).deep.equal(["CANCELLED"]);
    expect(rig.gate.failures).lengthOf(0);
  });

  it("is counted where the client resets its connection", async () => {
    const { client } = await rig.call();
    client.socket.resetAndDestroy();
    expect(await released(1)).deep.equal(["CANCELLED"]);
  });

  it("is counted once where the answer had ended before", async () => {
    const { client, vm } = await rig.call();
    vm.send(trailersOnly(1));
    await client.headers(1);
    client.socket.end();
    await once(client.socket, "close");
    expect(await released(1)).deep.equal(["PASSED"]);
  });

  it("is counted where the request was held, and the client ends or resets its connection", async () => {
    for (const end of [(peer: Peer) => peer.socket.end(), (peer: Peer) => peer.socket.resetAndDestroy()]) {
      const client = await held();
      const { signal } = rig.gate.questions.pop()!;
      end(client);
      await once(signal, "abort");
      await new Promise(setImmediate);
    }
    expect(codes).deep.equal(["CANCELLED", "CANCELLED"]);
  });

  it("is counted where the client breaks the protocol on a stream, or altogether", async () => {
    const { client, vm } = await rig.call();
    client.send(request(3));
    await vm.headers(3);
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, u32(0)));
    expect(await released(1)).deep.equal(["CANCELLED"]);
    client.send(frame(FrameType.PING, Flag.ACK, 0, u32(0)));
    expect(await released(2)).deep.equal(["CANCELLED", "CANCELLED"]);
  });

  it("does not come by windows that become smaller and larger again, as a client may have them", async () => {
    const { client, vm } = await rig.call({
      clientSettings: [[Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW_BYTES]],
    });
    client.send(windowSetting(65_535), windowSetting(MAX_WINDOW_BYTES), windowSetting(0), windowSetting(10));
    await client.roundTrip();
    // The machine may not have heard of it yet.
    vm.send(
      headers(1, { ":status": "200" }),
      data(1, "more than ten bytes"),
      headers(1, { "grpc-status": "0" }, true),
    );
    await client.headers(1);
    expect((await client.headers(1)).get("grpc-status")).equal("0");
    expect(client.frames.some(({ type }) => type === FrameType.GOAWAY)).equal(false);
  });
});
