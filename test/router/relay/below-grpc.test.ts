import {
  constants,
  performServerHandshake,
  sensitiveHeaders,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { createServer, type AddressInfo, type Socket } from "node:net";

import { expect } from "chai";

import { awake } from "../satellites.ts";
import { answerOf, field, GRPC, POST, RawClient, RawVM, Wire } from "../support/http2-peers.ts";
import { RouterBench, until } from "../support/router-bench.ts";
import { stopAfterEach } from "../../support/stops.ts";

describe("calls, below gRPC", () => {
  const stops = stopAfterEach();

  async function setUp(
    handle: Parameters<typeof RawVM.start>[0],
  ): Promise<{ vm: RawVM; wire: Wire; client: RawClient; bench: RouterBench }> {
    const vm = await RawVM.start(handle);
    const wire = await Wire.start(vm.port);
    const bench = await RouterBench.start([
      awake({ status: { endpoint: { host: "127.0.0.1", port: wire.port } } }),
    ]);
    const client = new RawClient(bench.port);
    stops.push(
      () => vm.stop(),
      () => wire.cut(),
      () => bench.router.close(),
      () => client.close(),
    );
    return { vm, wire, client, bench };
  }

  it("passes request headers on one by one, in their order", async () => {
    const { vm, client } = await setUp((stream) => {
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
    const fields = [...GRPC, "x-m", "/a.A/One", "other", "1", "x-m", "/a.A/Two", "blob-bin", "AAECAw=="];
    const stream = client.open(fields);
    stream.end();
    await answerOf(stream);
    expect(vm.requests[0]).to.deep.equal([
      ...POST,
      "satellite-name",
      "ada",
      "satellite-namespace",
      "team-a",
      ...fields,
    ]);
  });

  it("keeps the mark on headers that must never be indexed", async () => {
    let seenByVM: unknown;
    const { client } = await setUp((stream, headers) => {
      seenByVM = Reflect.get(headers, sensitiveHeaders);
      const answer = { ":status": 200, secret: "x", "grpc-status": "0", [sensitiveHeaders]: ["secret"] };
      stream.respond(answer, { endStream: true });
    });
    const fields = [...POST, "satellite-name", "ada", "satellite-namespace", "team-a", "token", "x"];
    Reflect.set(fields, sensitiveHeaders, ["token"]);
    const stream = client.session.request(fields);
    const seenByClient = new Promise<unknown>((resolve) => {
      stream.once("response", (headers) => resolve(Reflect.get(headers, sensitiveHeaders)));
    });
    stream.end();
    expect(await seenByClient).to.deep.equal(["secret"]);
    expect(seenByVM).to.deep.equal(["token"]);
  });

  it("passes response headers, body and trailers on as they are, and adds nothing", async () => {
    const { client } = await setUp((stream) => {
      stream.resume();
      stream.respond(
        [":status", "200", "a", "1", "b", "2", "a", "3", "date", "Thu, 01 Jan 1970 00:00:00 GMT"],
        {
          waitForTrailers: true,
        },
      );
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", note: ["x", "y"] }));
      stream.end("body");
    });
    const stream = client.open(GRPC);
    stream.end();
    const answer = await answerOf(stream);
    expect(answer.headers).to.deep.equal([
      ":status",
      "200",
      "a",
      "1",
      "b",
      "2",
      "a",
      "3",
      "date",
      "Thu, 01 Jan 1970 00:00:00 GMT",
    ]);
    expect(answer.body.toString()).to.equal("body");
    expect(answer.trailers).to.deep.equal(["grpc-status", "0", "note", "x", "note", "y"]);
  });

  it("adds no date of its own", async () => {
    const { client } = await setUp((stream) => {
      stream.respond({ ":status": 200, "grpc-status": "0" }, {
        endStream: true,
        sendDate: false,
      } as object);
    });
    const stream = client.open(GRPC);
    stream.end();
    expect((await answerOf(stream)).headers).to.deep.equal([":status", "200", "grpc-status", "0"]);
  });

  it("serves requests that are not gRPC, bodies and trailers of requests included", async () => {
    const { client } = await setUp((stream) => {
      const body: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => body.push(chunk));
      stream.once("trailers", (headers) => {
        stream.respond({ ":status": 201 });
        stream.end(`${Buffer.concat(body).toString()} ${String(headers["sum"])}`);
      });
    });
    const stream = client.session.request(
      [
        ":method",
        "PUT",
        ":scheme",
        "http",
        ":path",
        "/",
        ":authority",
        "vm",
        "satellite-name",
        "ada",
        "satellite-namespace",
        "team-a",
      ],
      { endStream: false, waitForTrailers: true },
    );
    stream.once("wantTrailers", () => stream.sendTrailers({ sum: "42" }));
    stream.end("body");
    const answer = await answerOf(stream);
    expect(field(answer.headers, ":status")).to.equal("201");
    expect(answer.body.toString()).to.equal("body 42");
    expect(answer.rstCode).to.equal(constants.NGHTTP2_NO_ERROR);
  });

  for (const [name, code] of [
    ["REFUSED_STREAM", constants.NGHTTP2_REFUSED_STREAM],
    ["ENHANCE_YOUR_CALM", constants.NGHTTP2_ENHANCE_YOUR_CALM],
    ["CANCEL", constants.NGHTTP2_CANCEL],
    ["INTERNAL_ERROR", constants.NGHTTP2_INTERNAL_ERROR],
  ] as const) {
    it(`passes a reset by the VM on with its code: ${name}`, async () => {
      const { client } = await setUp((stream) => stream.close(code));
      const stream = client.open(GRPC);
      expect((await answerOf(stream)).rstCode).to.equal(code);
    });

    it(`passes a reset by the client on with its code: ${name}`, async () => {
      let seen: number | undefined;
      const { client, vm } = await setUp((stream) => {
        stream.once("close", () => {
          seen = stream.rstCode;
        });
      });
      const stream = client.open(GRPC);
      await until(() => vm.requests.length === 1);
      stream.close(code);
      await until(() => seen !== undefined);
      expect(seen).to.equal(code);
    });
  }

  it("resets the VM's stream when the client's connection is lost", async () => {
    let seen: number | undefined;
    const { client, vm, bench } = await setUp((stream) => {
      stream.once("close", () => {
        seen = stream.rstCode;
      });
    });
    client.open(GRPC);
    await until(() => vm.requests.length === 1);
    client.close();
    await until(() => seen !== undefined);
    await until(async () => (await bench.metric("satellites_router_streams_open")) === 0);
  });

  it("passes an answer without a grpc-status on as it is: gRPC's clients make an error of it", async () => {
    const { client } = await setUp((stream) => stream.respond({ ":status": 503 }, { endStream: true }));
    const stream = client.open(GRPC);
    stream.end();
    const { headers } = await answerOf(stream);
    expect(field(headers, ":status")).to.equal("503");
    expect(field(headers, "grpc-status")).to.equal(undefined);
  });

  it("answers UNAVAILABLE when the VM is killed in the midst of its answer", async () => {
    const { client, wire } = await setUp((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write("data");
    });
    const stream = client.open(GRPC);
    const answer = answerOf(stream);
    await new Promise((resolve) => {
      stream.once("data", resolve);
    });
    wire.cut();
    const { trailers } = await answer;
    expect(field(trailers, "grpc-status")).to.equal("14");
    expect(field(trailers, "satellite-reason")).to.equal("ConnectionLost");
  });

  for (const hasBegun of [false, true]) {
    it(`passes the VM's own reason on when it ends the connection ${hasBegun ? "after" : "before"} the answer began`, async () => {
      const { client } = await setUp((stream) => {
        if (hasBegun) {
          stream.respond({ ":status": 200, "content-type": "application/grpc" });
          stream.write("data");
        }
        setImmediate(() => {
          stream.session?.goaway(
            constants.NGHTTP2_INTERNAL_ERROR,
            stream.id ?? 0,
            Buffer.from("out of memory"),
          );
          stream.session?.destroy();
        });
      });
      const { headers, trailers } = await answerOf(client.open(GRPC));
      const fields = hasBegun ? trailers : headers;
      expect(field(fields, "grpc-status")).to.equal("14");
      expect(field(fields, "grpc-message")).to.contain("out of memory");
      expect(field(fields, "satellite-reason")).to.equal("ConnectionLost");
    });
  }

  describe("long header fields", () => {
    it("are taken beyond 64 KiB in all, both ways", async () => {
      // node:http2 takes no longer ones, and no more CONTINUATION frames.
      const long = Array.from({ length: 2 }, (_unused, place) => [`note-${place}`, "x".repeat(60 * 1024)]);
      let seenByVM: unknown[] = [];
      const { client } = await setUp((stream, headers) => {
        seenByVM = long.map(([name = ""]) => headers[name]);
        stream.respond(
          { ":status": 200, "grpc-status": "0", ...Object.fromEntries(long) },
          { endStream: true },
        );
      });
      const { headers } = await answerOf(client.open([...GRPC, ...long.flat()]));
      const values = long.map(([, value]) => value);
      expect(seenByVM).to.deep.equal(values);
      expect(long.map(([name = ""]) => field(headers, name))).to.deep.equal(values);
      expect(client.session.remoteSettings.maxHeaderListSize).to.equal(1_048_576);
    });
  });

  it("lets the VM end a call before the request is complete", async () => {
    const { client } = await setUp((stream) => {
      stream.respond({ ":status": 200, "grpc-status": "9" }, { endStream: true });
      stream.close(constants.NGHTTP2_NO_ERROR);
    });
    const stream = client.open(GRPC);
    const answer = await answerOf(stream);
    expect(field(answer.headers, "grpc-status")).to.equal("9");
    expect(answer.rstCode).to.equal(constants.NGHTTP2_NO_ERROR);
  });

  it("passes the status on when the VM ends a stream before the request is complete", async () => {
    const { client } = await setUp((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => {
        stream.sendTrailers({ "grpc-status": "9" });
        setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
      });
      stream.end("data");
    });
    const { body, trailers, rstCode } = await answerOf(client.open(GRPC));
    expect(body.toString()).to.equal("data");
    expect(field(trailers, "grpc-status")).to.equal("9");
    expect(rstCode).to.equal(constants.NGHTTP2_NO_ERROR);
  });

  it("stops reading from a client whose VM does not read, and goes on when it does", async () => {
    let read = (): void => {};
    let received = 0;
    const { client, vm } = await setUp((stream) => {
      stream.pause();
      read = (): void => {
        stream.on("data", (chunk: Buffer) => {
          received += chunk.length;
        });
        stream.once("end", () => stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true }));
        stream.resume();
      };
    });
    const stream = client.open(GRPC);
    const chunk = Buffer.alloc(64 * 1024);
    const total = 1024;
    for (let i = 0; i < total; i++) {
      stream.write(chunk);
    }
    stream.end();
    const answer = answerOf(stream);
    await until(() => vm.requests.length === 1);
    const sentBytes = (): number => client.session.socket.bytesWritten;
    let before = -1;
    // Nothing moves any more once all windows and buffers are full.
    await until(async () => {
      await new Promise<void>((resolve) => {
        setTimeout(resolve, 100);
      });
      const still = sentBytes() === before;
      before = sentBytes();
      return still;
    });
    expect(sentBytes()).to.be.lessThan(8 * 1024 * 1024);
    read();
    expect(field((await answer).headers, "grpc-status")).to.equal("0");
    expect(received).to.equal(total * chunk.length);
  });

  it("connects anew for another epoch, although the address is the same", async () => {
    const sessions = new Set<unknown>();
    const { client, vm, bench } = await setUp((stream) => {
      sessions.add(stream.session);
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
    for (const epoch of [4, 5]) {
      bench.runs(vm.port, epoch);
      const stream = client.open(GRPC);
      stream.end();
      await answerOf(stream);
    }
    expect(sessions.size).to.equal(2);
  });

  it("sends nothing before the VM's SETTINGS, and nothing of what was cancelled meanwhile", async () => {
    const paths: string[] = [];
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const bench = await RouterBench.start([awake({ status: { endpoint: { host: "127.0.0.1", port } } })]);
    const client = new RawClient(bench.port);
    stops.push(
      () => void server.close(),
      () => bench.router.close(),
      () => client.close(),
    );
    const cancelled = client.open([...GRPC, "x", "cancelled"]);
    const kept = client.open([...GRPC, "x", "kept"]);
    await until(() => sockets.length === 1);
    cancelled.close(constants.NGHTTP2_CANCEL);
    await answerOf(cancelled);
    // The router has heard of the cancel before this answer: frames of one connection keep their order.
    const other = client.open([...GRPC], [...POST.slice(0, 4), ":path", "/other", ":authority", "vm"]);
    await new Promise<void>((resolve) => {
      client.session.ping(() => resolve());
    });
    const session = performServerHandshake(sockets[0]!);
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      paths.push(String(headers["x"] ?? headers[":path"]));
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
    await Promise.all([answerOf(kept), answerOf(other)]);
    expect(paths).to.deep.equal(["kept", "/other"]);
    expect(sockets).to.have.length(1);
  });

  it("gives each client connection its own connection to the VM", async () => {
    const sessions = new Set<unknown>();
    const { client, bench } = await setUp((stream) => {
      sessions.add(stream.session);
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
    const other = new RawClient(bench.port);
    stops.push(() => other.close());
    for (const one of [client, other, client]) {
      const stream = one.open(GRPC);
      stream.end();
      await answerOf(stream);
    }
    expect(sessions.size).to.equal(2);
  });
});
