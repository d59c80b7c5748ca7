import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";

import { awake, satellite } from "../router/satellites.ts";
import { addressed, TestClient, TestVM } from "../router/support/grpc-peers.ts";
import { answerOf, RawClient, RawVM } from "../router/support/http2-peers.ts";
import { RouterBench, until } from "../router/support/router-bench.ts";
import { pythonWithGrpc } from "../support/python-grpc.ts";
import { findOnPath, requireTool } from "../tools/catalog.ts";
import { stopAfterEach } from "../support/stops.ts";

/** How long the C core is held, in seconds; set it to 90 to see the whole of what is scaled otherwise. */
const HOLD_SECONDS = Number(process.env["HOLD_SECONDS"] ?? 9);
const HOLD_PINGS = 30;

const execute = promisify(execFile);

/** The service of {@link TestVM} for clients that want a description: messages with one field of bytes. */
const PROTO = `syntax = "proto3";
package test;
message Text { string text = 1; }
service Service {
  rpc Unary(Text) returns (Text);
  rpc ClientStream(stream Text) returns (Text);
  rpc ServerStream(Text) returns (stream Text);
  rpc Bidi(stream Text) returns (stream Text);
}
`;
const NAMED = ["satellite-name: ada", "satellite-namespace: team-a"] as const;

/** Calls Unary once with HTTP/2 keepalive, and prints status and answer. */
const PYTHON_CLIENT = `
import sys, grpc
port, keepalive_ms = sys.argv[1], int(sys.argv[2])
channel = grpc.insecure_channel("127.0.0.1:" + port, options=[
    ("grpc.keepalive_time_ms", keepalive_ms),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 0),
])
call = channel.unary_unary("/test.Service/Unary", lambda m: m, lambda m: m)
try:
    print("OK", call(b"hello", timeout=300, metadata=(("satellite-name", "ada"), ("satellite-namespace", "team-a"))))
except grpc.RpcError as error:
    print(error.code(), error.details())
`;

describe("real clients of a router", function () {
  this.timeout(60_000);
  const stops = stopAfterEach();
  const directory = mkdtempSync(path.join(tmpdir(), "clients-"));
  const proto = path.join(directory, "test.proto");
  writeFileSync(proto, PROTO);

  after(() => rmSync(directory, { recursive: true, force: true }));

  async function vm(...args: Parameters<typeof TestVM.start>): Promise<TestVM> {
    const machine = await TestVM.start(...args);
    stops.push(() => machine.stop());
    return machine;
  }

  async function routerTo(port: number): Promise<RouterBench> {
    const bench = await RouterBench.start([awake({ status: { endpoint: { host: "127.0.0.1", port } } })]);
    stops.push(() => bench.router.close());
    return bench;
  }

  async function asleep(): Promise<RouterBench> {
    const bench = await RouterBench.start([satellite()]);
    stops.push(() => bench.router.close());
    return bench;
  }

  function client(bench: RouterBench, options?: grpc.ClientOptions): TestClient {
    const one = new TestClient(bench.port, options);
    stops.push(() => one.close());
    return one;
  }

  /** Path of a system program; without it the test counts as skipped, for the reason that is printed. */
  function program(context: Mocha.Context, name: string, debianPackage: string): string {
    const found = findOnPath(name);
    if (found === undefined) {
      skip(context, `${name} is not installed (Debian: ${debianPackage})`);
    }
    return found;
  }

  function skip(context: Mocha.Context, reason: string): never {
    console.log(`      skipped: ${reason}`);
    return context.skip();
  }

  describe("grpc-js", () => {
    it("carries messages of 44 MiB both ways", async () => {
      const bench = await routerTo((await vm()).port);
      const message = Buffer.alloc(44 * 1024 * 1024, 7);
      const { code, messages } = await client(bench).call("unary", { messages: [message] });
      expect(code).to.equal(grpc.status.OK);
      expect(messages[0]?.equals(message)).to.equal(true);
    });

    it("keeps a silent unary call alive by its own pings", async () => {
      let answer = (): void => {};
      const machine = await vm({
        unary: (call, callback) => {
          answer = () => callback(null, call.request);
        },
      });
      const bench = await routerTo(machine.port);
      // A call of an hour, scaled: 30 pings, each of which would end the connection if it were not answered.
      const pinging = { "grpc.keepalive_time_ms": 100, "grpc.keepalive_timeout_ms": 1000 };
      const call = client(bench, pinging).call("unary");
      await until(() => machine.calls === 1);
      setTimeout(() => answer(), 3000);
      expect((await call).code).to.equal(grpc.status.OK);
    });
  });

  describe("node:http2", () => {
    it("gets binary trailers of more than 64 KiB", async () => {
      const details = Buffer.alloc(60_000, "Dockerfile").toString("base64");
      const raw = await RawVM.start((stream) => {
        stream.respond([":status", "200", "content-type", "application/grpc"], { waitForTrailers: true });
        stream.once("wantTrailers", () =>
          stream.sendTrailers({ "grpc-status": "2", "grpc-status-details-bin": details }),
        );
        stream.end();
      });
      stops.push(() => raw.stop());
      const bench = await routerTo(raw.port);
      const one = new RawClient(bench.port);
      stops.push(() => one.close());
      const stream = one.open(["content-type", "application/grpc", "te", "trailers"]);
      stream.end();
      const { trailers } = await answerOf(stream);
      expect(trailers).to.deep.equal(["grpc-status", "2", "grpc-status-details-bin", details]);
    });
  });

  describe("grpcurl (grpc-go)", () => {
    async function grpcurl(
      bench: RouterBench,
      method: string,
      input: string,
      ...more: string[]
    ): Promise<{ readonly status: number; readonly output: string }> {
      const headers = NAMED.flatMap((header) => ["-H", header]);
      const args = [
        "-plaintext",
        "-import-path",
        directory,
        "-proto",
        "test.proto",
        ...headers,
        ...more,
        "-d",
        input,
        `127.0.0.1:${bench.port}`,
        `test.Service/${method}`,
      ];
      try {
        const { stdout } = await execute(requireTool("grpcurl"), args);
        return { status: 0, output: stdout };
      } catch (error) {
        const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
        return { status: code, output: `${stdout}${stderr}` };
      }
    }

    it("calls every shape", async () => {
      const bench = await routerTo((await vm()).port);
      const one = '{"text":"one"}';
      const unary = await grpcurl(bench, "Unary", one);
      expect(JSON.parse(unary.output)).to.deep.equal({ text: "one" });
      const both = await grpcurl(bench, "Bidi", `${one}{"text":"two"}`);
      expect(both.output.match(/one|two/g)).to.deep.equal(["one", "two"]);
      // Protobuf messages one behind the other are one message: the last text wins.
      const collected = await grpcurl(bench, "ClientStream", `${one}{"text":"two"}`);
      expect(JSON.parse(collected.output)).to.deep.equal({ text: "two" });
    });

    it("waits for a satellite that wakes", async () => {
      const machine = await vm();
      const bench = await asleep();
      const call = grpcurl(bench, "Unary", '{"text":"hello"}');
      await bench.held(1);
      bench.runs(machine.port);
      expect(JSON.parse((await call).output)).to.deep.equal({ text: "hello" });
    });

    it("reads the router's refusals", async () => {
      const bench = await RouterBench.start([satellite({ spec: { wakePolicy: "Manual" } })]);
      stops.push(() => bench.router.close());
      const { status, output } = await grpcurl(bench, "Unary", "{}");
      expect(status).to.equal(64 + grpc.status.FAILED_PRECONDITION);
      expect(output).to.contain("wakePolicy is Manual");
    });

    it("keeps its deadline while held", async () => {
      const bench = await asleep();
      const { status } = await grpcurl(bench, "Unary", "{}", "-max-time", "1");
      expect(status).to.equal(64 + grpc.status.DEADLINE_EXCEEDED);
    });
  });

  describe("ghz (grpc-go)", () => {
    it("has all of 2,000 calls answered, over ten connections", async () => {
      const bench = await routerTo((await vm()).port);
      const { stdout } = await execute(requireTool("ghz"), [
        "--insecure",
        "--proto",
        proto,
        "--call",
        "test.Service.Unary",
        "--format",
        "json",
        "--total",
        "2000",
        "--concurrency",
        "50",
        "--connections",
        "10",
        "--metadata",
        '{"satellite-name":"ada","satellite-namespace":"team-a"}',
        "--data",
        '{"text":"hello"}',
        `127.0.0.1:${bench.port}`,
      ]);
      const { statusCodeDistribution } = JSON.parse(stdout) as {
        statusCodeDistribution: Record<string, number>;
      };
      expect(statusCodeDistribution).to.deep.equal({ OK: 2000 });
    });
  });

  describe("grpc C core (Python)", () => {
    it(`holds out a wake of ${HOLD_SECONDS} s with keepalive: ${HOLD_PINGS} pings and no answer`, async function () {
      this.timeout(HOLD_SECONDS * 1000 + 60_000);
      const python = await pythonWithGrpc();
      if (typeof python !== "string") {
        skip(this, python.missing);
      }
      const machine = await vm();
      const bench = await asleep();
      const script = path.join(directory, "client.py");
      writeFileSync(script, PYTHON_CLIENT);
      const keepaliveMs = (HOLD_SECONDS * 1000) / HOLD_PINGS;
      const call = execute(python, [script, String(bench.port), String(keepaliveMs)]);
      await bench.held(1);
      setTimeout(() => bench.runs(machine.port), HOLD_SECONDS * 1000);
      expect((await call).stdout.trim()).to.equal("OK b'hello'");
      expect(machine.calls).to.equal(1);
    });
  });

  describe("nghttp2's tools", () => {
    const headers = [...NAMED, "content-type: application/grpc", "te: trailers"].map(
      (header) => `--header=${header}`,
    );

    it("nghttp holds out a wake of 12 s: it would give up after 10 s without SETTINGS", async function () {
      const nghttp = program(this, "nghttp", "nghttp2-client");
      const machine = await vm();
      const bench = await asleep();
      const body = path.join(directory, "body");
      writeFileSync(body, Buffer.from([0, 0, 0, 0, 0]));
      const call = execute(nghttp, [
        "--verbose",
        `--data=${body}`,
        ...headers,
        `http://127.0.0.1:${bench.port}/test.Service/Unary`,
      ]);
      await bench.held(1);
      setTimeout(() => bench.runs(machine.port), 12_000);
      expect((await call).stdout).to.match(/grpc-status: 0/);
    });

    it("h2load gets every answer", async function () {
      const h2load = program(this, "h2load", "nghttp2-client");
      const bench = await routerTo((await vm()).port);
      const body = path.join(directory, "body");
      writeFileSync(body, Buffer.from([0, 0, 0, 0, 0]));
      const { stdout } = await execute(h2load, [
        "--requests=2000",
        "--clients=10",
        "--max-concurrent-streams=10",
        `--data=${body}`,
        ...headers,
        `http://127.0.0.1:${bench.port}/test.Service/Unary`,
      ]);
      expect(stdout).to.contain("2000 succeeded, 0 failed");
    });
  });

  describe("curl", () => {
    it("speaks HTTP/2 without upgrade, and reads trailers", async function () {
      const curl = program(this, "curl", "curl");
      const bench = await routerTo((await vm()).port);
      const body = path.join(directory, "curl-body");
      writeFileSync(body, Buffer.from([0, 0, 0, 0, 2, 10, 0]));
      const { stdout } = await execute(curl, [
        "--silent",
        "--http2-prior-knowledge",
        "--include",
        "--output",
        "-",
        ...[...NAMED, "content-type: application/grpc", "te: trailers"].flatMap((header) => ["-H", header]),
        "--data-binary",
        `@${body}`,
        `http://127.0.0.1:${bench.port}/test.Service/Unary`,
      ]);
      expect(stdout).to.match(/^HTTP\/2 200/);
      expect(stdout).to.match(/grpc-status: 0/);
    });
  });

  it("lets a client cancel, and the VM hears of it", async () => {
    let heard = false;
    const machine = await vm({
      unary: (call) => {
        call.on("cancelled", () => {
          heard = true;
        });
      },
    });
    const bench = await routerTo(machine.port);
    const { stream, result } = client(bench).open({
      path: "/test.Service/Unary",
      metadata: addressed(),
    });
    stream.write(Buffer.from("x"));
    stream.end();
    await until(() => machine.calls === 1);
    stream.cancel();
    expect((await result).code).to.equal(grpc.status.CANCELLED);
    await until(() => heard);
  });
});
