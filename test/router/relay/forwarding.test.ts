import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";

import { awake, power, satellite } from "../satellites.ts";
import { KEY } from "../gate-bench.ts";
import { addressed, TestClient, TestVM } from "../support/grpc-peers.ts";
import { answerOf, field, GRPC, RawClient, RawVM } from "../support/http2-peers.ts";
import { RouterBench, until } from "../support/router-bench.ts";
import { stopAfterEach } from "../../support/stops.ts";

describe("calls through the relay", () => {
  const stops = stopAfterEach();

  async function vm(...args: Parameters<typeof TestVM.start>): Promise<TestVM> {
    const started = await TestVM.start(...args);
    stops.push(() => started.stop());
    return started;
  }

  async function router(...args: Parameters<typeof RouterBench.start>): Promise<RouterBench> {
    const started = await RouterBench.start(args[0], args[1]);
    stops.push(() => started.router.close());
    return started;
  }

  function client(bench: RouterBench, options: grpc.ClientOptions = {}): TestClient {
    const created = new TestClient(bench.port, options);
    stops.push(() => created.close());
    return created;
  }

  /** A router with one satellite that is awake at `machine`. */
  async function awakeAt(machine: { readonly port: number }): Promise<RouterBench> {
    return router([awake({ status: { endpoint: { host: "127.0.0.1", port: machine.port } } })]);
  }

  describe("forwards", () => {
    it("unary calls", async () => {
      const bench = await awakeAt(await vm());
      const result = await client(bench).call("unary");
      expect(result.code).to.equal(grpc.status.OK);
      expect(result.messages.map(String)).to.deep.equal(["hello"]);
    });

    it("client streams", async () => {
      const bench = await awakeAt(await vm());
      const result = await client(bench).call("clientStream", {
        messages: [Buffer.from("a"), Buffer.from("b")],
      });
      expect(result.messages.map(String)).to.deep.equal(["ab"]);
    });

    it("server streams", async () => {
      const bench = await awakeAt(await vm());
      const result = await client(bench).call("serverStream");
      expect(result.messages).to.have.length(10);
      expect(result.code).to.equal(grpc.status.OK);
    });

    it("bidirectional streams, each message as it comes, and the half-close", async () => {
      const bench = await awakeAt(await vm());
      const { stream, result } = client(bench).open();
      for (let i = 0; i < 5; i++) {
        const answer = new Promise<Buffer>((resolve) => {
          stream.once("data", resolve);
        });
        stream.write(Buffer.from(`ping ${i}`));
        expect((await answer).toString()).to.equal(`ping ${i}`);
      }
      stream.end();
      expect((await result).code).to.equal(grpc.status.OK);
    });

    it("a status without a message, as trailers only", async () => {
      const bench = await awakeAt(
        await vm({
          unary: (_call, callback) =>
            callback({
              code: grpc.status.ABORTED,
              details: "säge \n nein%",
              metadata: new grpc.Metadata(),
            }),
        }),
      );
      const result = await client(bench).call("unary");
      expect(result.code).to.equal(grpc.status.ABORTED);
      expect(result.details).to.equal("säge \n nein%");
    });

    it("messages of 16 MiB both ways", async () => {
      const bench = await awakeAt(await vm());
      const message = Buffer.alloc(16 * 1024 * 1024, "0123456789abcdef");
      const result = await client(bench).call("unary", { messages: [message] });
      expect(result.code).to.equal(grpc.status.OK);
      expect(result.messages[0]?.equals(message)).to.equal(true);
    });

    it("binary trailers of more than 64 KiB", async () => {
      const details = Buffer.alloc(40_000, 7);
      const machine = await vm({
        unary: (_call, callback) => {
          const trailers = new grpc.Metadata();
          trailers.add("grpc-status-details-bin", details);
          trailers.add("more-bin", details);
          callback(null, Buffer.from("ok"), trailers);
        },
      });
      const bench = await awakeAt(machine);
      const { code, trailers } = await client(bench).call("unary");
      expect(code).to.equal(grpc.status.OK);
      expect((trailers.get("grpc-status-details-bin")[0] as Buffer).equals(details)).to.equal(true);
      expect((trailers.get("more-bin")[0] as Buffer).equals(details)).to.equal(true);
    });

    it("no credential of the caller", async () => {
      let seen: Record<string, grpc.MetadataValue> = {};
      const bench = await awakeAt(
        await vm({
          unary: (call, callback) => {
            seen = call.metadata.getMap();
            callback(null, Buffer.from("ok"));
          },
        }),
      );
      const metadata = addressed({
        authorization: "Bearer s3cr3t",
        satellite_token: "s3cr3t",
        "x-vm-auth": "for the VM",
      });
      await client(bench).call("unary", { metadata });
      expect(JSON.stringify(seen)).to.not.contain("s3cr3t");
      expect(seen["x-vm-auth"]).to.equal("for the VM");
    });

    it("cancels of the client, so that the VM hears of them", async () => {
      let cancelled = false;
      const bench = await awakeAt(
        await vm({
          bidi: (call) => {
            call.on("cancelled", () => {
              cancelled = true;
            });
            call.on("error", () => {});
            call.write(Buffer.from("here"));
          },
        }),
      );
      const { stream, result } = client(bench).open();
      await new Promise((resolve) => {
        stream.once("data", resolve);
      });
      stream.cancel();
      expect((await result).code).to.equal(grpc.status.CANCELLED);
      await until(() => cancelled);
      await until(async () => (await bench.metric("satellites_router_streams_open")) === 0);
    });
  });

  describe("holds", () => {
    it("50 calls at once, wakes once, and answers all", async () => {
      const machine = await vm();
      const bench = await router([satellite()]);
      const one = client(bench);
      const calls = Array.from({ length: 50 }, (_, i) =>
        one.call("unary", { messages: [Buffer.from(String(i))] }),
      );
      await bench.held(50);
      expect(bench.server.wakeCalls).to.have.length(1);
      expect(machine.calls).to.equal(0);
      bench.runs(machine.port);
      const results = await Promise.all(calls);
      expect(results.map(({ messages }) => String(messages[0]))).to.deep.equal(
        Array.from({ length: 50 }, (_, i) => String(i)),
      );
      expect(bench.server.wakeCalls).to.have.length(1);
      expect(machine.calls).to.equal(50);
    });

    it("releases to a VM that answers its own probe, before the operator says that it runs", async () => {
      const machine = await vm();
      const bench = await router([satellite()]);
      const call = client(bench).call("unary");
      await bench.held(1);
      bench.server.change(KEY, (object) => {
        object.status.power = power("Starting");
        object.status.endpoint = { host: "127.0.0.1", port: machine.port };
      });
      expect((await call).code).to.equal(grpc.status.OK);
    });

    it("lets no call reach the VM that was cancelled meanwhile", async () => {
      const machine = await vm();
      const bench = await router([satellite()]);
      const one = client(bench);
      const cancelled = one.open();
      const kept = one.call("unary");
      await bench.held(2);
      cancelled.stream.cancel();
      await cancelled.result;
      await bench.held(1);
      bench.runs(machine.port);
      expect((await kept).code).to.equal(grpc.status.OK);
      expect(machine.calls).to.equal(1);
    });

    it("takes the time held off the deadline", async () => {
      let leftMs = 0;
      const machine = await vm({
        unary: (call, callback) => {
          leftMs = Number(call.getDeadline()) - Date.now();
          callback(null, Buffer.from("ok"));
        },
      });
      const bench = await router([satellite()]);
      const startedAtMs = performance.now();
      const call = client(bench).call("unary", { deadlineMs: 3_600_000 });
      await bench.held(1);
      await until(() => performance.now() - startedAtMs > 300);
      bench.runs(machine.port);
      expect((await call).code).to.equal(grpc.status.OK);
      expect(leftMs)
        .to.be.lessThan(3_600_000 - 290)
        .and.greaterThan(3_500_000);
    });

    it("answers in gRPC what it cannot forward, with reason and phase", async () => {
      const bench = await router([satellite({ spec: { wakePolicy: "Manual" } })]);
      const { code, details, trailers } = await client(bench).call("unary");
      expect(code).to.equal(grpc.status.FAILED_PRECONDITION);
      expect(details).to.contain("wakePolicy is Manual");
      expect(trailers.get("satellite-reason")).to.deep.equal(["WakePolicyManual"]);
      expect(trailers.get("satellite-phase")).to.deep.equal(["Asleep"]);
    });
  });

  describe("when the VM fails", () => {
    it("answers UNAVAILABLE when the connection breaks before the answer began", async () => {
      const machine = await vm({ unary: () => {} });
      const bench = await awakeAt(machine);
      const call = client(bench).call("unary");
      await until(() => machine.calls === 1);
      machine.stop();
      const { code, details } = await call;
      expect(code).to.equal(grpc.status.UNAVAILABLE);
      expect(details).to.contain(KEY);
    });

    it("answers UNAVAILABLE when the connection breaks in mid-stream, and replays nothing", async () => {
      const machine = await vm({
        bidi: (call) => {
          call.on("error", () => {});
          call.write(Buffer.from("first"));
        },
      });
      const bench = await awakeAt(machine);
      const { stream, result } = client(bench).open();
      await new Promise((resolve) => {
        stream.once("data", resolve);
      });
      machine.stop();
      const after = await vm({}, machine.port);
      const { code, messages } = await result;
      expect(code).to.equal(grpc.status.UNAVAILABLE);
      expect(messages.map(String)).to.deep.equal(["first"]);
      expect(after.calls).to.equal(0);
    });

    it("connects anew when the VM went away between two calls", async () => {
      const machine = await vm();
      const bench = await awakeAt(machine);
      const one = client(bench);
      expect((await one.call("unary")).code).to.equal(grpc.status.OK);
      machine.stop();
      const after = await vm({}, machine.port);
      expect((await one.call("unary")).code).to.equal(grpc.status.OK);
      expect(after.calls).to.equal(1);
    });

    it("waits a while for a VM that runs but does not answer", async () => {
      const machine = await vm();
      machine.stop();
      const bench = await awakeAt(machine);
      const call = client(bench).call("unary");
      await bench.held(1);
      const after = await vm({}, machine.port);
      expect((await call).code).to.equal(grpc.status.OK);
      expect(after.calls).to.equal(1);
    });
  });

  describe("when a satellite is put to sleep", () => {
    it("holds and serves a request that comes on the same connection just then", async () => {
      const machine = await RawVM.start((stream) => {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
          { endStream: true },
        );
      });
      stops.push(() => machine.stop());
      const bench = await awakeAt(machine);
      const raw = new RawClient(bench.port);
      stops.push(() => raw.close());
      const first = raw.open([...GRPC]);
      first.end();
      await answerOf(first);
      bench.server.change(KEY, ({ spec, status }) => {
        spec.desiredPower = "off";
        status.power = power("Stopping");
      });
      // Sent before anything that the router said about the stop can have been read.
      const late = raw.open([...GRPC]);
      late.end();
      const answer = answerOf(late);
      await bench.held(1);
      bench.runs(machine.port, 5);
      expect(field((await answer).headers, "grpc-status")).to.equal("0");
      expect(machine.requests).to.have.length(2);
    });
  });

  describe("drains", () => {
    it("lets open streams run to their end, and takes no new connection", async () => {
      const bench = await awakeAt(await vm());
      const one = client(bench);
      const { stream, result } = one.open();
      stream.write(Buffer.from("before"));
      await new Promise((resolve) => {
        stream.once("data", resolve);
      });
      let drained = false;
      const draining = bench.router.drain(60_000).then(() => {
        drained = true;
        return drained;
      });
      expect(bench.router.ready()).to.equal(false);
      const answer = new Promise<Buffer>((resolve) => {
        stream.once("data", resolve);
      });
      stream.write(Buffer.from("after"));
      expect((await answer).toString()).to.equal("after");
      const refused = await client(bench).call("unary", { deadlineMs: 5000 });
      expect(refused.code).to.equal(grpc.status.UNAVAILABLE);
      expect(drained).to.equal(false);
      stream.end();
      expect((await result).code).to.equal(grpc.status.OK);
      await draining;
    });

    it("ends what is left after the grace period with UNAVAILABLE", async () => {
      const bench = await awakeAt(await vm());
      const { stream, result } = client(bench).open();
      stream.write(Buffer.from("before"));
      await new Promise((resolve) => {
        stream.once("data", resolve);
      });
      await bench.router.drain(1);
      await bench.router.close();
      expect((await result).code).to.equal(grpc.status.UNAVAILABLE);
      expect(await bench.metric("satellites_router_streams_open")).to.equal(0);
    });
  });
});
