import { once } from "node:events";
import { performServerHandshake, type ServerHttp2Session } from "node:http2";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { expect } from "chai";

import { Flag, FrameType } from "../../../src/router/http2/protocol.ts";
import { watchQuiet } from "../../../src/router/stream/quiet.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { connectRaw, frame, request, type Peer } from "../splice/support/peer.ts";

const QUIET_MS = 1000;

describe("a client of which nothing is heard", () => {
  let clock: VirtualClock;
  let server: Server;
  let client: Peer;
  let session: ServerHttp2Session;
  let socket: Socket;

  beforeEach(async () => {
    clock = new VirtualClock();
    const came = Promise.withResolvers<void>();
    server = createServer((accepted) => {
      socket = accepted;
      session = performServerHandshake(accepted);
      watchQuiet(session, accepted, { clock, quietMs: QUIET_MS });
      session.on("error", () => {});
      session.once("stream", (stream) => {
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
    socket.destroy();
    server.close();
  });

  it("is asked, and stays as long as it answers, with its open stream", async () => {
    for (let time = 0; time < 5; time += 1) {
      // One period to find it quiet, one for its answer.
      await clock.advance(QUIET_MS);
      await clock.advance(QUIET_MS);
      const ping = await client.type(FrameType.PING);
      client.send(frame(FrameType.PING, Flag.ACK, 0, ping.payload));
      await client.roundTrip();
    }
    expect(socket.destroyed).to.equal(false);
  });

  it("is ended when it does not answer", async () => {
    // One period in which it was heard, one to find it quiet, one for its answer.
    await clock.advance(3 * QUIET_MS - 1);
    expect(socket.destroyed, "ended too early").to.equal(false);
    await clock.advance(1);
    await client.closed;
    expect(socket.destroyed).to.equal(true);
    expect(session.destroyed).to.equal(true);
  });

  it("is left alone while its connection closes: its last stream may be quiet for hours", async () => {
    session.close();
    await clock.advance(100 * QUIET_MS);
    expect(socket.destroyed).to.equal(false);
  });
});
