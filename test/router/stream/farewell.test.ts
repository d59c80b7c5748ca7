import { once } from "node:events";
import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { createServer, type AddressInfo, type Server } from "node:net";

import { expect } from "chai";

import { goAwayFrame } from "../../../src/router/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType } from "../../../src/router/http2/protocol.ts";
import { FAREWELL_PING_MS, watchFarewell } from "../../../src/router/stream/farewell.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { connectRaw, frame, request, type Peer } from "../splice/support/peer.ts";

describe("a client that has said goodbye", () => {
  let clock: VirtualClock;
  let server: Server;
  let client: Peer;
  let session: ServerHttp2Session;
  let stream: ServerHttp2Stream;

  beforeEach(async () => {
    clock = new VirtualClock();
    const came = Promise.withResolvers<void>();
    server = createServer((socket) => {
      session = performServerHandshake(socket);
      watchFarewell(session, clock);
      session.once("error", () => {});
      session.once("stream", (opened) => {
        stream = opened;
        stream.on("error", () => {});
        came.resolve();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    client = await connectRaw((server.address() as AddressInfo).port);
    client.send(request(1));
    await came.promise;
  });
  afterEach(() => {
    client.socket.destroy();
    session.destroy();
    server.close();
  });

  const goodbye = goAwayFrame(0, ErrorCode.NO_ERROR);

  it("finishes its streams, however long they take, when it answers a PING", async () => {
    client.send(goodbye);
    const ping = await client.type(FrameType.PING);
    client.send(frame(FrameType.PING, Flag.ACK, 0, ping.payload));
    await client.roundTrip();
    await clock.advance(100 * FAREWELL_PING_MS);
    expect(session.destroyed).to.equal(false);
    stream.respond({ ":status": 200 }, { endStream: true });
    expect((await client.headers(1)).get(":status")).to.equal("200");
  });

  it("is ended if it broke the protocol with it, which neither nghttp2 nor node make known", async () => {
    const tooLarge = frame(FrameType.DATA, 0, 1);
    tooLarge.writeUIntBE(0xff_ffff, 0, 3);
    client.send(goodbye, tooLarge);
    client.socket.end();
    await client.take(({ type, payload }) => type === FrameType.GOAWAY && payload.readUInt32BE(4) !== 0);
    expect(session.destroyed).to.equal(false);
    const closed = once(session, "close");
    await clock.advance(FAREWELL_PING_MS - 1);
    expect(session.destroyed, "ended too early").to.equal(false);
    await clock.advance(1);
    await closed;
    await client.closed;
  });
});
