import { once } from "node:events";
import {
  connect,
  createServer,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import net from "node:net";

import { expect } from "chai";

import { settingsFrame } from "../../src/http2/frame-writer.ts";
import { FrameType, Setting } from "../../src/http2/protocol.ts";
import { awake } from "./satellites.ts";
import { frame, u32 } from "./relay/support/peer.ts";
import { RouterBench } from "./support/router-bench.ts";

const COUNT = 50;
const STALLED = 0;
const MIB = 1024 * 1024;
/** More than the stalled VM's sockets and the router's buffers take. */
const UPLOAD_BYTES = 8 * MIB;
const QUESTION = Buffer.alloc(32 * 1024, "q");

/** A VM that echoes what it is sent. */
async function startVm(): Promise<Http2Server> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** A VM that offers windows of this size and then reads nothing more, as one does whose kernel hangs. */
async function startStalledVm(windowBytes: number, sockets: Set<net.Socket>): Promise<net.Server> {
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.write(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, windowBytes]]));
    if (windowBytes > 65_535) {
      socket.write(frame(FrameType.WINDOW_UPDATE, 0, 0, u32(windowBytes - 65_535)));
    }
    socket.pause();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port;

/** A whole router, and one client connection whose streams go to 50 satellites, as a proxy's do. */
describe("one of 50 satellites on a connection hangs", function () {
  this.timeout(60_000);
  for (const [windows, windowBytes] of [
    ["the smallest windows that are usual", 65_535],
    ["large windows", 16 * MIB],
  ] as const) {
    describe(`which offers ${windows}`, () => {
      const sockets = new Set<net.Socket>();
      let servers: net.Server[];
      let bench: RouterBench;
      let client: ClientHttp2Session;

      beforeEach(async () => {
        servers = [
          await startStalledVm(windowBytes, sockets),
          ...(await Promise.all(Array.from({ length: COUNT - 1 }, startVm))),
        ];
        bench = await RouterBench.start(
          servers.map((server, place) =>
            awake({
              name: `vm-${place}`,
              status: { endpoint: { host: "127.0.0.1", port: portOf(server) } },
            }),
          ),
        );
        // The upload waits in the client, which else refuses answers above 10 MB in all.
        client = connect(`http://127.0.0.1:${bench.port}`, { maxSessionMemory: 64 });
        client.on("error", () => {});
        await once(client, "connect");
      });
      afterEach(async () => {
        client.destroy();
        for (const socket of sockets) {
          socket.destroy();
        }
        sockets.clear();
        await bench.router.close();
        for (const server of servers) {
          server.close();
        }
      });

      function call(place: number): ClientHttp2Stream {
        const stream = client.request({
          ":method": "POST",
          ":path": "/test.Service/Echo",
          "content-type": "application/grpc",
          te: "trailers",
          "satellite-name": `vm-${place}`,
          "satellite-namespace": "team-a",
        });
        stream.on("error", () => {});
        return stream;
      }

      async function ask(place: number): Promise<void> {
        const stream = call(place);
        const trailers = once(stream, "trailers") as Promise<[Record<string, unknown>]>;
        stream.end(QUESTION);
        const parts: Buffer[] = [];
        for await (const part of stream as AsyncIterable<Buffer>) {
          parts.push(part);
        }
        expect(Buffer.concat(parts).equals(QUESTION), `the answer of vm-${place}`).to.equal(true);
        expect((await trailers)[0]["grpc-status"]).to.equal("0");
      }

      it("and the others are served, with bodies in both directions", async () => {
        const others = Array.from({ length: COUNT }, (_unused, place) => place).filter(
          (place) => place !== STALLED,
        );
        const upload = call(STALLED);
        upload.write(Buffer.alloc(UPLOAD_BYTES, "u"));
        for (let round = 0; round < 3; round++) {
          await Promise.all(others.map(ask));
        }
        expect(upload.closed, "the stalled stream is still open").to.equal(false);
        expect(await bench.metric("satellites_router_streams_open")).to.equal(1);
      });
    });
  }
});
