import { expect } from "chai";

import { ObjectCache } from "../../src/kube/cache.ts";
import { anonymousLoopback, type Access } from "../../src/router/access.ts";
import { GrpcStatus, type HeaderList } from "../../src/router/engine.ts";
import { createHealthService } from "../../src/router/health-service.ts";
import { Health, ServingStatus } from "../../src/router/health.ts";
import type { OwnCallHandler } from "../../src/router/own-service.ts";
import { refusal, type Refusal } from "../../src/router/refusal.ts";
import { SatelliteApi } from "../../src/router/satellite-api.ts";
import { SatelliteHealth } from "../../src/router/satellite-health.ts";
import { SatelliteView } from "../../src/router/satellite-view.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { unreachable } from "../support/embedded-kube.ts";
import { SatelliteServer } from "./satellite-server.ts";
import { KEY } from "./gate-bench.ts";
import { awake, power, satellite } from "./satellites.ts";

const ADDRESS: HeaderList = [
  ["satellite-name", "ada"],
  ["satellite-namespace", "team-a"],
];
const NAMES = new Map(Object.entries(ServingStatus).map(([name, number]) => [number as number, name]));
const EMPTY = Buffer.alloc(5);

/** A call as its client sees it. */
interface Call {
  readonly statuses: string[];
  readonly messages: Buffer[];
  readonly handler: OwnCallHandler;
  end?: { readonly status: number; readonly message: string };
}

/** The service beside the embedded API server. */
class Bench {
  readonly server = new SatelliteServer();
  readonly clock = new VirtualClock();
  readonly disconnect: () => void;
  readonly health: Health;
  isServing = true;
  readonly #service: ReturnType<typeof createHealthService>;

  constructor(
    satellites: readonly Satellite[],
    access: Access = anonymousLoopback({ logger: silentLogger }),
  ) {
    for (const object of satellites) {
      this.server.put(object);
    }
    const cache = new ObjectCache<Satellite>({ clock: this.clock, logger: silentLogger });
    this.disconnect = this.server.connect(cache);
    const api = new SatelliteApi(this.server, "router-0");
    this.health = new Health(() => this.isServing);
    this.health.update();
    this.#service = createHealthService({
      health: this.health,
      satellites: new SatelliteHealth(new SatelliteView({ cache, api, clock: this.clock })),
      access,
      address: { defaultSatellite: { namespace: "team-a", name: "ada" } },
    });
  }

  async call(method: string, address: HeaderList = ADDRESS, request = EMPTY): Promise<Call> {
    const headers: HeaderList = [[":path", `/grpc.health.v1.Health/${method}`], ...address];
    const connection = { id: 1, remoteAddress: "127.0.0.1" };
    expect(this.#service.handles(connection, headers)).to.equal(true);
    const seen: { statuses: string[]; messages: Buffer[]; end?: NonNullable<Call["end"]> } = {
      statuses: [],
      messages: [],
    };
    const handler = this.#service.serve({
      connection,
      headers,
      send: (framed) => {
        seen.messages.push(framed);
        seen.statuses.push(NAMES.get(framed.at(-1) ?? 0) ?? "?");
      },
      end: (end) => {
        seen.end ??= end;
      },
    });
    handler.onData(request);
    handler.onEnd();
    await this.clock.settle();
    return Object.assign(seen, { handler });
  }
}

describe("health of a satellite", () => {
  const failed = satellite({ spec: { desiredPower: "on" }, status: { phase: "Failed" } });
  for (const [what, object, expected] of [
    ["awake", awake(), "SERVING"],
    ["asleep, and a call would wake it", satellite(), "SERVING"],
    ["on its way", awake({ status: { phase: "Waking", power: power("Starting") } }), "SERVING"],
    ["asleep, with wakePolicy Manual", satellite({ spec: { wakePolicy: "Manual" } }), "NOT_SERVING"],
    ["awake, with wakePolicy Manual", awake({ spec: { wakePolicy: "Manual" } }), "SERVING"],
    ["asleep and paused", satellite({ annotations: { "satellites.dev/paused": "true" } }), "NOT_SERVING"],
    ["failed", failed, "NOT_SERVING"],
    ["being deleted", awake({ deletionTimestamp: "2026-01-01T00:00:00Z" }), "NOT_SERVING"],
  ] as const) {
    it(`is ${expected} when it is ${what}, and asking writes nothing`, async () => {
      const bench = new Bench([object]);
      const { statuses, end } = await bench.call("Check");
      expect(statuses).to.deep.equal([expected]);
      expect(end?.status).to.equal(GrpcStatus.OK);
      expect(bench.server.calls).to.have.length(0);
    });
  }

  it("is that of the whole for every name of a service: what the VM serves is not known here", async () => {
    const bench = new Bench([satellite()]);
    const { statuses } = await bench.call("Check", ADDRESS, Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x78]));
    expect(statuses).to.deep.equal(["SERVING"]);
  });

  it("is listed as the health of the whole", async () => {
    const bench = new Bench([satellite()]);
    const { messages, end } = await bench.call("List");
    // HealthListResponse{statuses: {"": {status: SERVING}}}
    expect(messages).to.deep.equal([Buffer.from([0, 0, 0, 0, 8, 0x0a, 6, 0x0a, 0, 0x12, 2, 0x08, 1])]);
    expect(end?.status).to.equal(GrpcStatus.OK);
  });

  it("is looked up where the cache does not know it yet", async () => {
    const bench = new Bench([]);
    bench.disconnect();
    bench.server.put(satellite());
    expect((await bench.call("Check")).statuses).to.deep.equal(["SERVING"]);
  });

  it("is NOT_FOUND where there is no such satellite", async () => {
    const { end, statuses } = await new Bench([]).call("Check");
    expect(statuses).to.deep.equal([]);
    expect(end?.status).to.equal(GrpcStatus.NOT_FOUND);
  });

  it("is UNAVAILABLE where the API server does not say", async () => {
    const bench = new Bench([]);
    bench.server.before = () => {
      throw unreachable();
    };
    expect((await bench.call("Check")).end?.status).to.equal(GrpcStatus.UNAVAILABLE);
  });

  it("is told to those alone who may use it, whether it exists or not", async () => {
    const answer: Refusal = refusal(GrpcStatus.PERMISSION_DENIED, "no", "NotPermitted");
    const access: Access = { checkListener: () => {}, check: async () => answer };
    for (const satellites of [[satellite()], []]) {
      for (const method of ["Check", "Watch", "List"]) {
        const bench = new Bench(satellites, access);
        const { end, statuses } = await bench.call(method);
        expect({ end, statuses }).to.deep.equal({ end: answer, statuses: [] });
        expect(bench.server.calls).to.have.length(0);
      }
    }
  });

  describe("watched", () => {
    it("follows its changes, tells each once, and writes nothing", async () => {
      const bench = new Bench([satellite()]);
      const { statuses, end } = await bench.call("Watch");
      bench.server.change(KEY, ({ spec }) => {
        spec.wakePolicy = "Manual";
      });
      bench.server.change(KEY, ({ metadata }) => {
        metadata.labels = { seen: "again" };
      });
      bench.server.change(KEY, ({ spec, status }) => {
        spec.desiredPower = "on";
        status.power = power("Running");
      });
      bench.server.deleteNow(KEY);
      bench.server.put(satellite({ uid: "uid-other" }));
      expect(statuses).to.deep.equal(["SERVING", "NOT_SERVING", "SERVING", "SERVICE_UNKNOWN", "SERVING"]);
      expect(end).to.equal(undefined);
      expect(bench.server.calls).to.have.length(0);
    });

    it("waits for one that does not exist yet", async () => {
      const bench = new Bench([]);
      const { statuses } = await bench.call("Watch");
      bench.server.put(satellite());
      expect(statuses).to.deep.equal(["SERVICE_UNKNOWN", "SERVING"]);
    });

    it("ends when the router drains, and at once when it drains already", async () => {
      const bench = new Bench([satellite()]);
      const before = await bench.call("Watch");
      bench.health.drain();
      const after = await bench.call("Watch");
      for (const { end, statuses } of [before, after]) {
        expect(end?.status).to.equal(GrpcStatus.UNAVAILABLE);
        expect(statuses).to.deep.equal(["SERVING"]);
      }
    });

    it("is told nothing any more once the client has gone", async () => {
      const bench = new Bench([satellite()]);
      const call = await bench.call("Watch");
      call.handler.onCancel();
      bench.server.deleteNow(KEY);
      bench.health.drain();
      expect(call.statuses).to.deep.equal(["SERVING"]);
      expect(call.end).to.equal(undefined);
    });
  });
});

describe("health of the router", () => {
  it("is asked for where no satellite is named, also where the listener has a default one", async () => {
    const bench = new Bench([satellite({ spec: { wakePolicy: "Manual" } })]);
    expect((await bench.call("Check", [])).statuses).to.deep.equal(["SERVING"]);
    bench.isServing = false;
    expect((await bench.call("Check", [])).statuses).to.deep.equal(["NOT_SERVING"]);
  });

  it("is told to those who watch when it drains, before they are sent elsewhere", async () => {
    const bench = new Bench([]);
    const call = await bench.call("Watch", []);
    expect(call.end).to.equal(undefined);
    bench.isServing = false;
    bench.health.drain();
    expect(call.statuses).to.deep.equal(["SERVING", "NOT_SERVING"]);
    expect(call.end?.status).to.equal(GrpcStatus.UNAVAILABLE);
  });

  it("is not that of any other service", async () => {
    const bench = new Bench([]);
    const named = Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x78]);
    expect((await bench.call("Check", [], named)).end?.status).to.equal(GrpcStatus.NOT_FOUND);
    expect((await bench.call("Watch", [], named)).statuses).to.deep.equal(["SERVICE_UNKNOWN"]);
  });

  it("is refused in other words than the protocol's", async () => {
    const bench = new Bench([]);
    expect((await bench.call("Reset")).end?.status).to.equal(GrpcStatus.UNIMPLEMENTED);
    expect((await bench.call("Check", ADDRESS, Buffer.alloc(3))).end?.status).to.equal(
      GrpcStatus.INVALID_ARGUMENT,
    );
    expect((await bench.call("Check", ADDRESS, Buffer.alloc(2000))).end?.status).to.equal(
      GrpcStatus.RESOURCE_EXHAUSTED,
    );
    expect((await bench.call("Check", [["satellite-namespace", "x"]])).end?.status).to.equal(
      GrpcStatus.INVALID_ARGUMENT,
    );
  });
});
