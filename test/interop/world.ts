import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { writeKubeconfig } from "../../src/local/kubernetes/kubeconfig.ts";
import { startKubernetesServer } from "../../src/local/kubernetes/server.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { satellite } from "../router/satellites.ts";
import { readCrds } from "../support/crds.ts";
import { createTestAuthority } from "../support/pki.ts";
import { asCreated } from "../support/satellites.ts";
import { freePort, startProcess, untilReady, type TestProcess } from "../support/process.ts";
import { DRAIN_TIMEOUT_MS, LoopbackOperator } from "./operator.ts";
import type { Vm } from "./vm.ts";
import { type Stop, stopAll } from "../support/stops.ts";

const KEY = { namespace: "team-a", name: "ada" };
const USER = { name: "system:admin", groups: ["system:masters"], token: "interop" };
const PATIENCE_MS = 30_000;

/** What a {@link World} is made of. */
export interface WorldOptions {
  readonly tls: boolean;
  readonly vm: Vm;
  /** main.ts of the router that is tried. */
  readonly routerMain: string;
}

/**
 * One satellite, its VM on loopback, and a router as a process of its own against the embedded API server. Requests that
 * name no satellite go to that one.
 */
export class World {
  readonly options: WorldOptions;
  readonly operator: LoopbackOperator;
  /** Where clients connect. */
  readonly port: number;
  /** PEM file of the authority that vouches for the router; undefined in cleartext. */
  readonly caFile: string | undefined;
  readonly #router: TestProcess;
  readonly #healthPort: number;
  readonly #undo: Stop[];

  private constructor(
    options: WorldOptions,
    operator: LoopbackOperator,
    router: { process: TestProcess; port: number; healthPort: number; caFile: string | undefined },
    undo: Stop[],
  ) {
    this.options = options;
    this.operator = operator;
    this.port = router.port;
    this.caFile = router.caFile;
    this.#router = router.process;
    this.#healthPort = router.healthPort;
    this.#undo = undo;
  }

  /** Starts everything; the satellite is awake then. */
  static async start(options: WorldOptions): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), "satellites-interop-"));
    const undo: Stop[] = [() => rmSync(directory, { recursive: true, force: true })];
    try {
      const server = await startKubernetesServer({
        stateDir: join(directory, "kubernetes"),
        crds: readCrds() as never[],
        users: [USER],
      });
      undo.push(() => server.close());
      const file = join(directory, "kubeconfig");
      writeKubeconfig(file, { url: server.url, caPem: server.caPem, user: USER });
      const operator = await startOperator(file, options.vm, undo);
      const router = await startRouter(options, directory, file, undo);
      const world = new World(options, operator, router, undo);
      await world.awake();
      return world;
    } catch (error) {
      await stopAll(undo);
      throw error;
    }
  }

  /** What the router wrote last. */
  get routerLog(): string {
    return this.#router.logTail(40);
  }

  /** @throws Error when the router has ended */
  checkRouter(): void {
    if (!this.#router.isRunning()) {
      throw new Error(`the router ended:\n${this.routerLog}`);
    }
  }

  awake(): Promise<void> {
    return this.operator.wake();
  }

  asleep(): Promise<void> {
    return this.operator.sleep("asleep", ({ state }) => state === "Off");
  }

  /** Asks it to sleep, and resolves when it drains: a stream must be open. */
  draining(): Promise<void> {
    return this.operator.sleep("draining", ({ state }) => state === "Stopping");
  }

  /** Resolves when the router holds so many requests. */
  async held(count: number): Promise<void> {
    const untilMs = performance.now() + PATIENCE_MS;
    let held = -1;
    while (held !== count) {
      if (performance.now() > untilMs) {
        throw new Error(`the router holds ${held} requests and not ${count}`);
      }
      await delay(10);
      const metrics = await (await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`)).text();
      held = Number(/^satellites_router_held_requests (\d+)/m.exec(metrics)?.[1] ?? 0);
    }
  }

  async stop(): Promise<void> {
    await stopAll(this.#undo);
  }
}

async function startOperator(kubeconfig: string, vm: Vm, undo: Stop[]): Promise<LoopbackOperator> {
  const context = {
    environment: {},
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    stop: new AbortController().signal,
  };
  const metrics = createKubeMetrics(createMetricsRegistry());
  const client = connectKubernetes({ kubeconfig, component: "satellites-test", metrics }, context);
  undo.push(() => client.close());
  await createSatellite(client, vm);
  const reflector = new Reflector<Satellite>({ client, type: SATELLITES, ...context });
  const watching = new AbortController();
  const watch = reflector.run(watching.signal);
  undo.push(async () => {
    watching.abort();
    await watch;
  });
  await reflector.synced();
  undo.push(() => vm.stop());
  const operator = new LoopbackOperator(client, reflector, KEY, vm);
  operator.start();
  undo.push(() => operator.stop());
  return operator;
}

async function createSatellite(client: ConnectedKubeClient, vm: Vm): Promise<void> {
  await client.create(
    { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false },
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: KEY.namespace },
    } as never,
  );
  const sleeping = satellite({ spec: { drainTimeout: `${DRAIN_TIMEOUT_MS / 1000}s` } });
  await client.create<Satellite>(SATELLITES, asCreated(sleeping));
  const status = { ...sleeping.status, endpoint: { host: vm.host, port: vm.port || 1 } };
  await client.patch<Satellite>(
    SATELLITES,
    KEY,
    { type: "merge", body: { status } },
    { subresource: "status" },
  );
}

async function startRouter(
  { tls, routerMain }: WorldOptions,
  directory: string,
  kubeconfig: string,
  undo: Stop[],
): Promise<{ process: TestProcess; port: number; healthPort: number; caFile: string | undefined }> {
  const [port, healthPort] = [await freePort(), await freePort()];
  const values = {
    kubeconfig,
    "router-id": "router-0",
    listen: `127.0.0.1:${port}`,
    "health-address": `127.0.0.1:${healthPort}`,
    "default-satellite": `${KEY.namespace}/${KEY.name}`,
  };
  const args = [
    "--anonymous",
    ...Object.entries(values).flatMap(([option, value]) => [`--${option}`, value]),
  ];
  let caFile: string | undefined;
  if (tls) {
    const authority = await createTestAuthority("interop");
    const { cert, key } = await authority.issueServer();
    caFile = join(directory, "ca.pem");
    writeFileSync(caFile, authority.caPem);
    writeFileSync(join(directory, "tls.crt"), cert);
    writeFileSync(join(directory, "tls.key"), key, { mode: 0o600 });
    args.push("--tls-cert", join(directory, "tls.crt"), "--tls-key", join(directory, "tls.key"));
  }
  const started = await startProcess(
    "router",
    process.execPath,
    [routerMain, "router", ...args],
    join(directory, "router.log"),
  );
  undo.push(() => started.stop());
  await untilReady(started, healthPort, PATIENCE_MS);
  return { process: started, port, healthPort, caFile };
}
