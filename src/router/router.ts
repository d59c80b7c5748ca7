import type { BlockList } from "node:net";

import type { Registry } from "@prometheus-io/client";
import type { Random } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { ObjectCache } from "../kube/cache.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Access } from "./access.ts";
import type { AddressOptions } from "./address.ts";
import type { Engine } from "./engine.ts";
import { Gate } from "./gate.ts";
import { Health } from "./health.ts";
import { createHealthService } from "./health-service.ts";
import { joinServices } from "./own-service.ts";
import { createRememberedAnswers } from "./remembered-answers.ts";
import { HoldBudget } from "./hold-budget.ts";
import { createRouterMetrics, type RouterMetrics } from "./metrics.ts";
import { DEFAULT_GATE_OPTIONS, type GateOptions } from "./options.ts";
import { createProber, type Prober } from "./prober.ts";
import { SatelliteApi } from "./satellite-api.ts";
import { SatelliteHealth } from "./satellite-health.ts";
import { SatelliteView } from "./satellite-view.ts";
import { RelayEngine, type RelayEngineOptions } from "./relay/engine.ts";
import type { TlsMaterial, TlsOptions } from "./tls-material.ts";

/** What a router works with. */
export interface RouterDependencies {
  readonly client: KubeClient;
  /** The cache of Satellites, and when its reflector has filled it; whoever made them runs and stops them. */
  readonly satellites: { readonly cache: ObjectCache<Satellite>; readonly synced: Promise<void> };
  readonly access: Access;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Key of this router in `status.activity`: stable over restarts, different for each replica (the pod's name). */
  readonly routerId: string;
  /** Finds out when a VM answers; by TCP and HTTP/2 when absent. */
  readonly prober?: Prober;
  readonly options?: RouterOptions;
}

/** How a router behaves. */
export interface RouterOptions {
  readonly gate?: GateOptions;
  readonly address?: AddressOptions;
  readonly tls?: TlsOptions;
  /** Peers that must begin with a PROXY protocol v2 header; no others may. */
  readonly proxyProtocolFrom?: BlockList;
  /** Bounds of each connection. */
  readonly limits?: NonNullable<RelayEngineOptions["limits"]>;
}

/** A running router. */
export interface Router {
  /**
   * Starts taking connections.
   *
   * @throws SatelliteError `AnonymousListenerNotLoopback`, `CleartextCredentials`, `CannotListen`
   */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }>;
  /**
   * Serves other certificates from now on.
   *
   * @throws SatelliteError `NotTls` where it listens without TLS
   */
  setTlsMaterial(material: TlsMaterial): void;
  /** Whether it should get traffic: it listens, knows the satellites, and is not draining. */
  ready(): boolean;
  /**
   * For SIGTERM: not ready any more, no new connections, GOAWAY; resolves when all streams have run out, or after
   * `graceMs`. Then {@link close}.
   */
  drain(graceMs: number): Promise<void>;
  /** Counts an uncaught error, for which the router ends. */
  noteUncaught(): void;
  /** Ends everything now, then withdraws the leases; takes {@link WITHDRAW_MS} longer where the API server is away. */
  close(): Promise<void>;
}

/** Wires a router: address, access, gate and lease, and the engine that forwards. */
export function createRouter(dependencies: RouterDependencies): Router {
  const { client, satellites, access, clock, random, logger, registry, routerId } = dependencies;
  const { options = {} } = dependencies;
  const metrics = createRouterMetrics(registry);
  const api = new SatelliteApi(client, routerId);
  const view = new SatelliteView({ cache: satellites.cache, api, clock });
  const gateOptions = { ...DEFAULT_GATE_OPTIONS, ...options.gate };
  const address = options.address ?? {};
  const state = { listening: false, synced: false, draining: false };
  const health = new Health(() => isReady(state));
  // The gate tells of the satellites that are known already while it is made: nobody has connected by then.
  let engine: Engine | undefined;
  const gate = new Gate({
    router: routerId,
    view,
    api,
    access,
    address,
    clock,
    random,
    logger,
    metrics,
    prober: dependencies.prober ?? createProber({ clock }),
    options: gateOptions,
    budget: new HoldBudget(gateOptions.maxHeld),
    onStopping: (key) => engine?.goAwayIdle(key),
    onOff: (key, lastEpoch) => engine?.endStreams(key, lastEpoch),
  });
  const { tls, proxyProtocolFrom, limits } = options;
  engine = new RelayEngine({
    gatekeeper: gate,
    own: joinServices(
      createHealthService({ health, satellites: new SatelliteHealth(view), access, address }),
      createRememberedAnswers({ view, access, address }),
    ),
    clock,
    logger,
    onRequestEnd: (code) => metrics.requests.requestEnded(code),
    onFault: () => metrics.uncaughtErrors.inc({ ended: "connection" }),
    ...(tls === undefined ? {} : { tls }),
    ...(proxyProtocolFrom === undefined ? {} : { proxyProtocolFrom }),
    ...(limits === undefined ? {} : { limits }),
  });
  void satellites.synced.then(() => {
    state.synced = true;
    return health.update();
  });
  const isTls = tls !== undefined;
  return new RunningRouter({ access, isTls, gate, engine, health, state, logger, metrics });
}

/** How long answers may take to go out when everything ends, in milliseconds. */
const FLUSH_MS = 250;

/**
 * How long the withdrawal of the leases may take in all, in milliseconds: as long as one call to the API server. It is
 * part of the 30 seconds that a pod is given beyond --grace-seconds.
 */
const WITHDRAW_MS = 10_000;

/** What readiness depends on. */
interface RouterState {
  listening: boolean;
  synced: boolean;
  draining: boolean;
}

function isReady({ listening, synced, draining }: RouterState): boolean {
  return listening && synced && !draining;
}

interface RouterParts {
  readonly access: Access;
  readonly isTls: boolean;
  readonly gate: Gate;
  readonly engine: Engine;
  readonly health: Health;
  readonly state: RouterState;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
}

class RunningRouter implements Router {
  readonly #parts: RouterParts;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  async listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    const { access, isTls, engine, health, state, logger } = this.#parts;
    access.checkListener(address.host, isTls);
    const bound = await engine.listen(address);
    state.listening = true;
    health.update();
    logger.info("the router listens", bound);
    return bound;
  }

  setTlsMaterial(material: TlsMaterial): void {
    this.#parts.engine.setTlsMaterial(material);
  }

  ready(): boolean {
    return isReady(this.#parts.state);
  }

  noteUncaught(): void {
    this.#parts.metrics.uncaughtErrors.inc({ ended: "router" });
  }

  async drain(graceMs: number): Promise<void> {
    const { engine, health, state, logger } = this.#parts;
    state.draining = true;
    health.drain();
    logger.info("the router drains", { graceMs });
    await engine.drain(graceMs);
  }

  async close(): Promise<void> {
    const { engine, gate, health, state } = this.#parts;
    state.draining = true;
    health.drain();
    gate.close();
    // What was just refused must still reach its client.
    await engine.drain(FLUSH_MS);
    await engine.close();
    await gate.withdraw(WITHDRAW_MS);
  }
}
