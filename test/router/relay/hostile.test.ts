import { once } from "node:events";
import http2, { type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { ErrorCode, Flag, FrameType, MAX_31_BIT, Setting } from "../../../src/http2/protocol.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import {
  block,
  connectRaw,
  data,
  frame,
  headers,
  request,
  trailersOnly,
  u32,
  type Peer,
} from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

const OK_HEADERS = { ":status": "200" } as const;

/** Long enough for everything else that can move. */
async function rounds(peer: Peer): Promise<void> {
  for (let turn = 0; turn < 500; turn += 1) {
    await peer.roundTrip();
  }
}

describe("relay: what one peer does to the streams of others", () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  for (const [what, late] of [
    ["content", data(1, "late")],
    ["an end", data(1, "", true)],
    ["trailers", headers(1, { "grpc-status": "0" }, true)],
    ["padding", frame(FrameType.DATA, Flag.PADDED, 1, Buffer.from([1, 0x78, 0]))],
  ] as const) {
    it(`${what} of a machine behind the end of its answer does not reach the client, who still sends`, async () => {
      const { client, vm } = await rig.call();
      vm.send(headers(1, OK_HEADERS), headers(1, { "grpc-status": "0" }, true), late);
      await client.headers(1);
      await client.headers(1);
      await vm.roundTrip();
      await client.roundTrip();
      expect(client.frames.filter(({ id, type }) => id === 1 && type !== FrameType.WINDOW_UPDATE)).deep.equal(
        [],
      );
      client.send(data(1, "goes on", true));
      expect((await vm.content(1, 7)).toString()).equal("goes on");
    });
  }

  it("an answer does not wait behind another stream's content that the client takes no more of", async () => {
    const { client, vm } = await rig.call();
    vm.send(headers(1, OK_HEADERS), ...Array.from({ length: 5 }, () => data(1, Buffer.alloc(13_107))));
    vm.send(frame(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await vm.type(FrameType.PING);
    await client.content(1, 65_535);
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, u32(1000)));
    await vm.type(FrameType.WINDOW_UPDATE, 1);
    vm.send(data(1, "more than the connection's window"));
    await vm.roundTrip();
    rig.gate.answer = () => ({ kind: "refuse", status: 7, message: "", metadata: [] });
    client.send(request(3, {}, true));
    expect((await client.headers(3)).get("grpc-status")).equal("7");
    rig.admitAll();
    client.send(request(5, {}, true));
    await vm.headers(3);
    vm.send(trailersOnly(3));
    expect((await client.headers(5)).get("grpc-status")).equal("0");
  });

  it("a machine is not read while answers of it wait for the client's window, whatever they consist of", async () => {
    const { client, vm } = await rig.call();
    vm.send(headers(1, OK_HEADERS), ...Array.from({ length: 5 }, () => data(1, Buffer.alloc(13_107))));
    await client.content(1, 65_535);
    const other = rig.track(await connectRaw(rig.port));
    const trailers = headers(3, { "grpc-status": "0", "x-a": "a".repeat(16_000) }, true).subarray(9);
    let taken = 0;
    const answerAll = async (): Promise<void> => {
      for (let id = 3; id < 3000; id += 2) {
        client.send(request(id, {}, true));
        await vm.headers(id);
        const end = frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, id, trailers);
        const answer = Buffer.concat([headers(id, OK_HEADERS), data(id, "x"), end]);
        await new Promise<void>((resolve) => {
          vm.socket.write(answer, () => resolve());
        });
        taken += 1;
      }
    };
    void answerAll();
    for (let before = -1; taken !== before;) {
      before = taken;
      await rounds(other);
    }
    expect(taken, "answers that the router and the sockets took").lessThan(1499);
    expect(rig.gate.failures).deep.equal([]);
  });

  it("a few bytes of a machine that stand for very many end its link", async () => {
    const { client, vm } = await rig.call();
    // One entry of the dynamic table, and a thousand references to it.
    const first = Buffer.concat([
      block({ ":status": "103" }),
      Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]),
    ]);
    vm.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, Buffer.concat([first, Buffer.alloc(4000, 0x61)])));
    const many = Buffer.concat([block({ ":status": "103" }), Buffer.alloc(400, 0xbe)]);
    vm.send(...Array.from({ length: 200 }, () => frame(FrameType.HEADERS, Flag.END_HEADERS, 1, many)));
    await vm.closed;
    expect(rig.gate.failures[0]?.error).have.property("code", "Http2.ENHANCE_YOUR_CALM");
    await client.roundTrip();
  });

  it("links to a machine that says goodbye after each answer and does not hang up are ended", async () => {
    const client = rig.track(await connectRaw(rig.port));
    for (let id = 1; id < 20; id += 2) {
      client.send(request(id, {}, true));
      const vm = await rig.vm.ready();
      await vm.headers(1);
      vm.send(frame(FrameType.GOAWAY, 0, 0, u32(MAX_31_BIT, 0)), trailersOnly(1));
      expect((await client.headers(id)).get("grpc-status")).equal("0");
      await vm.closed;
    }
  });

  it("a link that was ended is given up when its machine does not end it, too", async () => {
    const clock = new VirtualClock();
    const timed = await new Rig({ clock, limits: { lingerMs: 5000 } }).start();
    try {
      timed.admitAll();
      const { client, vm } = await timed.call({ isWhole: true });
      vm.send(trailersOnly(1));
      await client.headers(1);
      timed.engine.goAwayIdle("ns/vm");
      await vm.closed;
      await clock.advance(5000);
      const closed = new Promise<void>((resolve) => {
        vm.socket.once("close", () => resolve());
      });
      // A socket that is closed answers what still comes with a reset.
      const flood = (): void => {
        if (!vm.socket.destroyed) {
          vm.socket.write(frame(FrameType.PING, 0, 0, Buffer.alloc(8)), () => setImmediate(flood));
        }
      };
      flood();
      await closed;
    } finally {
      await timed.stop();
    }
  });

  it("requests to a machine that does not read wait, and use no more memory than those that wait", async () => {
    const small = await new Rig({ limits: { maxWaitingBytes: 1024 * 1024 } }).start();
    try {
      small.admitAll();
      const { client, vm } = await small.call();
      vm.socket.pause();
      const encoded = request(1, { "x-a": "a".repeat(16_000) }).subarray(9);
      for (let id = 3; id < 1900; id += 2) {
        client.send(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, id, encoded));
      }
      const refused = await client.take(({ fields }) => fields !== undefined);
      expect(new Map(refused.fields).get("satellite-reason")).equal("TooManyHeldBytes");
    } finally {
      await small.stop();
    }
  });

  it("many small grants of the client become one for the machine", async () => {
    const { client, vm } = await rig.call();
    client.send(...Array.from({ length: 1000 }, () => frame(FrameType.WINDOW_UPDATE, 0, 1, u32(1))));
    let grantedBytes = 0;
    let count = 0;
    for (; grantedBytes < 1000; count += 1) {
      grantedBytes += (await vm.type(FrameType.WINDOW_UPDATE, 1)).payload.readUInt32BE(0);
    }
    expect(grantedBytes).equal(1000);
    expect(count).lessThan(20);
  });

  it("grants above what a window can be reset their stream alone", async () => {
    const { client, vm } = await rig.call();
    const most = frame(FrameType.WINDOW_UPDATE, 0, 1, u32(MAX_31_BIT));
    client.send(most, most);
    expect((await client.type(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0)).equal(
      ErrorCode.FLOW_CONTROL_ERROR,
    );
    await vm.type(FrameType.RST_STREAM, 1);
    await client.roundTrip();
  });

  it("many small parts of a request that wait for the machine's window are kept close together", async () => {
    const client = rig.track(await connectRaw(rig.port));
    client.send(request(1));
    const vm = await rig.vm.ready([[Setting.INITIAL_WINDOW_SIZE, 0]]);
    await vm.headers(1);
    client.send(...Array.from({ length: 10_000 }, () => data(1, "x")), data(1, "x", true));
    await client.roundTrip();
    vm.send(frame(FrameType.WINDOW_UPDATE, 0, 1, u32(20_000)));
    let sizeBytes = 0;
    let count = 0;
    for (; sizeBytes < 10_001; count += 1) {
      sizeBytes += (await vm.type(FrameType.DATA, 1)).payload.length;
    }
    expect(count).lessThan(20);
  });

  it("a machine that does not read the answers it asks for", async () => {
    const deaf = await new Rig({
      limits: { maxControlBytes: 4096, pingRate: { burst: 1e9, perSecond: 1e9 } },
    }).start();
    try {
      deaf.admitAll();
      const { client, vm } = await deaf.call();
      vm.socket.pause();
      const pings = Buffer.concat(
        Array.from({ length: 1000 }, () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))),
      );
      let sentBytes = 0;
      const flood = (): void => {
        while (sentBytes < 64 * 1024 * 1024 && !vm.socket.destroyed && vm.socket.write(pings)) {
          sentBytes += pings.length;
        }
      };
      vm.socket.on("drain", flood);
      flood();
      expect((await client.headers(1)).get("satellite-reason")).equal("ConnectionLost");
      await client.roundTrip();
    } finally {
      await deaf.stop();
    }
  });

  it("a machine's metadata that is larger than the client said it takes ends its call alone", async () => {
    const client = rig.track(await connectRaw(rig.port, [[Setting.MAX_HEADER_LIST_SIZE, 1000]]));
    client.send(request(1, {}, true), request(3, {}, true));
    const vm = await rig.vm.ready();
    await vm.headers(3);
    vm.send(headers(1, { ...OK_HEADERS, large: "v".repeat(1000) }), trailersOnly(3));
    const answer = await client.headers(1);
    expect([answer.get("grpc-status"), answer.get("large")]).deep.equal(["8", undefined]);
    expect((await client.headers(3)).get("grpc-status")).equal("0");
    expect((await vm.type(FrameType.RST_STREAM)).id).equal(1);
  });

  it("a machine that says goodbye again and again, and answers nothing, gets few links", async () => {
    const client = rig.track(await connectRaw(rig.port));
    for (let id = 1; id < 40; id += 2) {
      client.send(request(id, {}, true));
    }
    for (let link = 0; link < 8; link += 1) {
      const vm = await rig.vm.ready([[Setting.MAX_CONCURRENT_STREAMS, 1]]);
      await vm.headers(1);
      vm.send(frame(FrameType.GOAWAY, 0, 0, u32(1, 0)));
    }
    await rounds(client);
    expect(rig.vm.peers).lengthOf(8);
    rig.vm.peers[0]!.send(trailersOnly(1));
    const next = await rig.vm.ready();
    await next.headers(1);
  });

  it("a client that raises its windows beyond what can be is the one whose connection ends", async () => {
    const { client, vm } = await rig.call();
    client.send(
      frame(FrameType.WINDOW_UPDATE, 0, 1, u32(MAX_31_BIT - 65_535)),
      frame(
        FrameType.SETTINGS,
        0,
        0,
        Buffer.concat([Buffer.from([0, Setting.INITIAL_WINDOW_SIZE]), u32(65_536)]),
      ),
    );
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).equal(ErrorCode.FLOW_CONTROL_ERROR);
    await vm.closed;
    expect(rig.gate.failures).lengthOf(0);
  });

  it("gives a machine the window back that its padding used", async () => {
    const { client, vm } = await rig.call();
    vm.send(headers(1, OK_HEADERS));
    const padded = frame(
      FrameType.DATA,
      Flag.PADDED,
      1,
      Buffer.concat([Buffer.from([255, 0x78]), Buffer.alloc(255)]),
    );
    vm.send(padded);
    expect((await client.content(1, 1)).toString()).equal("x");
    expect((await vm.type(FrameType.WINDOW_UPDATE, 1)).payload.readUInt32BE(0)).equal(256);
  });

  it("streams of a client that does not acknowledge the router's SETTINGS are counted, too", async () => {
    const strict = await new Rig({ limits: { maxStreams: 10 } }).start();
    try {
      strict.admitAll();
      const { client } = await strict.call();
      client.send(...Array.from({ length: 100 }, (_unused, place) => request(3 + 2 * place)));
      expect((await client.type(FrameType.RST_STREAM)).payload.readUInt32BE(0)).equal(
        ErrorCode.REFUSED_STREAM,
      );
    } finally {
      await strict.stop();
    }
  });

  it("a machine that keeps no dynamic table for its requests is told so", async () => {
    const server = http2.createServer({ settings: { headerTableSize: 0 } });
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session) => sessions.push(session));
    server.on("stream", (stream) =>
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true }),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      rig.upstream = { ...rig.upstream, port: (server.address() as AddressInfo).port };
      const client = rig.track(await connectRaw(rig.port));
      for (const id of [1, 3]) {
        client.send(request(id, {}, true));
        expect((await client.headers(id)).get("grpc-status")).equal("0");
      }
    } finally {
      for (const session of sessions) {
        session.destroy();
      }
      server.close();
    }
  });
});
