import { expect } from "chai";
import * as grpc from "@grpc/grpc-js";

import type { Access } from "../../src/router/access.ts";
import { refusal } from "../../src/router/refusal.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { awake, satellite } from "./satellites.ts";
import { addressed, TestVM } from "./support/grpc-peers.ts";
import { RouterBench } from "./support/router-bench.ts";
import { stopAfterEach } from "../support/stops.ts";

const INFO = "/moby.buildkit.v1.Control/Info";
const LIST = "/moby.buildkit.v1.Control/ListWorkers";
const SOLVE = "/moby.buildkit.v1.Control/Solve";
const TOLD = Buffer.from("what the VM said last");
const machine: NonNullable<Satellite["status"]["machine"]> = {
  id: "i-1",
  answers: Object.fromEntries([INFO, LIST, SOLVE].map((path) => [path, TOLD.toString("base64")])),
};

describe("the answers that a router remembers", () => {
  const stops = stopAfterEach();
  async function start(object: Satellite, access?: Access): Promise<RouterBench> {
    const bench = await RouterBench.start([object], {}, access === undefined ? {} : { access });
    stops.push(() => bench.router.close());
    return bench;
  }

  function call(
    bench: RouterBench,
    path: string,
    message = Buffer.alloc(0),
    timeoutMs = 1500,
  ): Promise<Buffer> {
    const client = new grpc.Client(`127.0.0.1:${bench.port}`, grpc.credentials.createInsecure());
    stops.push(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve, reject) => {
      const deadline = timeoutMs === Infinity ? {} : { deadline: Date.now() + timeoutMs };
      client.makeUnaryRequest(path, same, same, message, addressed(), deadline, (error, answer) => {
        if (error === null && answer !== undefined) {
          resolve(answer);
        } else {
          reject(error ?? new Error("no answer"));
        }
      });
    });
  }

  async function statusOf(promise: Promise<unknown>): Promise<grpc.status | undefined> {
    try {
      await promise;
    } catch (error) {
      return (error as grpc.ServiceError).code;
    }
    return undefined;
  }

  it("are given while it sleeps, and neither wake it nor keep it awake", async () => {
    const bench = await start(satellite({ status: { machine } }));
    expect(await call(bench, INFO)).to.deep.equal(TOLD);
    expect([...bench.server.wakeCalls, ...bench.server.statusCalls]).to.deep.equal([]);
  });

  it("are given on its way to being awake", async () => {
    const bench = await start(satellite({ spec: { desiredPower: "on" }, status: { machine } }));
    expect(await call(bench, INFO)).to.deep.equal(TOLD);
  });

  it("are the VM's own while it is awake", async () => {
    const vm = await TestVM.start();
    stops.push(() => vm.stop());
    const bench = await start(awake({ status: { machine, endpoint: { host: "127.0.0.1", port: vm.port } } }));
    expect(await statusOf(call(bench, INFO))).to.equal(grpc.status.UNIMPLEMENTED);
  });

  it("are not given to who may not use the satellite", async () => {
    const bench = await start(satellite({ status: { machine } }), {
      checkListener: () => {},
      check: () => refusal(grpc.status.PERMISSION_DENIED, "no", "Forbidden"),
    });
    expect(await statusOf(call(bench, INFO))).to.equal(grpc.status.PERMISSION_DENIED);
  });

  it("are not given where no call wakes it: the reason is told", async () => {
    const object = satellite({ status: { machine } });
    object.metadata.annotations = { "satellites.dev/paused": "true" };
    const bench = await start(object);
    expect(await statusOf(call(bench, INFO))).to.equal(grpc.status.FAILED_PRECONDITION);
  });

  it("are not given to a request that asks for something in particular", async () => {
    const bench = await start(satellite({ status: { machine } }));
    expect(await statusOf(call(bench, INFO, Buffer.from([0x0a, 1, 0x78])))).to.equal(
      grpc.status.FAILED_PRECONDITION,
    );
    expect(bench.server.wakeCalls).to.deep.equal([]);
  });

  it("are of the list of workers for who wants it soon only: a build waits there, before its deadlines begin", async () => {
    const bench = await start(satellite({ status: { machine } }));
    expect(await call(bench, LIST, Buffer.alloc(0), 20_000)).to.deep.equal(TOLD);
    expect(await call(bench, INFO, Buffer.alloc(0), Infinity)).to.deep.equal(TOLD);
    expect(bench.server.wakeCalls).to.deep.equal([]);
    for (const timeoutMs of [120_000, Infinity]) {
      const asked = await start(satellite({ status: { machine } }));
      void call(asked, LIST, Buffer.alloc(0), timeoutMs).catch(() => {});
      await asked.held(1);
      expect(asked.server.wakeCalls).to.have.length(1);
    }
  });

  it("are of no other method, whatever the status says, and of none that the VM never answered", async () => {
    for (const [path, status] of [
      [SOLVE, { machine }],
      [INFO, { machine: { id: "i-1" } }],
    ] as const) {
      const bench = await start(satellite({ status }));
      void call(bench, path).catch(() => {});
      await bench.held(1);
      expect(bench.server.wakeCalls).to.have.length(1);
    }
  });
});
