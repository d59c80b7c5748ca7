import { expect } from "chai";
import type { Upstream } from "../../../src/router/engine.ts";
import { firstValue } from "../../../src/router/header-list.ts";
import { FrameType, Setting } from "../../../src/http2/protocol.ts";
import { connectRaw, data, frame, headers, request, trailersOnly, u32, type Peer } from "./support/peer.ts";
import { RawVm, Rig } from "./support/rig.ts";

const COUNT = 50;
const MIB = 1024 * 1024;
const idOf = (place: number): number => 2 * place + 1;

/** One connection as a proxy has it: each of its streams is for another satellite. */
describe("one connection to 50 satellites", function () {
  this.timeout(60_000);
  let rig: Rig;
  let client: Peer;
  let vms: RawVm[];

  beforeEach(async () => {
    rig = await new Rig().start();
    vms = Array.from({ length: COUNT }, () => new RawVm());
    const ports = await Promise.all(vms.map((vm) => vm.listen()));
    for (const vm of vms) {
      vm.server.on("connection", (socket) => void rig.track({ socket } as Peer));
    }
    const upstreams = ports.map((port, place): Upstream => ({
      satellite: `ns/vm-${place}`,
      epoch: 1,
      host: "127.0.0.1",
      port,
    }));
    rig.gate.answer = (fields) => rig.gate.forward(upstreams[Number(firstValue(fields, "vm"))]!);
    client = rig.track(await connectRaw(rig.port));
  });
  afterEach(async () => {
    await rig.stop();
    for (const vm of vms) {
      vm.server.close();
    }
  });

  /** A call to each of the satellites from `start` on, with a body, answered with one. */
  async function expectServed(start: number): Promise<void> {
    const places = Array.from({ length: COUNT - start }, (_unused, place) => place + start);
    client.send(
      ...places.map((place) =>
        Buffer.concat([request(idOf(place), { vm: String(place) }), data(idOf(place), "question", true)]),
      ),
    );
    await Promise.all(
      places.map(async (place) => {
        const vm = await vms[place]!.ready();
        const { id } = await vm.take(({ fields }) => fields !== undefined);
        expect((await vm.content(id, 8)).toString()).equal("question");
        vm.send(headers(id, { ":status": "200" }), data(id, `from ${place}`));
        vm.send(headers(id, { "grpc-status": "0" }, true));
      }),
    );
    for (const place of places) {
      expect((await client.headers(idOf(place))).get(":status")).equal("200");
      expect((await client.type(FrameType.DATA, idOf(place))).payload.toString()).equal(`from ${place}`);
      expect((await client.headers(idOf(place))).get("grpc-status")).equal("0");
    }
  }

  async function first(): Promise<Peer> {
    client.send(request(1, { vm: "0" }));
    const vm = await vms[0]!.ready([[Setting.INITIAL_WINDOW_SIZE, 16 * MIB]]);
    await vm.headers(1);
    return vm;
  }

  it("serves all of them", async () => {
    await expectServed(0);
  });

  it("serves the others while one stops within a frame of its answer", async () => {
    const vm = await first();
    vm.send(headers(1, { ":status": "200" }), data(1, Buffer.alloc(10_000, 1)).subarray(0, 5000));
    await client.headers(1);
    await expectServed(1);
    vm.send(Buffer.alloc(10_000 + 9 - 5000, 1), headers(1, { "grpc-status": "0" }, true));
    expect(await client.content(1, 10_000)).lengthOf(10_000);
    expect((await client.headers(1)).get("grpc-status")).equal("0");
  });

  it("serves the others while one stops within a header block of its answer", async () => {
    const vm = await first();
    const answer = trailersOnly(1);
    vm.send(frame(FrameType.HEADERS, 0, 1, answer.subarray(9, 20)));
    await expectServed(1);
    vm.send(frame(FrameType.CONTINUATION, 4, 1, answer.subarray(20)));
    expect((await client.headers(1)).get("grpc-status")).equal("0");
  });

  it("serves the others while one takes nothing of what it is sent", async () => {
    const vm = await first();
    vm.send(
      frame(FrameType.WINDOW_UPDATE, 0, 0, u32(16 * MIB)),
      frame(FrameType.WINDOW_UPDATE, 0, 1, u32(8 * MIB)),
    );
    await client.type(FrameType.WINDOW_UPDATE, 1);
    vm.socket.pause();
    // As much as the client may send, and more than sockets take.
    const windowBytes = 250_000;
    for (let sentBytes = 0; sentBytes + 16_000 < windowBytes; sentBytes += 16_000) {
      client.send(data(1, Buffer.alloc(16_000, 7)));
    }
    await expectServed(1);
  });

  it("ends every call of a client that is gone, though its requests are whole and the answers never end", async () => {
    client.send(request(1, { vm: "0" }, true), request(3, { vm: "1" }, true));
    const peers = [await vms[0]!.ready(), await vms[1]!.ready()];
    for (const peer of peers) {
      const { id } = await peer.take(({ fields }) => fields !== undefined);
      peer.send(headers(id, { ":status": "200" }), data(id, "the beginning"));
    }
    await Promise.all([client.headers(1), client.headers(3)]);
    client.socket.destroy();
    await Promise.all(peers.map(({ closed }) => closed));
  });

  it("serves the others though one takes no more than one stream, and no content", async () => {
    client.send(request(1, { vm: "0" }));
    const vm = await vms[0]!.ready([
      [Setting.MAX_CONCURRENT_STREAMS, 1],
      [Setting.INITIAL_WINDOW_SIZE, 0],
      [Setting.MAX_HEADER_LIST_SIZE, 1],
    ]);
    await vm.headers(1);
    await expectServed(1);
    const told = client.frames.filter(({ type, flags }) => type === FrameType.SETTINGS && flags === 0);
    for (const { payload } of told) {
      for (let at = 0; at < payload.length; at += 6) {
        const id = payload.readUInt16BE(at);
        expect(
          (id === Setting.MAX_CONCURRENT_STREAMS && payload.readUInt32BE(at + 2) < 100) ||
            (id === Setting.MAX_HEADER_LIST_SIZE && payload.readUInt32BE(at + 2) < MIB),
        ).equal(false);
      }
    }
  });
});
