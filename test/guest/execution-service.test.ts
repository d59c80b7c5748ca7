import { readFileSync } from "node:fs";
import { join } from "node:path";

import { credentials, makeGenericClientConstructor, Metadata, status } from "@grpc/grpc-js";
import { expect } from "chai";

import { loadGuestSchema } from "../../src/guest/schema.ts";
import { eventually } from "../support/eventually.ts";
import { startTestGuest, type TestGuest } from "./support.ts";

describe("remote execution", () => {
  let guest: TestGuest;

  beforeEach(async () => {
    guest = await startTestGuest();
  });

  afterEach(() => guest.close());

  const shell = (script: string): readonly [string, { args: string[] }] => ["sh", { args: ["-c", script] }];

  const isAlive = (pid: number): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  };

  it("streams both outputs and ends with the exit status", async () => {
    const result = await guest.client.run(...shell("echo out; echo err >&2; exit 7"));
    expect(result.stdout.toString()).to.equal("out\n");
    expect(result.stderr.toString()).to.equal("err\n");
    expect(result).to.include({ code: 7, signal: "", timedOut: false });
  });

  it("passes arguments untouched, input, environment and the working directory", async () => {
    const options = {
      args: ["-c", 'cat; printf %s "$1:$WORD:$PWD"', "sh", "a b'\"$x"],
      stdin: Buffer.from("in\n"),
    };
    const result = await guest.client.run("sh", { ...options, env: { WORD: "w" } });
    expect(result.stdout.toString()).to.equal(`in\na b'"$x:w:${guest.workDirectory}`);
  });

  it("keeps what commands write in the work directory", async () => {
    await guest.client.run(...shell("mkdir d && echo kept > d/f"));
    const result = await guest.client.run("cat", { args: ["f"], workingDirectory: "d" });
    expect(result.stdout.toString()).to.equal("kept\n");
  });

  it("answers 127 for a program that is not there, as a shell does", async () => {
    const result = await guest.client.run("no-such-program");
    expect(result.code).to.equal(127);
    expect(result.stderr.toString()).to.contain("no-such-program");
  });

  it("names the signal that ended a command", async () => {
    const result = await guest.client.run(...shell("kill -TERM $$"));
    expect(result.signal).to.equal("SIGTERM");
  });

  it("makes commands the first to be killed when memory runs out", async () => {
    const result = await guest.client.run("cat", { args: ["/proc/self/oom_score_adj"] });
    expect(result.stdout.toString().trim()).to.equal("500");
  });

  it("ends a command, children included, when its time is up, even if it ignores SIGTERM", async () => {
    const script = "trap '' TERM; sleep 600 & echo $!; wait; wait; sleep 600";
    const result = await guest.client.run("sh", { args: ["-c", script], timeoutMs: 200 });
    expect(result).to.include({ timedOut: true, signal: "SIGKILL" });
    // It was killed with its parent; its new parent, the machine's init, has yet to be told.
    await eventually("the child is gone", () => !isAlive(Number(result.stdout.toString())));
  });

  it("ends a command, children included, when the call is cancelled", async () => {
    const abort = new AbortController();
    let child = 0;
    const outcome = guest.client
      .run("sh", {
        args: ["-c", "sleep 600 & echo $!; wait"],
        signal: abort.signal,
        onStdout: (chunk) => {
          child = Number(chunk.toString());
          abort.abort();
        },
      })
      .then(
        () => "finished",
        (error: { code: number }) => error.code,
      );
    expect(await outcome).to.equal(status.CANCELLED);
    await eventually("the child is gone", () => !isAlive(child));
    await eventually("nothing runs", async () => (await guest.client.describe()).runningCommands === 0);
  });

  it("kills what a command leaves behind when it ends", async () => {
    const result = await guest.client.run(...shell("sleep 600 > /dev/null 2>&1 & echo $!"));
    expect(result.code).to.equal(0);
    await eventually("the leftover is gone", () => !isAlive(Number(result.stdout.toString())));
  });

  it("survives a caller that cancels after the command has ended", async () => {
    await Promise.all(Array.from({ length: 5 }, () => guest.client.run("true")));
    expect((await guest.client.describe()).runningCommands).to.equal(0);
  });

  it("delivers megabytes whole and in order", async () => {
    const result = await guest.client.run(...shell("seq 1 400000"));
    const lines = result.stdout.toString().trimEnd().split("\n");
    expect(lines).to.have.length(400_000);
    expect(lines.every((line, index) => line === String(index + 1))).to.equal(true);
  });

  it("holds a command back while its caller does not read", async () => {
    const Execution = makeGenericClientConstructor(loadGuestSchema().execution, "Execution");
    const stub = new Execution(guest.address, credentials.createInsecure());
    const counter = join(guest.workDirectory, "written");
    const script = `i=0; while [ $i -lt 4000 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > ${counter}; done`;
    const call = stub["Run"]!({ command: "sh", args: ["-c", script] }, new Metadata());
    call.on("error", () => {});
    call.once("data", () => call.pause());
    let last = -1;
    await eventually("the command stands still", async () => {
      const now = Number(
        await guest.client.run("cat", { args: ["written"] }).then(({ stdout }) => stdout.toString()),
      );
      await guest.client.run("sleep", { args: ["0.3"] });
      const stands = now > 0 && now === last;
      last = now;
      return stands;
    });
    // 4000 blocks are 256 MiB; far less fits into the windows and pipes between the two.
    expect(last).to.be.lessThan(1000);
    call.cancel();
    stub.close();
  });

  for (const [field, request] of [
    ["an empty command", { command: "" }],
    ["a working directory that is not there", { command: "true", workingDirectory: "nowhere" }],
    ["a negative timeout", { command: "true", timeoutMs: -1 }],
    ["a timeout beyond what timers can wait", { command: "true", timeoutMs: 2 ** 31 }],
    ["a NUL byte", { command: "true", args: ["a\0b"] }],
  ] as const) {
    it(`refuses ${field} with INVALID_ARGUMENT`, async () => {
      const { command, ...options } = request;
      const failure = await guest.client.run(command, options).catch((error: unknown) => error);
      expect(failure).to.have.property("code", status.INVALID_ARGUMENT);
    });
  }
});
