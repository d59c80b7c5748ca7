import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { eventually } from "../../support/eventually.ts";
import { type ApiServerPlace, type KubeApiServer, startKubeApiServer } from "../../support/kube-apiserver.ts";
import type { TestProcess } from "../../support/process.ts";
import { requireTool, type ToolName } from "../../tools/catalog.ts";
import { CONTAINERD_SOCKET, startContainerd } from "./containerd.ts";
import { getNodeEnvironment, type NodeEnvironment } from "./environment.ts";
import { startDns } from "./dns.ts";
import { enterFirstNode, makeSecondNode, type NodeNamespaces, startIn } from "./namespaces.ts";
import {
  API_SERVICE_ADDRESS,
  CLUSTER_DOMAIN,
  DNS_ADDRESS,
  FIRST_NODE,
  POD_NETWORK,
  SECOND_NODE,
  SERVICE_NETWORK,
} from "./place.ts";

/** A Kubernetes cluster of two nodes. */
export interface Nodes {
  readonly server: KubeApiServer;
  /** Where their programs write their logs. */
  readonly directory: string;
  /** The first holds the control plane. */
  readonly nodes: readonly NodeNamespaces[];
  /** Folder with the archives of their images, and what those were made of. */
  readonly images: string;
}

/** The API server as a cluster has it: with nodes that may do what they need to, and an address that pods know. */
const PLACE: ApiServerPlace = {
  host: FIRST_NODE.address,
  names: [API_SERVICE_ADDRESS, "kubernetes.default.svc", `kubernetes.default.svc.${CLUSTER_DOMAIN}`],
  serviceNetwork: SERVICE_NETWORK,
  async flags(authority, files) {
    const client = await authority.issueClient("kube-apiserver-kubelet-client", ["system:masters"]);
    return [
      `--advertise-address=${FIRST_NODE.address}`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      `--kubelet-client-certificate=${files.write("kubelet-client.crt", client.cert)}`,
      `--kubelet-client-key=${files.write("kubelet-client.key", client.key)}`,
      "--kubelet-preferred-address-types=InternalIP",
    ];
  },
};

let started: Promise<Nodes> | undefined;

/**
 * The nodes, started at the first call. They end with the namespaces.
 *
 * @throws Error with the last lines of the program that did not come up
 */
export function theNodes(): Promise<Nodes> {
  started ??= start(getNodeEnvironment(process.env));
  return started;
}

async function start(environment: NodeEnvironment): Promise<Nodes> {
  const { directory } = environment;
  const first = enterFirstNode(join(directory, FIRST_NODE.name));
  const second = await makeSecondNode(first, join(directory, SECOND_NODE.name));
  const nodes = [first, second];
  const [server] = await Promise.all([
    startKubeApiServer(PLACE),
    ...nodes.map((node) => startContainerd(node, environment)),
  ]);
  const programs = new Programs(environment, server);
  await programs.startControllers(first);
  await programs.startScheduler(first);
  for (const node of nodes) {
    await programs.startKubelet(node);
    await programs.startProxy(node);
  }
  for (const node of nodes) {
    const { place } = node;
    await eventually(`${place.name} is ready`, async () => {
      programs.assertRunning();
      const { body } = await server.admin.request("GET", `/api/v1/nodes/${place.name}`);
      const { status } = body as { status?: { conditions?: { type: string; status: string }[] } | string };
      return (
        typeof status === "object" &&
        status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True")
      );
    });
    // It ends where its node is not known yet.
    await programs.startPolicyAgent(node);
  }
  await startDns(server.admin);
  programs.assertRunning();
  return { server, directory, nodes, images: environment.images };
}

/** The nodes' and the control plane's programs, each with credentials of its own. */
class Programs {
  readonly #environment: NodeEnvironment;
  readonly #server: KubeApiServer;
  readonly #running: TestProcess[] = [];

  constructor(environment: NodeEnvironment, server: KubeApiServer) {
    this.#environment = environment;
    this.#server = server;
  }

  /** @throws Error with the last lines of one that has ended */
  assertRunning(): void {
    const dead = this.#running.find((each) => !each.isRunning());
    if (dead !== undefined) {
      throw new Error(`${dead.name} ended while starting; its last lines:\n${dead.logTail()}`);
    }
  }

  async startControllers(node: NodeNamespaces): Promise<void> {
    const { files } = this.#server;
    await this.#start(node, "kube-controller-manager", [
      `--kubeconfig=${await this.#kubeconfig("system:kube-controller-manager")}`,
      "--leader-elect=false",
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${files.path("accounts.key")}`,
      `--root-ca-file=${files.path("ca.crt")}`,
      "--bind-address=127.0.0.1",
      `--cert-dir=${join(node.directory, "controllers")}`,
    ]);
  }

  async startScheduler(node: NodeNamespaces): Promise<void> {
    await this.#start(node, "kube-scheduler", [
      `--kubeconfig=${await this.#kubeconfig("system:kube-scheduler")}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
    ]);
  }

  async startKubelet(node: NodeNamespaces): Promise<void> {
    const root = join(node.directory, "kubelet");
    mkdirSync(root);
    const { name, address, zone } = node.place;
    const config = this.#config(node, "kubelet", {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: this.#server.files.path("ca.crt") },
      },
      authorization: { mode: "Webhook" },
      containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
      cgroupDriver: "cgroupfs",
      cgroupRoot: join(this.#environment.cgroupRoot, name),
      failCgroupV1: false,
      failSwapOn: false,
      clusterDNS: [DNS_ADDRESS],
      clusterDomain: CLUSTER_DOMAIN,
      resolvConf: "/etc/resolv.conf",
      volumePluginDir: join(root, "plugins"),
      // The machine's disk may be full as it likes.
      evictionHard: { "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%" },
    });
    await this.#start(node, "kubelet", [
      `--config=${config}`,
      `--kubeconfig=${await this.#kubeconfig(`system:node:${name}`, ["system:nodes"])}`,
      `--root-dir=${root}`,
      `--cert-dir=${join(root, "pki")}`,
      `--hostname-override=${name}`,
      `--node-ip=${address}`,
      `--node-labels=topology.kubernetes.io/zone=${zone}`,
    ]);
  }

  async startProxy(node: NodeNamespaces): Promise<void> {
    const { name, address } = node.place;
    const config = this.#config(node, "kube-proxy", {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      clientConnection: { kubeconfig: await this.#kubeconfig("system:kube-proxy") },
      mode: "nftables",
      clusterCIDR: POD_NETWORK,
      hostnameOverride: name,
      bindAddress: address,
      // Not ours to set inside of a network namespace.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    });
    await this.#start(node, "kube-proxy", [`--config=${config}`]);
  }

  /** What keeps NetworkPolicies; it gives pods no network and Services no way here. */
  async startPolicyAgent(node: NodeNamespaces): Promise<void> {
    await this.#start(node, "kube-router", [
      `--kubeconfig=${await this.#kubeconfig("kube-router", ["system:masters"])}`,
      `--hostname-override=${node.place.name}`,
      "--run-firewall=true",
      "--run-router=false",
      "--run-service-proxy=false",
      `--service-cluster-ip-range=${SERVICE_NETWORK}`,
    ]);
  }

  async #start(node: NodeNamespaces, name: ToolName, args: readonly string[]): Promise<void> {
    this.#running.push(await startIn(node, name, requireTool(name), args));
  }

  #config(node: NodeNamespaces, name: string, content: object): string {
    const file = join(node.directory, `${name}.yaml`);
    writeFileSync(file, stringify(content));
    return file;
  }

  /** A kubeconfig of that user, with a certificate. */
  async #kubeconfig(user: string, groups: readonly string[] = []): Promise<string> {
    const client = await this.#server.clientFor(user, groups);
    await client.close();
    return this.#server.writeKubeconfig(user.replaceAll(":", "-"), client.credentials);
  }
}
