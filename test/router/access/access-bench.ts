import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { Registry } from "@prometheus-io/client";

import { systemClock } from "../../../src/base/clock.ts";
import { loadKubeConfig } from "../../../src/kube/config.ts";
import { isNotFound } from "../../../src/kube/errors.ts";
import { createKubeClient, type ConnectedKubeClient } from "../../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../../src/kube/metrics.ts";
import { NAMESPACE } from "../../../src/kube/resources.ts";
import { Reflector } from "../../../src/kube/reflector.ts";
import type { TokenUser } from "../../../src/local/kubernetes/authentication.ts";
import type { AccessRequest } from "../../../src/local/kubernetes/reviews.ts";
import { startKubernetesServer, type KubernetesServer } from "../../../src/local/kubernetes/server.ts";
import type { Engine } from "../../../src/router/engine.ts";
import { Gate } from "../../../src/router/gate.ts";
import { HoldBudget } from "../../../src/router/hold-budget.ts";
import { settingsFrame, writeHeaderFrames } from "../../../src/http2/frame-writer.ts";
import { encodeField, maxFieldBytes } from "../../../src/http2/hpack-encoder.ts";
import { CLIENT_PREFACE } from "../../../src/http2/protocol.ts";
import { createRouterMetrics } from "../../../src/router/metrics.ts";
import { DEFAULT_GATE_OPTIONS } from "../../../src/router/options.ts";
import { createProber } from "../../../src/router/prober.ts";
import { SatelliteApi } from "../../../src/router/satellite-api.ts";
import { SatelliteView } from "../../../src/router/satellite-view.ts";
import { RelayEngine } from "../../../src/router/relay/engine.ts";
import type { TlsOptions } from "../../../src/router/tls-material.ts";
import { createTokenAccess, type TokenAccessOptions } from "../../../src/router/token-access.ts";
import { SATELLITES } from "../../../src/satellite/resource.ts";
import type { Satellite } from "../../../src/satellite/types.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { readCrds } from "../../support/crds.ts";
import { kubeconfig } from "../../support/kubeconfig.ts";
import { asCreated } from "../../support/satellites.ts";
import { awake, satellite } from "../satellites.ts";
import { Peer } from "../relay/support/peer.ts";
import { RecordingClient } from "./recording-client.ts";

const ADMIN = "token-of-the-admin";
const ROUTER = "token-of-the-router";

/** The embedded API server with two satellites of team-a: `ada` is awake, `bob` sleeps. */
export class Cluster {
  readonly server: KubernetesServer;
  readonly admin: ConnectedKubeClient;
  /** The token by which the router knows the API server; no caller's business. */
  readonly routerToken = ROUTER;
  readonly #directory: string;

  private constructor(server: KubernetesServer, directory: string) {
    this.server = server;
    this.#directory = directory;
    this.admin = this.connect(ADMIN);
  }

  /** @param vmPort where the VM of `ada` is */
  static async start(
    users: readonly TokenUser[],
    allows: (request: AccessRequest) => boolean,
    vmPort: number,
  ): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), "satellites-access-"));
    const server = await startKubernetesServer({
      stateDir: directory,
      crds: readCrds() as never,
      users: [
        { name: "admin", groups: ["system:masters"], token: ADMIN },
        { name: "system:serviceaccount:satellites:router", groups: [], token: ROUTER },
        ...users,
      ],
      authorizer: (request) => ({ allowed: allows(request) }),
    });
    const cluster = new Cluster(server, directory);
    const metadata = { name: "team-a" };
    await cluster.admin.create(NAMESPACE, { metadata });
    await cluster.#put(awake({ status: { endpoint: { host: "127.0.0.1", port: vmPort } } }));
    await cluster.#put(satellite({ name: "bob" }));
    return cluster;
  }

  /** Path of a kubeconfig with that token. */
  kubeconfig(token: string = ROUTER): string {
    const file = join(this.#directory, `${token}.kubeconfig`);
    writeFileSync(file, kubeconfig(this.server.url, this.server.caPem, { token }), { mode: 0o600 });
    return file;
  }

  /** A client that shows that token. */
  connect(token: string): ConnectedKubeClient {
    return createKubeClient({
      config: loadKubeConfig({ path: this.kubeconfig(token), environment: {} }),
      clock: systemClock,
      random: Math.random,
      logger: new CollectingLogger(),
      metrics: createKubeMetrics(new Registry()),
      userAgent: "test",
      fieldManager: "test",
    });
  }

  read(name: string): Promise<Satellite> {
    return this.admin.get<Satellite>(SATELLITES, { namespace: "team-a", name });
  }

  /** Has these satellites in place of those of the same names, as if nobody had touched them. */
  async reset(...satellites: readonly Satellite[]): Promise<void> {
    for (const each of satellites) {
      const { namespace = "", name } = each.metadata;
      try {
        await this.admin.delete(SATELLITES, { namespace, name });
      } catch (error) {
        if (!isNotFound(error)) {
          throw error;
        }
      }
      await this.#put(each);
    }
  }

  async stop(): Promise<void> {
    await this.admin.close();
    await this.server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #put(object: Satellite): Promise<void> {
    const made = await this.admin.create(SATELLITES, asCreated(object));
    await this.admin.replace(SATELLITES, { ...object, metadata: made.metadata }, { subresource: "status" });
  }
}

/** How a router of a test is made. */
export interface AccessRouterOptions extends Partial<TokenAccessOptions> {
  readonly tls?: TlsOptions;
}

/** A router with access control, on loopback. */
export class AccessRouter {
  readonly client: RecordingClient;
  readonly logger = new CollectingLogger();
  readonly engine: Engine;
  readonly gate: Gate;
  readonly #connected: ConnectedKubeClient;
  readonly #watching = new AbortController();
  readonly #reflector: Reflector<Satellite>;
  readonly #peers: Peer[] = [];
  #watch: Promise<void> = Promise.resolve();
  port = 0;

  private constructor(cluster: Cluster, { tls: secured, ...access }: AccessRouterOptions) {
    const { logger } = this;
    const clock = systemClock;
    const random = Math.random;
    this.#connected = cluster.connect(ROUTER);
    this.client = new RecordingClient(this.#connected);
    const { client } = this;
    this.#reflector = new Reflector<Satellite>({ client, type: SATELLITES, clock, random, logger });
    const api = new SatelliteApi(client, "router-0");
    const metrics = createRouterMetrics(new Registry());
    this.gate = new Gate({
      router: "router-0",
      api,
      view: new SatelliteView({ cache: this.#reflector.cache, api, clock }),
      access: createTokenAccess({ client, clock, logger, ...access }),
      address: {},
      clock,
      random,
      logger,
      metrics,
      prober: createProber({ clock }),
      options: DEFAULT_GATE_OPTIONS,
      budget: new HoldBudget(DEFAULT_GATE_OPTIONS.maxHeld),
    });
    const common = {
      gatekeeper: this.gate,
      clock,
      logger,
      ...(secured === undefined ? {} : { tls: secured }),
    };
    this.engine = new RelayEngine(common);
  }

  static async start(cluster: Cluster, options: AccessRouterOptions = {}): Promise<AccessRouter> {
    const router = new AccessRouter(cluster, options);
    router.#watch = router.#reflector.run(router.#watching.signal);
    await router.#reflector.synced();
    router.port = (await router.engine.listen({ host: "127.0.0.1", port: 0 })).port;
    return router;
  }

  /** A client that has sent its preface; over TLS where options for that are given. */
  async connect(options?: tls.ConnectionOptions): Promise<Peer> {
    const at = { host: "127.0.0.1", port: this.port };
    const socket =
      options === undefined
        ? net.connect({ ...at, noDelay: true })
        : tls.connect({ ...at, servername: "localhost", ALPNProtocols: ["h2"], ...options });
    await once(socket, options === undefined ? "connect" : "secureConnect");
    const peer = new Peer(socket);
    this.#peers.push(peer);
    peer.send(CLIENT_PREFACE, settingsFrame([]));
    return peer;
  }

  async stop(): Promise<void> {
    for (const { socket } of this.#peers) {
      socket.destroy();
    }
    this.gate.close();
    await this.engine.close();
    await this.gate.withdraw(1000);
    this.#watching.abort();
    await this.#watch;
    await this.#connected.close();
  }
}

/** Header fields, a name as often as wanted. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** HEADERS of a gRPC request for a satellite of team-a. */
export function requestFor(id: number, name: string, fields: Fields, endStream = true): Buffer {
  return headerFrames(
    id,
    [
      [":method", "POST"],
      [":scheme", "https"],
      [":path", "/test.Service/Call"],
      [":authority", "router"],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["satellite-name", name],
      ["satellite-namespace", "team-a"],
      ...fields,
    ],
    endStream,
  );
}

/** HEADERS, and CONTINUATION where needed. */
export function headerFrames(id: number, fields: Fields, endStream: boolean): Buffer {
  const block = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0));
  const sizeBytes = fields.reduce((at, [name, value]) => encodeField(block, at, name, value, false), 0);
  const target = Buffer.alloc(sizeBytes + 1000);
  return target.subarray(0, writeHeaderFrames(target, 0, id, block.subarray(0, sizeBytes), endStream));
}
