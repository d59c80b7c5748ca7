import { Registry } from "@prometheus-io/client";

import { anonymousLoopback, type Access } from "../../src/router/access.ts";
import type { AddressOptions } from "../../src/router/address.ts";
import type { Admission, ConnectionInfo, HeaderList } from "../../src/router/engine.ts";
import { Gate } from "../../src/router/gate.ts";
import { HoldBudget } from "../../src/router/hold-budget.ts";
import { createRouterMetrics } from "../../src/router/metrics.ts";
import { DEFAULT_GATE_OPTIONS, type GateOptions } from "../../src/router/options.ts";
import type { Prober } from "../../src/router/prober.ts";
import { SatelliteApi } from "../../src/router/satellite-api.ts";
import { SatelliteView } from "../../src/router/satellite-view.ts";
import type { Target } from "../../src/router/standing.ts";
import { ObjectCache } from "../../src/kube/cache.ts";
import type { Lease } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger, type Logger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { SatelliteServer } from "./satellite-server.ts";

export const KEY = "team-a/ada";
export const ROUTER = "router-0";
const CONNECTION: ConnectionInfo = { id: 1, remoteAddress: "127.0.0.1" };

/** A probe that a test answers. */
export class FakeProber implements Prober {
  readonly probes: { readonly target: Target; readonly answer: () => void; readonly signal: AbortSignal }[] =
    [];

  untilAnswers(target: Target, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.probes.push({ target, answer: resolve, signal });
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  /** Probes that are under way. */
  get running(): FakeProber["probes"] {
    return this.probes.filter(({ signal }) => !signal.aborted);
  }
}

/** A request as a test sees it. */
export interface TestRequest {
  /** The answer, once there is one. */
  readonly admission: () => Admission | undefined;
  /** Whether the answer came at once, without a promise. */
  readonly wasImmediate: boolean;
  readonly cancel: () => void;
}

/** One router's gate under a virtual clock, against the embedded API server. */
export class GateBench {
  readonly clock = new VirtualClock();
  readonly server: SatelliteServer;
  readonly prober = new FakeProber();
  readonly registry = new Registry();
  readonly stopping: string[] = [];
  /** Requests in the order in which they were answered, by the number that {@link request} counts up. */
  readonly answered: number[] = [];
  #requests = 0;
  readonly cache: ObjectCache<Satellite>;
  readonly gate: Gate;
  readonly disconnect: () => void;

  constructor(
    satellites: readonly Satellite[],
    options: {
      readonly gate?: GateOptions;
      readonly address?: AddressOptions;
      readonly server?: SatelliteServer;
      readonly router?: string;
      readonly access?: Access;
      readonly logger?: Logger;
    } = {},
  ) {
    this.server = options.server ?? new SatelliteServer();
    for (const object of satellites) {
      this.server.put(object);
    }
    const { clock } = this;
    const router = options.router ?? ROUTER;
    this.cache = new ObjectCache({ clock, logger: silentLogger });
    this.disconnect = this.server.connect(this.cache);
    const gateOptions = { ...DEFAULT_GATE_OPTIONS, ...options.gate };
    const api = new SatelliteApi(this.server, router);
    this.gate = new Gate({
      router,
      api,
      view: new SatelliteView({ cache: this.cache, api, clock }),
      access: options.access ?? anonymousLoopback({ logger: silentLogger }),
      address: options.address ?? {},
      clock,
      random: () => 0.5,
      logger: options.logger ?? silentLogger,
      metrics: createRouterMetrics(this.registry),
      prober: this.prober,
      options: gateOptions,
      budget: new HoldBudget(gateOptions.maxHeld),
      onStopping: (key) => this.stopping.push(key),
    });
  }

  /** Sends a request for the satellite of the tests. */
  request(headers: HeaderList = [], path = "/test.Service/Call"): TestRequest {
    const abort = new AbortController();
    const number = this.#requests++;
    let admission: Admission | undefined;
    const result = this.gate.admit(
      CONNECTION,
      [[":path", path], ["satellite-name", "ada"], ["satellite-namespace", "team-a"], ...headers],
      abort.signal,
    );
    const wasImmediate = !(result instanceof Promise);
    if (result instanceof Promise) {
      void result.then((settled) => {
        admission = settled;
        this.answered.push(number);
        return settled;
      });
    } else {
      admission = result;
      this.answered.push(number);
    }
    return { admission: () => admission, wasImmediate, cancel: () => abort.abort() };
  }

  /** This router's entry in the satellite's activity. */
  entry(router = ROUTER): Lease | undefined {
    return this.server.read(KEY).status.activity[router];
  }

  async metric(name: string): Promise<number | undefined> {
    const metric = await this.registry.getSingleMetric(name)?.get();
    return metric?.values[0]?.value;
  }
}
