import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Satellite } from "../../src/satellite/types.ts";
import { installCrds } from "./crds.ts";
import { type KubeApiServer, startKubeApiServer } from "./kube-apiserver.ts";
import { PortForwardKubelet } from "./kubelet.ts";
import { createTestAuthority, type TestAuthority } from "./pki.ts";
import { freePort, startProcess, untilReady, type TestProcess } from "./process.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const NODE = "node-0";
/** What the chart lets routers do. */
export const ROUTER_RULES: readonly object[] = [
  { apiGroups: ["satellites.dev"], resources: ["satellites"], verbs: ["get", "list", "watch", "patch"] },
  { apiGroups: ["satellites.dev"], resources: ["satellites/status"], verbs: ["patch"] },
  { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
  { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
];
/** Where the router of each pod listens, as its command line says. */
const POD_PORT = 8372;

/** A router that runs as a process, and that the cluster has a pod for. */
export interface RouterPod {
  readonly name: string;
  readonly port: number;
  /** Of its command line, as its pod has them. */
  readonly flags: readonly string[];
  readonly process: TestProcess;
}

/**
 * kube-apiserver with the product's CRDs, routers with access control and TLS as processes of their own, each of which
 * has a pod that port-forward leads to, and people with rights of their own.
 */
export class SecuredCluster {
  readonly server: KubeApiServer;
  readonly kubelet: PortForwardKubelet;
  readonly #directory: string;
  readonly #authority: TestAuthority;
  readonly #ports: Map<string, number>;
  readonly #processes: TestProcess[] = [];

  private constructor(
    server: KubeApiServer,
    kubelet: PortForwardKubelet,
    directory: string,
    authority: TestAuthority,
    ports: Map<string, number>,
  ) {
    this.server = server;
    this.kubelet = kubelet;
    this.#directory = directory;
    this.#authority = authority;
    this.#ports = ports;
  }

  /** @param names of the routers' certificate, beside 127.0.0.1 and localhost */
  static async start(names: readonly string[] = []): Promise<SecuredCluster> {
    const directory = mkdtempSync(join(tmpdir(), "satellites-secured-"));
    const authority = await createTestAuthority("servers");
    const ports = new Map<string, number>();
    const kubelet = await PortForwardKubelet.start(authority, (pod) => ports.get(pod) ?? 1);
    const server = await startKubeApiServer();
    const cluster = new SecuredCluster(server, kubelet, directory, authority, ports);
    try {
      await installCrds(server.admin);
      for (const name of ["team-a", "satellites"]) {
        await cluster.post("/api/v1/namespaces", { metadata: { name } });
        await cluster.post(`/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
      }
      await cluster.#registerNode();
      const serving = await authority.issueServer(names);
      cluster.write("tls.crt", serving.cert);
      cluster.write("tls.key", serving.key);
      await cluster.#grantRouter();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** Path of the authority of the routers' certificates. */
  get ca(): string {
    return this.write("servers.crt", this.#authority.caPem);
  }

  write(name: string, content: string): string {
    const file = join(this.#directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  }

  /** Creates an object. @throws Error as the API server refuses */
  async post(path: string, body: object): Promise<void> {
    const answer = await this.server.admin.request("POST", path, body);
    if (answer.status !== 201) {
      throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
  }

  async putSatellite({ spec, status, metadata: { name }, ...types }: Satellite): Promise<void> {
    const path = "/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites";
    await this.post(path, { ...types, metadata: { name }, spec });
    await this.setStatus(name, status);
  }

  /** Changes a status as the operator does. */
  async setStatus(name: string, status: Partial<Satellite["status"]>): Promise<void> {
    const path = `/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites/${name}/status`;
    const answer = await this.server.admin.mergePatch(path, { status });
    if (answer.status !== 200) {
      throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
  }

  async setSpec(name: string, spec: Partial<Satellite["spec"]>): Promise<void> {
    await this.server.admin.mergePatch(`/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites/${name}`, {
      spec,
    });
  }

  async read(name: string): Promise<Satellite> {
    const path = `/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites/${name}`;
    return (await this.server.admin.request("GET", path)).body as Satellite;
  }

  /** Gives rights in a namespace. */
  async grant(namespace: string, name: string, rules: readonly object[], subject: object): Promise<void> {
    await this.post(`${RBAC}/namespaces/${namespace}/roles`, { metadata: { name }, rules });
    await this.post(`${RBAC}/namespaces/${namespace}/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
      subjects: [subject],
    });
  }

  /** Changes what the routers' account may do in all namespaces. */
  async setRouterRules(rules: readonly object[]): Promise<void> {
    await this.server.admin.mergePatch(`${RBAC}/clusterroles/router`, { rules });
  }

  /** Removes the rights whose names begin with a prefix. */
  async revokeAll(namespace: string, prefix: string): Promise<void> {
    const path = `${RBAC}/namespaces/${namespace}/rolebindings`;
    const { items } = (await this.server.admin.request("GET", path)).body as {
      items: readonly { readonly metadata: { readonly name: string } }[];
    };
    for (const { metadata } of items.filter((item) => item.metadata.name.startsWith(prefix))) {
      await this.server.admin.request("DELETE", `${path}/${metadata.name}`);
    }
  }

  /** Starts a router as the chart does, with access control and TLS, and makes the pod that it runs in. */
  async startRouter(name: string, ...more: string[]): Promise<RouterPod> {
    const router = await this.launchRouter(name, ...more);
    await this.announce(router);
    return router;
  }

  /** Makes the pod of a router that runs. */
  async announce({ name, flags }: RouterPod): Promise<void> {
    await this.#putPod(name, flags);
  }

  /** Starts a router that the cluster does not know of yet. */
  async launchRouter(name: string, ...more: string[]): Promise<RouterPod> {
    const token = await this.server.createServiceAccountToken("satellites", "router");
    const [port, healthPort] = [await freePort(), await freePort()];
    const flags = ["--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key", ...more];
    const process_ = await startProcess(
      name,
      process.execPath,
      [
        MAIN,
        "router",
        `--kubeconfig=${this.server.writeKubeconfig("router", { token })}`,
        `--listen=127.0.0.1:${port}`,
        `--health-address=127.0.0.1:${healthPort}`,
        `--router-id=${name}`,
        "--grace-seconds=60",
        ...flags.map((flag) => flag.replace("/tls/", `${this.#directory}/`)),
      ],
      join(this.#directory, `${name}.log`),
    );
    this.#processes.push(process_);
    await untilReady(process_, healthPort);
    this.#ports.set(name, port);
    return { name, port, flags, process: process_ };
  }

  /** Removes the pod of a router, as the end of a rollout does; the process is told to stop, and has time to. */
  async retire({ name, process: process_ }: RouterPod): Promise<void> {
    await this.server.admin.request(
      "DELETE",
      `/api/v1/namespaces/satellites/pods/${name}?gracePeriodSeconds=0`,
    );
    process_.signal("SIGTERM");
  }

  async stop(): Promise<void> {
    for (const process_ of this.#processes) {
      await process_.stop();
    }
    this.kubelet.stop();
    await this.server.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #registerNode(): Promise<void> {
    await this.post("/api/v1/nodes", { metadata: { name: NODE } });
    await this.server.admin.mergePatch(`/api/v1/nodes/${NODE}/status`, {
      status: {
        addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
        daemonEndpoints: { kubeletEndpoint: { Port: this.kubelet.port } },
      },
    });
  }

  async #putPod(name: string, flags: readonly string[]): Promise<void> {
    const path = "/api/v1/namespaces/satellites/pods";
    await this.post(path, {
      metadata: { name, labels: { "app.kubernetes.io/part-of": "satellites" } },
      spec: {
        nodeName: NODE,
        serviceAccountName: "router",
        containers: [
          { name: "router", image: "satellites", args: ["router", `--listen=0.0.0.0:${POD_PORT}`, ...flags] },
        ],
      },
    });
    const answer = await this.server.admin.mergePatch(`${path}/${name}/status`, {
      status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
    });
    if (answer.status !== 200) {
      throw new Error(JSON.stringify(answer.body));
    }
  }

  async #grantRouter(): Promise<void> {
    await this.post(`${RBAC}/clusterroles`, { metadata: { name: "router" }, rules: ROUTER_RULES });
    await this.post(`${RBAC}/clusterrolebindings`, {
      metadata: { name: "router" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "router" },
      subjects: [{ kind: "ServiceAccount", namespace: "satellites", name: "router" }],
    });
  }
}
