import { randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { parse } from "yaml";
import { systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import { LOCAL_IMAGE, LOCAL_REGION, LOCAL_TLS_IMAGE } from "../../src/commands/local-ec2.ts";
import { VirtualVms } from "../../src/commands/virtual-vms.ts";
import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { createEc2Endpoint, type Ec2Endpoint } from "../../src/local/ec2/endpoint.ts";
import { type HttpServer, listenOnLoopback } from "../../src/local/ec2/http-server.ts";
import type { Instance } from "../../src/local/ec2/instance.ts";
import { Ec2Model } from "../../src/local/ec2/model.ts";
import { defaultNetwork } from "../../src/local/ec2/network.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { installCrds } from "./crds.ts";
import { ec2Action } from "./ec2-action.ts";
import { type KubeApiServer, startKubeApiServer } from "./kube-apiserver.ts";
import { kubeconfig } from "./kubeconfig.ts";
import { freePort, isReady, startProcess, type TestProcess } from "./process.ts";
import { eventually } from "./eventually.ts";
import { type Stop, stopAll } from "./stops.ts";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(ROOT, "src/main.ts");
const CLASS_FILE = join(ROOT, "examples/local/class.yaml");
/** Where the leader's Lease is. */
export const SYSTEM_NAMESPACE = "satellites";
/** Where the tests' satellites are. */
export const NAMESPACE = "team-a";
/** The class whose machines serve TLS; the default class's do not. */
export const TLS_CLASS = "tls";
/** Service account that the tests' requests come from, and the audience of its token. */
const CALLER = "caller";
const AUDIENCE = "satellites.dev";
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/leases/satellites-operator`;
/** Where the API server collection is. */
export const SATELLITES_PATH = `/apis/satellites.dev/v1alpha1/namespaces/${NAMESPACE}/satellites`;

/** A running operator. */
export interface OperatorProcess extends TestProcess {
  /** Actions that it asked of EC2, with their time on the monotonic clock in milliseconds. */
  readonly ec2Calls: readonly { readonly action: string; readonly atMs: number }[];
  metrics(): Promise<string>;
}

/** A running router. */
export interface RouterProcess extends TestProcess {
  /** "host:port" where clients connect. */
  readonly address: string;
}

/** How an {@link Installation} is made. */
export interface InstallationOptions {
  /** Milliseconds that each change of a VM's state takes. */
  readonly changeMs: number;
  /** How long the leader's lease lasts. */
  readonly leaseSeconds: number;
}

/** The Lease that the operators elect their leader by. */
export interface LeaderLease {
  readonly holderIdentity?: string;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/**
 * The product as a cluster runs it: operators and routers as processes of their own against kube-apiserver and an
 * EC2 endpoint in this process, whose VMs are virtual but answer at their addresses.
 */
export class Installation {
  readonly server: KubeApiServer;
  readonly client: ConnectedKubeClient;
  readonly endpoint: Ec2Endpoint;
  readonly model: Ec2Model;
  readonly vms: VirtualVms;
  readonly #options: InstallationOptions;
  readonly #directory: string;
  readonly #reflector: Reflector<Satellite>;
  #token = "";
  /** What must be undone at the end; the newest is last and is undone first. */
  readonly #undo: Stop[] = [];

  private constructor(
    options: InstallationOptions,
    directory: string,
    parts: { server: KubeApiServer; model: Ec2Model; vms: VirtualVms; client: ConnectedKubeClient },
  ) {
    this.#options = options;
    this.#directory = directory;
    this.server = parts.server;
    this.model = parts.model;
    this.vms = parts.vms;
    this.client = parts.client;
    this.endpoint = createEc2Endpoint({
      model: parts.model,
      clock: systemClock,
      logger: silentLogger,
      parameters: { "/satellites/images/amd64": LOCAL_IMAGE },
    });
    this.#reflector = new Reflector<Satellite>({
      client: parts.client,
      type: SATELLITES,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
    });
  }

  /** Starts API server and EC2 endpoint with the default class, and no operator or router yet. */
  static async start(options: InstallationOptions): Promise<Installation> {
    const server = await startKubeApiServer();
    const directory = mkdtempSync(join(tmpdir(), "satellites-installation-"));
    const vms = await VirtualVms.open({
      directory: join(directory, "vms"),
      image: LOCAL_IMAGE,
      tlsImage: LOCAL_TLS_IMAGE,
      delayMs: options.changeMs,
      clock: systemClock,
    });
    const second = randomInt(192, 254);
    const third = 2 * randomInt(0, 127);
    const model = new Ec2Model({
      region: LOCAL_REGION,
      // Addresses of this run alone: other tests on this machine have VMs too.
      network: defaultNetwork(LOCAL_REGION, [
        `127.${second}.${third}.0/24`,
        `127.${second}.${third + 1}.0/24`,
      ]),
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      hypervisor: vms,
      guestSize: () => ({ vcpus: 1, memoryMiB: 384 }),
    });
    const client = connectKubernetes(
      {
        kubeconfig: server.adminKubeconfig,
        component: "satellites-test",
        metrics: createKubeMetrics(createMetricsRegistry()),
      },
      {
        environment: {},
        clock: systemClock,
        random: Math.random,
        logger: silentLogger,
        stop: new AbortController().signal,
      },
    );
    const installation = new Installation(options, directory, { server, model, vms, client });
    installation.#undo.push(
      () => rmSync(directory, { recursive: true, force: true }),
      () => server.stop(),
      () => client.close(),
      () => vms.close(),
    );
    try {
      await installation.#prepare();
      return installation;
    } catch (error) {
      await installation.stop();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    const { admin } = this.server;
    await installCrds(admin);
    for (const name of [SYSTEM_NAMESPACE, NAMESPACE]) {
      await this.#created("/api/v1/namespaces", { metadata: { name } });
    }
    const classes = "/apis/satellites.dev/v1alpha1/satelliteclasses";
    const { spec, ...plain } = parse(readFileSync(CLASS_FILE, "utf8")) as SatelliteClass;
    await this.#created(classes, { ...plain, spec });
    await this.#created(classes, {
      ...plain,
      metadata: { name: TLS_CLASS },
      spec: { ...spec, ec2: { ...spec.ec2, image: { id: LOCAL_TLS_IMAGE } }, guest: { kind: "image" } },
    });
    await this.#allowCaller();
    const watching = new AbortController();
    const watch = this.#reflector.run(watching.signal);
    this.#undo.push(async () => {
      watching.abort();
      await watch;
    });
    await this.#reflector.synced();
  }

  /** A service account that may use every satellite of the namespace. */
  async #allowCaller(): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}`;
    await this.#created(`${rbac}/roles`, {
      metadata: { name: CALLER },
      rules: [{ apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] }],
    });
    await this.#created(`${rbac}/rolebindings`, {
      metadata: { name: CALLER },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: CALLER },
      subjects: [{ kind: "ServiceAccount", name: CALLER, namespace: NAMESPACE }],
    });
    this.#token = await this.server.createServiceAccountToken(NAMESPACE, CALLER, { audiences: [AUDIENCE] });
  }

  async #created(path: string, object: object): Promise<void> {
    const { status, body } = await this.server.admin.request("POST", path, object);
    if (status !== 201) {
      throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(body)}`);
    }
  }

  /**
   * Starts an operator and waits until it is ready.
   *
   * @param identity in leader election, and its user name at the API server
   * @param through "host:port" of a proxy in front of the API server
   * @param flags more of them, by name
   */
  async startOperator(
    identity: string,
    through?: string,
    flags: Readonly<Record<string, string>> = {},
  ): Promise<OperatorProcess> {
    const calls: { action: string; atMs: number }[] = [];
    // A server of its own, so that its calls can be told from those of other operators.
    const door: HttpServer = await listenOnLoopback(
      (request) => {
        const action = ec2Action(new URLSearchParams(request.body));
        if (action !== undefined) {
          calls.push({ action, atMs: performance.now() });
        }
        return this.endpoint.handle(request);
      },
      { port: 0, logger: silentLogger },
    );
    this.#undo.push(() => door.close());
    const healthPort = await freePort();
    const process = await this.#startService("operator", identity, healthPort, through, {
      namespace: SYSTEM_NAMESPACE,
      identity,
      "ec2-endpoint": door.url,
      timing: "local",
      "list-period-seconds": "2",
      "lease-seconds": String(this.#options.leaseSeconds),
      ...flags,
    });
    const metrics = async (): Promise<string> =>
      (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
    return { ...process, ec2Calls: calls, metrics };
  }

  /**
   * Starts a router and waits until it is ready.
   *
   * @param id key of its leases, and its user name at the API server
   * @param options `port` to listen on; a free one when absent
   */
  async startRouter(
    id: string,
    options: { readonly port?: number; readonly through?: string } = {},
  ): Promise<RouterProcess> {
    const port = options.port ?? (await freePort());
    const process = await this.#startService("router", id, await freePort(), options.through, {
      listen: `127.0.0.1:${port}`,
      "router-id": id,
      "grace-seconds": "20",
    });
    return { ...process, address: `127.0.0.1:${port}` };
  }

  async #startService(
    command: "operator" | "router",
    name: string,
    healthPort: number,
    through: string | undefined,
    options: Readonly<Record<string, string>>,
  ): Promise<TestProcess> {
    const user = await this.server.clientFor(name, ["system:masters"]);
    await user.close();
    const file = join(this.#directory, `${name}.kubeconfig`);
    const url = through === undefined ? this.server.url : `https://${through}`;
    writeFileSync(file, kubeconfig(url, this.server.caPem, user.credentials), { mode: 0o600 });
    const all = { kubeconfig: file, "health-address": `127.0.0.1:${healthPort}`, ...options };
    const args = Object.entries(all).flatMap(([option, value]) => [`--${option}`, value]);
    if (command === "router") {
      args.push("--anonymous");
    }
    const started = await startProcess(
      name,
      process.execPath,
      [MAIN, command, ...args],
      join(this.#directory, `${name}.log`),
      { ...process.env, AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" },
    );
    this.#undo.push(() => started.stop());
    await eventually(`${name} is ready`, async () => {
      if (!started.isRunning()) {
        throw new Error(`${name} ended while starting; its last lines:\n${started.logTail()}`);
      }
      return isReady(healthPort);
    });
    return started;
  }

  /** Ends everything and removes every file. */
  async stop(): Promise<void> {
    await stopAll(this.#undo);
  }

  /** Everything that a process wrote. */
  logOf(name: string): string {
    return readFileSync(join(this.#directory, `${name}.log`), "utf8");
  }

  /**
   * Requests of a user that change something, as the API server's audit log has them.
   *
   * @param sinceMs of those from then on, in milliseconds since 1970
   */
  writesOf(
    user: string,
    sinceMs = 0,
  ): { readonly line: string; readonly uri: string; readonly atMs: number }[] {
    return readFileSync(this.server.auditLog, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map(
        (line) =>
          JSON.parse(line) as {
            user: { username: string };
            verb: string;
            requestURI: string;
            requestReceivedTimestamp: string;
            responseStatus?: { code: number };
          },
      )
      .filter(({ user: { username }, verb }) => username === user && !["get", "list", "watch"].includes(verb))
      .map(({ verb, requestURI: uri, requestReceivedTimestamp, responseStatus }) => ({
        line: `${verb} ${uri}: ${responseStatus?.code ?? "none"}`,
        uri,
        // Kubernetes writes microseconds, which Date reads too.
        atMs: Date.parse(requestReceivedTimestamp),
      }))
      .filter(({ atMs }) => atMs > sinceMs);
  }

  /** The operators' Lease as it is. */
  async leaderLease(): Promise<LeaderLease> {
    const { body } = await this.server.admin.request("GET", LEASE);
    return (body as { spec?: LeaderLease }).spec ?? {};
  }

  /** Waits until an operator of that identity leads. */
  async untilLeads(identity: string): Promise<LeaderLease> {
    return eventually(`${identity} leads`, async () => {
      const lease = await this.leaderLease();
      return lease.holderIdentity === identity && lease;
    });
  }

  /** Creates a satellite that never sleeps for idleness unless `spec` says so. */
  create(name: string, spec: Partial<Satellite["spec"]> = {}): Promise<Satellite> {
    const body = {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name, namespace: NAMESPACE },
      spec: { idleTimeout: "0s", ...spec },
    };
    return this.client.create<Satellite>(SATELLITES, body as Satellite);
  }

  patch(name: string, spec: Partial<Satellite["spec"]>): Promise<Satellite> {
    return this.client.patch<Satellite>(
      SATELLITES,
      { namespace: NAMESPACE, name },
      { type: "merge", body: { spec } },
    );
  }

  delete(name: string): Promise<void> {
    return this.client.delete(SATELLITES, { namespace: NAMESPACE, name });
  }

  /** The satellite as the test's own watch has it. */
  find(name: string): Satellite | undefined {
    return this.#reflector.cache.get(`${NAMESPACE}/${name}`);
  }

  /** Waits until the satellite fulfils a condition. */
  async until(name: string, what: string, holds: (satellite: Satellite) => boolean): Promise<Satellite> {
    let last: Satellite | undefined;
    try {
      return await eventually(`${name}: ${what}`, () => {
        last = this.find(name);
        return last !== undefined && holds(last) && last;
      });
    } catch (error) {
      throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`, { cause: error });
    }
  }

  untilPhase(name: string, phase: NonNullable<Satellite["status"]["phase"]>): Promise<Satellite> {
    return this.until(name, `phase ${phase}`, ({ status }) => status.phase === phase);
  }

  async untilGone(name: string): Promise<void> {
    await eventually(`${name} is gone`, () => this.find(name) === undefined);
  }

  /** Creates a satellite and puts it to sleep. */
  async asleep(name: string): Promise<Satellite> {
    await this.create(name);
    await this.untilPhase(name, "Running");
    await this.patch(name, { desiredPower: "off" });
    return this.untilPhase(name, "Asleep");
  }

  /**
   * A client of a satellite through a router, as a service account that may use it.
   *
   * @param router `address` as gRPC takes it: of one router, or of several as `ipv4:host:port,host:port`
   */
  connect(router: Pick<RouterProcess, "address">, name: string): GuestClient {
    const metadata = new Metadata();
    metadata.set("satellite-name", name);
    metadata.set("satellite-namespace", NAMESPACE);
    metadata.set("authorization", `Bearer ${this.#token}`);
    const guest = connectGuest(router.address, { metadata });
    this.#undo.push(() => guest.close());
    return guest;
  }

  /** Every instance that EC2 remembers for a satellite, terminated ones too. */
  instances(name: string): Instance[] {
    return this.model.instances.truths().filter(({ tags }) => tags["satellites.dev/name"] === name);
  }

  /** How often EC2 was asked to change the state of a satellite's instance by that action, successfully or not. */
  callsAbout(name: string, action: string): readonly string[] {
    const ids = new Set(this.instances(name).map(({ id }) => id));
    return this.endpoint.log
      .calls(action)
      .filter((call) => call.ids.some((id) => ids.has(id)))
      .map(({ outcome }) => outcome);
  }
}
