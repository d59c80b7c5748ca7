import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import type { Admission } from "../../../src/router/engine.ts";
import { Rig } from "./support/rig.ts";

const run = promisify(execFile);
const raw = {
  requestSerialize: keep,
  requestDeserialize: keep,
  responseSerialize: keep,
  responseDeserialize: keep,
};
const service = {
  unary: { path: "/t.T/Unary", requestStream: false, responseStream: false, ...raw },
  serverStream: { path: "/t.T/ServerStream", requestStream: false, responseStream: true, ...raw },
  clientStream: { path: "/t.T/ClientStream", requestStream: true, responseStream: false, ...raw },
  duplex: { path: "/t.T/Duplex", requestStream: true, responseStream: true, ...raw },
  silent: { path: "/t.T/Silent", requestStream: false, responseStream: false, ...raw },
} satisfies grpc.ServiceDefinition;

function keep(bytes: Buffer): Buffer {
  return bytes;
}

const options: grpc.ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.max_metadata_size": 1 << 20,
  "grpc-node.max_session_memory": 100,
};

interface Clients {
  unary(
    message: Buffer,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    done: Done,
  ): grpc.ClientUnaryCall;
  silent(
    message: Buffer,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    done: Done,
  ): grpc.ClientUnaryCall;
  serverStream(message: Buffer): grpc.ClientReadableStream<Buffer>;
  clientStream(done: Done): grpc.ClientWritableStream<Buffer>;
  duplex(metadata?: grpc.Metadata): grpc.ClientDuplexStream<Buffer, Buffer>;
}
type Done = (error: grpc.ServiceError | null, answer?: Buffer) => void;

describe("relay: real clients", function () {
  this.timeout(30_000);
  let rig: Rig;
  let server: grpc.Server;
  let client: grpc.Client & Clients;
  let seen: grpc.Metadata[];
  let cancelled: () => void;
  let whenCancelled: Promise<void>;

  beforeEach(async () => {
    rig = await new Rig().start();
    rig.admitAll();
    seen = [];
    whenCancelled = new Promise((resolve) => {
      cancelled = resolve;
    });
    server = new grpc.Server(options);
    server.addService(service, {
      unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        seen.push(call.metadata);
        const trailers = new grpc.Metadata();
        for (const [name, value] of Object.entries(call.metadata.getMap())) {
          if (name.startsWith("back-")) {
            trailers.set(name, value);
          }
        }
        const [status] = call.metadata.get("fail-with");
        if (status === undefined) {
          done(null, call.request, trailers);
        } else {
          done({ code: Number(status), details: "wanted", metadata: trailers });
        }
      },
      silent(call: grpc.ServerUnaryCall<Buffer, Buffer>) {
        seen.push(call.metadata);
        call.on("cancelled", () => cancelled());
      },
      serverStream(call: grpc.ServerWritableStream<Buffer, Buffer>) {
        const count = call.request.readUInt32BE(0);
        for (let place = 0; place < count; place += 1) {
          call.write(Buffer.alloc(1000, place));
        }
        call.end();
      },
      clientStream(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        let size = 0;
        call.on("data", (part: Buffer) => {
          size += part.length;
        });
        call.on("end", () => {
          const answer = Buffer.alloc(4);
          answer.writeUInt32BE(size);
          done(null, answer);
        });
      },
      duplex(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on("data", (part: Buffer) => call.write(part));
        call.on("end", () => call.end());
      },
    });
    const port = await promisify(server.bindAsync.bind(server))(
      "127.0.0.1:0",
      grpc.ServerCredentials.createInsecure(),
    );
    rig.upstream = { ...rig.upstream, port };
    const Client = grpc.makeClientConstructor(service, "T");
    client = new Client(
      `127.0.0.1:${rig.port}`,
      grpc.credentials.createInsecure(),
      options,
    ) as unknown as typeof client;
  });
  afterEach(async () => {
    client.close();
    server.forceShutdown();
    await rig.stop();
  });

  function unary(
    message: Buffer,
    metadata = new grpc.Metadata(),
    callOptions: grpc.CallOptions = {},
  ): Promise<{ answer: Buffer; trailers: grpc.Metadata }> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      const call = client.unary(message, metadata, callOptions, (error, got) => {
        if (error !== null) {
          reject(error);
        }
        answer = got;
      });
      call.on("status", ({ metadata: trailers }) => {
        if (answer !== undefined) {
          resolve({ answer, trailers });
        }
      });
    });
  }

  async function failure(run_: Promise<unknown>): Promise<grpc.ServiceError> {
    try {
      await run_;
    } catch (error) {
      return error as grpc.ServiceError;
    }
    throw new Error("the call succeeded");
  }

  describe("grpc-js", () => {
    it("makes unary calls, a thousand at once", async () => {
      const answers = await Promise.all(
        Array.from({ length: 1000 }, async (_unused, place) => {
          const message = Buffer.from(`message ${place}`);
          return (await unary(message)).answer.equals(message);
        }),
      );
      expect(answers.every(Boolean)).equal(true);
      await rig.gate.until(() => rig.gate.released === 1000);
    });

    it("streams from the server", async () => {
      const count = Buffer.alloc(4);
      count.writeUInt32BE(500);
      const got: number[] = [];
      const call = client.serverStream(count);
      call.on("data", (part: Buffer) => got.push(part[0] ?? -1));
      await once(call, "end");
      expect(got).deep.equal(Array.from({ length: 500 }, (_unused, place) => place % 256));
    });

    it("streams to the server", async () => {
      const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
        const call = client.clientStream((error, got) => (error === null ? resolve(got) : reject(error)));
        for (let place = 0; place < 200; place += 1) {
          call.write(Buffer.alloc(5000));
        }
        call.end();
      });
      expect(answer?.readUInt32BE(0)).equal(1_000_000);
    });

    it("streams both ways, message by message", async () => {
      const call = client.duplex();
      for (let place = 0; place < 50; place += 1) {
        const message = Buffer.alloc(place * 700, place);
        call.write(message);
        const [echo] = (await once(call, "data")) as [Buffer];
        expect(echo.equals(message)).equal(true);
      }
      call.end();
      await once(call, "status");
    });

    it("carries metadata and trailers, binary too, as large as grpc-js sends them", async () => {
      const metadata = new grpc.Metadata();
      const binary = Buffer.from(Array.from({ length: 256 }, (_unused, byte) => byte));
      const large = Buffer.alloc(40_000, 0xab);
      metadata.set("back-small-bin", binary);
      metadata.set("back-text", "plain");
      metadata.set("back-large-bin", large);
      const { trailers } = await unary(Buffer.from("x"), metadata);
      expect(trailers.get("back-text")).deep.equal(["plain"]);
      expect((trailers.get("back-small-bin")[0] as Buffer).equals(binary)).equal(true);
      expect((trailers.get("back-large-bin")[0] as Buffer).equals(large)).equal(true);
    });

    it("carries repeated metadata one by one", async () => {
      const metadata = new grpc.Metadata();
      for (const method of ["/a.A/One", "/a.A/Two", "/b.B/One"]) {
        metadata.add("x-docker-expose-session-grpc-method", method);
      }
      await unary(Buffer.alloc(0), metadata);
      expect(seen[0]?.get("x-docker-expose-session-grpc-method").join(" ").replaceAll(", ", " ")).equal(
        "/a.A/One /a.A/Two /b.B/One",
      );
    });

    it("carries messages of 16 MiB both ways", async () => {
      const message = Buffer.alloc(16 * 1024 * 1024);
      for (let at = 0; at < message.length; at += 4096) {
        message.writeUInt32BE(at, at);
      }
      const { answer } = await unary(message);
      expect(answer.equals(message)).equal(true);
    });

    it("carries the server's errors unchanged", async () => {
      const metadata = new grpc.Metadata();
      metadata.set("fail-with", "10");
      metadata.set("back-details-bin", Buffer.alloc(40_000, 1));
      const error = await failure(unary(Buffer.alloc(1), metadata));
      expect([error.code, error.details]).deep.equal([grpc.status.ABORTED, "wanted"]);
      expect(error.metadata.get("back-details-bin")[0]).lengthOf(40_000);
    });

    it("understands refusals, with message and metadata", async () => {
      const refusal: Admission = {
        kind: "refuse",
        status: 5,
        message: "no satellite “ns/none”",
        metadata: [["satellite-reason", "NotFound"]],
      };
      rig.gate.answer = () => refusal;
      const error = await failure(unary(Buffer.alloc(70_000)));
      expect([error.code, error.details]).deep.equal([grpc.status.NOT_FOUND, "no satellite “ns/none”"]);
      expect(error.metadata.get("satellite-reason")).deep.equal(["NotFound"]);
    });

    it("holds calls and releases them together", async () => {
      rig.gate.answer = undefined;
      const calls = Array.from({ length: 50 }, (_unused, place) => unary(Buffer.from([place])));
      await rig.gate.question(49);
      for (const question of rig.gate.questions) {
        question.settle(rig.gate.forward(rig.upstream));
      }
      const answers = await Promise.all(calls);
      expect(answers.map(({ answer }) => answer[0])).deep.equal(
        Array.from({ length: 50 }, (_unused, place) => place),
      );
    });

    it("cancels while held: the server never hears of it", async () => {
      rig.gate.answer = undefined;
      const call = client.unary(Buffer.from("x"), new grpc.Metadata(), {}, () => {});
      const question = await rig.gate.question(0);
      const aborted = once(question.signal, "abort");
      call.cancel();
      await aborted;
      question.settle(rig.gate.forward(rig.upstream));
      rig.admitAll();
      await unary(Buffer.from("y"));
      expect(seen).lengthOf(1);
    });

    it("cancels on the way: the server hears of it", async () => {
      const call = client.silent(Buffer.from("x"), new grpc.Metadata(), {}, () => {});
      await rig.gate.until(() => rig.gate.admitted === 1);
      await unary(Buffer.from("y"));
      call.cancel();
      await whenCancelled;
      await rig.gate.until(() => rig.gate.released === 2);
    });

    it("keeps its deadline while held", async () => {
      rig.gate.answer = undefined;
      const error = await failure(
        unary(Buffer.from("x"), new grpc.Metadata(), { deadline: Date.now() + 100 }),
      );
      expect(error.code).equal(grpc.status.DEADLINE_EXCEEDED);
      const { signal } = await rig.gate.question(0);
      if (!signal.aborted) {
        await once(signal, "abort");
      }
    });

    it("reports UNAVAILABLE for open calls when the server breaks off, and recovers", async () => {
      const failed = new Promise<grpc.ServiceError | null>((resolve) => {
        client.silent(Buffer.from("x"), new grpc.Metadata(), {}, resolve);
      });
      await unary(Buffer.from("y"));
      const { port } = rig.upstream;
      server.forceShutdown();
      const code = (await failed)?.code;
      expect(code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED).equal(true);
      const second = new grpc.Server(options);
      second.addService(service, {
        ...Object.fromEntries(Object.keys(service).map((name) => [name, () => {}])),
        unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) =>
          done(null, call.request),
      });
      await promisify(second.bindAsync.bind(second))(
        `127.0.0.1:${port}`,
        grpc.ServerCredentials.createInsecure(),
      );
      try {
        expect((await unary(Buffer.from("z"), new grpc.Metadata())).answer.toString()).equal("z");
      } finally {
        second.forceShutdown();
      }
    });

    it("loses its link to the machine between calls, and notices nothing", async () => {
      for (let turn = 0; turn < 20; turn += 1) {
        expect((await unary(Buffer.from([turn]))).answer[0]).equal(turn);
        rig.engine.goAwayIdle("ns/vm");
      }
    });
  });

  describe("nghttp2's tools", () => {
    before(function () {
      if (spawnSync("nghttp", ["--version"]).error !== undefined) {
        console.warn("skipped: nghttp and h2load are not installed (Debian: nghttp2-client)");
        this.skip();
      }
    });

    it("nghttp gets an answer, with padding", async () => {
      rig.gate.answer = () => ({ kind: "refuse", status: 5, message: "none", metadata: [] });
      const { stdout } = await run("nghttp", ["-v", "-b", "100", `http://127.0.0.1:${rig.port}/a`]);
      expect(stdout)
        .match(/grpc-status: 5/)
        .and.contain("END_STREAM");
    });

    it("h2load gets every answer, over many connections", async () => {
      const { stdout } = await run("h2load", [
        "-n2000",
        "-c10",
        "-m20",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        `--data=${import.meta.filename}`,
        `http://127.0.0.1:${rig.port}/t.T/Nothing`,
      ]);
      expect(stdout).contain("2000 done, 2000 succeeded, 0 failed, 0 errored");
      await rig.gate.until(() => rig.gate.released === 2000);
    });
  });
});
