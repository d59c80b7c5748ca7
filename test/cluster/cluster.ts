import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type ChannelCredentials, Metadata } from "@grpc/grpc-js";
import { parse } from "yaml";
import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import type { Instance } from "../../src/local/ec2/instance.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import type { ApiAnswer, ApiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { CHART, helm, type HelmOutcome, type Values } from "../support/helm.ts";
import type { KubeApiServer } from "../support/kube-apiserver.ts";
import { startProcess, type TestProcess } from "../support/process.ts";
import { type AccountPlace, startVirtualAccount } from "../support/virtual-account.ts";
import { requireTool } from "../tools/catalog.ts";
import { REPOSITORY } from "./images.ts";
import { Load, type LoadReport, printLoad } from "./load.ts";
import { ctr, holdMemory, mainProcess } from "./node/containerd.ts";
import { type NodeNamespaces, runIn } from "./node/namespaces.ts";
import { type Nodes, theNodes } from "./node/node.ts";
import { FIRST_NODE, VM_SUBNETS } from "./node/place.ts";
import { isReady, type Pod } from "./pod.ts";
import { type Stop, stopAll } from "../support/stops.ts";

const CLASS_FILE = join(import.meta.dirname, "../../examples/local/class.yaml");
/** Namespace of the release; it takes restricted pods only. */
export const SYSTEM = "sat-system";
/** Namespace of the satellites, and of those who use them. */
export const TEAM = "team-a";
/** Service account that may use the satellites. */
export const CALLER = "ci";

const SATELLITES = `/apis/satellites.dev/v1alpha1/namespaces/${TEAM}/satellites`;
const CLASSES = "/apis/satellites.dev/v1alpha1/satelliteclasses";
/** Labels by which the API server enforces the "restricted" Pod Security Standard. */
const RESTRICTED = { "pod-security.kubernetes.io/enforce": "restricted" };

export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An EC2 endpoint, and VMs behind it, that pods reach. */
export interface Account {
  readonly url: string;
  stop(): Promise<void>;
}

/** The chart in a cluster whose pods run, with an account whose VMs pods reach. */
export class Cluster {
  readonly server: KubeApiServer;
  readonly account: Account;
  readonly directory: string;
  readonly nodes: readonly NodeNamespaces[];
  readonly images: string;
  readonly #undo: Stop[] = [];

  private constructor({ server, directory, nodes, images }: Nodes, account: Account) {
    this.server = server;
    this.account = account;
    this.directory = directory;
    this.nodes = nodes;
    this.images = images;
  }

  /**
   * The nodes with a new account and empty namespaces.
   *
   * @param startAccount starts the account at its place; VMs are virtual by default
   */
  static async start(
    startAccount: (place: AccountPlace) => Promise<Account> = startVirtualAccount,
  ): Promise<Cluster> {
    const nodes = await theNodes();
    const account = await startAccount({ host: FIRST_NODE.address, subnets: VM_SUBNETS });
    const cluster = new Cluster(nodes, account);
    for (const name of [SYSTEM, TEAM]) {
      await cluster.create("/api/v1/namespaces", { metadata: { name, labels: RESTRICTED } });
    }
    await cluster.create(`/api/v1/namespaces/${SYSTEM}/resourcequotas`, {
      metadata: { name: "all" },
      spec: { hard: { "requests.cpu": "2", "requests.memory": "2Gi", "limits.memory": "4Gi", pods: "8" } },
    });
    return cluster;
  }

  get admin(): ApiClient {
    return this.server.admin;
  }

  /** Runs helm as the cluster's administrator in the release's namespace. */
  helm(args: readonly string[], values?: Values): Promise<HelmOutcome> {
    const options = { kubeconfig: this.server.adminKubeconfig, ...(values === undefined ? {} : { values }) };
    return helm([...args, "--namespace", SYSTEM], options);
  }

  /**
   * `helm upgrade --install --wait` with what must be said here: where the image is, and where EC2 is.
   *
   * @throws Error with what helm and the pods say
   */
  async apply(
    release: string,
    values: { readonly operator?: object } & Values = {},
    { chart = CHART, flags = [] }: { readonly chart?: string; readonly flags?: readonly string[] } = {},
  ): Promise<string> {
    const all = {
      image: { repository: REPOSITORY },
      ...values,
      operator: {
        ec2Endpoint: this.account.url,
        env: [
          { name: "AWS_ACCESS_KEY_ID", value: "test" },
          { name: "AWS_SECRET_ACCESS_KEY", value: "test" },
        ],
        ...values.operator,
      },
    };
    const args = ["upgrade", "--install", release, chart, "--wait", "--timeout", "150s", ...flags];
    const { code, stdout, stderr } = await this.helm(args, all);
    if (code !== 0) {
      const { stdout: pods } = await this.kubectl("describe", "pods", "--namespace", SYSTEM);
      throw new Error(`helm ended with ${code}: ${stderr}\n${pods.slice(-6000)}`);
    }
    return stdout;
  }

  /** Runs kubectl as the cluster's administrator to its end. */
  kubectl(...args: string[]): Promise<CommandOutcome> {
    const env = { PATH: process.env["PATH"], KUBECONFIG: this.server.adminKubeconfig, HOME: this.directory };
    return new Promise((resolve) => {
      execFile(requireTool("kubectl"), args, { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }

  /** Creates an object. @throws Error with the API server's answer */
  async create(path: string, object: object): Promise<ApiAnswer> {
    const answer = await this.admin.request("POST", path, object);
    if (answer.status !== 201) {
      throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }

  async get<T>(path: string): Promise<T> {
    const { status, body } = await this.admin.request("GET", path);
    if (status !== 200) {
      throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
    }
    return body as T;
  }

  /** Pods of a component of the chart that are not about to end. */
  async pods(component: "operator" | "router"): Promise<Pod[]> {
    const selector = encodeURIComponent(`app.kubernetes.io/component=${component}`);
    const path = `/api/v1/namespaces/${SYSTEM}/pods?labelSelector=${selector}`;
    const { items } = await this.get<{ items: Pod[] }>(path);
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Waits until so many pods of a component are ready, and no other is there. */
  untilReady(component: "operator" | "router", count: number): Promise<Pod[]> {
    return eventually(`${count} pods of the ${component} are ready`, async () => {
      const pods = await this.pods(component);
      return pods.length === count && pods.every(isReady) && pods;
    });
  }

  /** Address of a Service of the release, as pods and these tests reach it. */
  async serviceAddress(name: string): Promise<string> {
    const path = `/api/v1/namespaces/${SYSTEM}/services/${name}`;
    const { spec } = await this.get<{ spec: { clusterIP: string; ports: { port: number }[] } }>(path);
    return `${spec.clusterIP}:${spec.ports[0]?.port ?? 0}`;
  }

  /**
   * Waits until a Service leads to pods that listen, and to no other: kube-proxy hears of pods that end a moment later. In
   * sidecar mode those of before an access beyond loopback are among them.
   */
  async untilServed(address: string): Promise<void> {
    const [host = "", port = ""] = address.split(":");
    const isTaken = (): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = net.connect({ host, port: Number(port), timeout: 1000 });
        const end = (taken: boolean) => (): void => {
          socket.destroy();
          resolve(taken);
        };
        socket.once("connect", end(true)).once("timeout", end(false)).once("error", end(false));
      });
    await eventually(`${address} leads to pods that listen`, async () => {
      const tries = Array.from({ length: 20 }, isTaken);
      return (await Promise.all(tries)).every(Boolean);
    });
  }

  /** Who leads, as the Lease says; undefined where nobody does or no Lease is there. */
  async leader(): Promise<string | undefined> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/satellites-operator`;
    const { body } = await this.admin.request("GET", path);
    return (body as { spec?: { holderIdentity?: string } }).spec?.holderIdentity || undefined;
  }

  /** The class of the example for one machine, which fits every such endpoint; once it is ready, if that is said. */
  async createClass({ saysReady = true }: { readonly saysReady?: boolean } = {}): Promise<void> {
    await this.create(CLASSES, parse(readFileSync(CLASS_FILE, "utf8")) as SatelliteClass);
    if (!saysReady) {
      return;
    }
    let last: unknown;
    await eventually("the class is ready", async () => {
      const { status } = await this.get<SatelliteClass>(`${CLASSES}/default`);
      last = status;
      return status?.conditions?.some(
        (condition) => condition.type === "Ready" && condition.status === "True",
      );
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; its status is ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** An account with the right that the chart's README tells to give, and one without. */
  async createCallers(): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${TEAM}`;
    for (const name of [CALLER, "stranger"]) {
      await this.create(`/api/v1/namespaces/${TEAM}/serviceaccounts`, { metadata: { name } });
    }
    await this.create(`${rbac}/roles`, {
      metadata: { name: "satellites-user" },
      rules: [{ apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] }],
    });
    await this.create(`${rbac}/rolebindings`, {
      metadata: { name: "satellites-user" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "satellites-user" },
      subjects: [{ kind: "ServiceAccount", name: CALLER, namespace: TEAM }],
    });
  }

  /** Creates a satellite that sleeps when told to only, unless `spec` says otherwise. */
  async createSatellite(name: string, spec: object = {}): Promise<void> {
    await this.create(SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name },
      spec: { idleTimeout: "0s", ...spec },
    });
  }

  satellite(name: string): Promise<Satellite> {
    return this.get<Satellite>(`${SATELLITES}/${name}`);
  }

  async untilPhase(name: string, phase: string): Promise<Satellite> {
    let last: unknown;
    return eventually(`${name} is ${phase}`, async () => {
      const satellite = await this.satellite(name);
      last = satellite.status;
      return satellite.status.phase === phase && satellite;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; its status is ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** Puts a satellite to sleep. */
  async sleep(name: string): Promise<void> {
    await this.admin.mergePatch(`${SATELLITES}/${name}`, { spec: { desiredPower: "off" } });
    await this.untilPhase(name, "Asleep");
  }

  /** Deletes satellites; returns once they are gone. */
  async deleteSatellites(...names: string[]): Promise<void> {
    for (const name of names) {
      await this.admin.request("DELETE", `${SATELLITES}/${name}`);
    }
    await eventually(`${names.join(", ")} are gone`, async () => {
      const { items } = await this.get<{ items: Satellite[] }>(SATELLITES);
      return !items.some(({ metadata }) => names.includes(metadata.name));
    });
  }

  /** Deletes all classes, which an operator lets go once no satellite uses them. */
  async deleteClasses(): Promise<void> {
    const { code, stderr } = await this.kubectl("delete", "satelliteclasses", "--all", "--timeout=60s");
    if (code !== 0) {
      throw new Error(`the classes are not gone: ${stderr}`);
    }
  }

  /** Machines that EC2 has and that are not terminated, by ID. */
  async machines(): Promise<string[]> {
    const answer = await fetch(`${this.account.url}/_control/instances`);
    const instances = (await answer.json()) as Pick<Instance, "id" | "state">[];
    return instances.flatMap(({ id, state }) => (state === "terminated" ? [] : [id]));
  }

  /** A connection to a satellite through the router at that address. */
  connect(
    address: string,
    name: string,
    access: {
      readonly credentials?: ChannelCredentials;
      /** That the router's certificate bears. */
      readonly serverName?: string;
      readonly token?: string;
    } = {},
  ): GuestClient {
    const metadata = new Metadata();
    metadata.set("satellite-name", name);
    metadata.set("satellite-namespace", TEAM);
    if (access.token !== undefined) {
      metadata.set("authorization", `Bearer ${access.token}`);
    }
    const guest = connectGuest(address, {
      metadata,
      serverName: access.serverName,
      ...(access.credentials === undefined ? {} : { credentials: access.credentials }),
    });
    this.#undo.push(() => guest.close());
    return guest;
  }

  /** Does something while four clients make calls, and waits until they go on as before. */
  async underLoad(
    what: string,
    connect: () => GuestClient,
    act: () => Promise<unknown>,
  ): Promise<LoadReport> {
    const calls = new Load(Array.from({ length: 4 }, connect));
    await eventually("calls are answered", async () => calls.calls > 40);
    await act();
    const before = calls.calls;
    await eventually("calls go on", async () => calls.calls > before + 40);
    const report = await calls.stop();
    printLoad(what, report);
    return report;
  }

  /** Leads whoever calls a satellite's machine at the guest's port to a port of the first node, until the tests end. */
  async serveInsteadOf(name: string, port: number): Promise<void> {
    const { endpoint } = (await this.satellite(name)).status;
    const node = this.nodes[0];
    if (endpoint === undefined || node === undefined) {
      throw new Error(`${name} has no machine`);
    }
    const rule = `ip daddr ${endpoint.host} tcp dport ${endpoint.port} dnat to ${node.place.address}:${port}`;
    const chains = ["prerouting", "output"].map(
      (hook) => `chain ${hook} { type nat hook ${hook} priority -110; ${rule}; };`,
    );
    const table = `instead-of-${this.#undo.length}`;
    runIn(node, "nft", `table ip ${table} { ${chains.join(" ")} }`);
    this.#undo.push(() => runIn(node, "nft", "delete", "table", "ip", table));
  }

  /** `kubectl port-forward` to a port of a Deployment's pod; resolves with the address on this side. */
  async portForward(deployment: string, port: number): Promise<string> {
    const log = join(this.directory, `port-forward-${this.#undo.length}.log`);
    const args = ["--kubeconfig", this.server.adminKubeconfig, "--namespace", SYSTEM];
    const target = ["port-forward", `deployment/${deployment}`, `:${port}`];
    const forward: TestProcess = await startProcess(
      "port-forward",
      requireTool("kubectl"),
      [...args, ...target],
      log,
    );
    this.#undo.push(() => forward.stop());
    return eventually("kubectl forwards the port", async () => {
      if (!forward.isRunning()) {
        throw new Error(`kubectl port-forward ended: ${forward.logTail()}`);
      }
      return /Forwarding from (?<address>127\.0\.0\.1:\d+)/.exec(readFileSync(log, "utf8"))?.groups?.[
        "address"
      ];
    });
  }

  /** Sends a signal to the main process of a container. */
  kill(pod: Pod, container: string, signal: NodeJS.Signals = "SIGKILL"): void {
    process.kill(this.#mainProcess(pod, container), signal);
  }

  /** Lets a container have no more memory than it has, and a little: the kernel ends it when more is wanted. */
  holdMemory(pod: Pod, container: string): void {
    holdMemory(this.#mainProcess(pod, container));
  }

  #mainProcess(pod: Pod, container: string): number {
    const node = this.nodes.find(({ place }) => place.name === pod.spec.nodeName);
    if (node === undefined) {
      throw new Error(`${pod.metadata.name} is on no node`);
    }
    return mainProcess(node, pod, container);
  }

  /** Gives the product's image of a version another version, on every node. */
  tagImage(version: string, other: string): void {
    for (const node of this.nodes) {
      ctr(node, "images", "tag", `${REPOSITORY}:${version}`, `${REPOSITORY}:${other}`);
    }
  }

  /** Removes what the tests made, and the namespaces; the nodes go on. */
  async stop(): Promise<void> {
    await stopAll(this.#undo);
    // A step that failed may have left some, which no operator lets go.
    const found = await this.admin.request("GET", SATELLITES);
    for (const { metadata } of (found.body as { items?: Satellite[] }).items ?? []) {
      // Deleted first: an operator gives a finalizer to what is to stay.
      await this.admin.request("DELETE", `${SATELLITES}/${metadata.name}`);
      await this.admin.mergePatch(`${SATELLITES}/${metadata.name}`, { metadata: { finalizers: null } });
    }
    // Kubernetes looks again at a namespace with pods after half of the time that they may take to end: half an hour.
    await this.kubectl("delete", "deployments", "--all", "--namespace", SYSTEM, "--timeout=60s");
    await eventually("the pods are gone", async () => {
      const pods = await this.get<{ items: unknown[] }>(`/api/v1/namespaces/${SYSTEM}/pods`);
      return pods.items.length === 0;
    });
    for (const name of [SYSTEM, TEAM]) {
      await this.admin.request("DELETE", `/api/v1/namespaces/${name}`);
    }
    let left: unknown[] = [];
    await eventually("the namespaces are gone", async () => {
      const answers = await Promise.all(
        [SYSTEM, TEAM].map((name) => this.admin.request("GET", `/api/v1/namespaces/${name}`)),
      );
      left = answers
        .filter(({ status }) => status !== 404)
        .map((answer) => (answer.body as { status?: unknown }).status);
      return left.length === 0;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; left are ${JSON.stringify(left)}`, { cause: error });
    });
    await this.account.stop();
  }
}
