import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { eventually } from "../../support/eventually.ts";
import { type ApiServerPlace, type KubeApiServer, startKubeApiServer } from "../../support/kube-apiserver.ts";
import { startProcess, type TestProcess } from "../../support/process.ts";
import { requireTool, type ToolName } from "../../tools/catalog.ts";
import { CONTAINERD_SOCKET, startContainerd } from "./containerd.ts";
import { getNodeEnvironment, type NodeEnvironment } from "./environment.ts";
import { startDns } from "./dns.ts";
import { prepareNamespaces } from "./namespaces.ts";
import {
  API_SERVICE_ADDRESS,
  CLUSTER_DOMAIN,
  DNS_ADDRESS,
  NODE_ADDRESS,
  NODE_NAME,
  POD_NETWORK,
  SERVICE_NETWORK,
} from "./place.ts";

/** A Kubernetes cluster of one node. */
export interface Node {
  readonly server: KubeApiServer;
  /** Where its programs write their logs. */
  readonly directory: string;
}

/** The API server as a cluster has it: with nodes that may do what they need to, and an address that pods know. */
const PLACE: ApiServerPlace = {
  host: NODE_ADDRESS,
  names: [API_SERVICE_ADDRESS, "kubernetes.default.svc", `kubernetes.default.svc.${CLUSTER_DOMAIN}`],
  serviceNetwork: SERVICE_NETWORK,
  async flags(authority, files) {
    const client = await authority.issueClient("kube-apiserver-kubelet-client", ["system:masters"]);
    return [
      `--advertise-address=${NODE_ADDRESS}`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      `--kubelet-client-certificate=${files.write("kubelet-client.crt", client.cert)}`,
      `--kubelet-client-key=${files.write("kubelet-client.key", client.key)}`,
      "--kubelet-preferred-address-types=InternalIP",
    ];
  },
};

let started: Promise<Node> | undefined;

/**
 * The node, started at the first call. It ends with the namespaces.
 *
 * @throws Error with the last lines of the program that did not come up
 */
export function theNode(): Promise<Node> {
  started ??= start(getNodeEnvironment(process.env));
  return started;
}

async function start(node: NodeEnvironment): Promise<Node> {
  prepareNamespaces(node.directory);
  const [server] = await Promise.all([startKubeApiServer(PLACE), startContainerd(node)]);
  const programs = new Programs(node, server);
  await programs.startControllers();
  await programs.startScheduler();
  await programs.startKubelet();
  await programs.startProxy();
  await eventually("the node is ready", async () => {
    programs.assertRunning();
    const { body } = await server.admin.request("GET", `/api/v1/nodes/${NODE_NAME}`);
    const { status } = body as { status?: { conditions?: { type: string; status: string }[] } | string };
    return (
      typeof status === "object" &&
      status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True")
    );
  });
  await startDns(server.admin);
  return { server, directory: node.directory };
}

/** The node's and the control plane's programs, each with credentials of its own. */
class Programs {
  readonly #node: NodeEnvironment;
  readonly #server: KubeApiServer;
  readonly #running: TestProcess[] = [];

  constructor(node: NodeEnvironment, server: KubeApiServer) {
    this.#node = node;
    this.#server = server;
  }

  /** @throws Error with the last lines of one that has ended */
  assertRunning(): void {
    const dead = this.#running.find((each) => !each.isRunning());
    if (dead !== undefined) {
      throw new Error(`${dead.name} ended while starting; its last lines:\n${dead.logTail()}`);
    }
  }

  async startControllers(): Promise<void> {
    const { files } = this.#server;
    await this.#start("kube-controller-manager", [
      `--kubeconfig=${await this.#kubeconfig("system:kube-controller-manager")}`,
      "--leader-elect=false",
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${files.path("accounts.key")}`,
      `--root-ca-file=${files.path("ca.crt")}`,
      "--bind-address=127.0.0.1",
      `--cert-dir=${join(this.#node.directory, "controllers")}`,
    ]);
  }

  async startScheduler(): Promise<void> {
    await this.#start("kube-scheduler", [
      `--kubeconfig=${await this.#kubeconfig("system:kube-scheduler")}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
    ]);
  }

  async startKubelet(): Promise<void> {
    const root = join(this.#node.directory, "kubelet");
    mkdirSync(root);
    const config = this.#config("kubelet", {
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
      cgroupRoot: this.#node.cgroupRoot,
      failCgroupV1: false,
      failSwapOn: false,
      clusterDNS: [DNS_ADDRESS],
      clusterDomain: CLUSTER_DOMAIN,
      resolvConf: "/etc/resolv.conf",
      volumePluginDir: join(root, "plugins"),
      // The machine's disk may be full as it likes.
      evictionHard: { "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%" },
    });
    await this.#start("kubelet", [
      `--config=${config}`,
      `--kubeconfig=${await this.#kubeconfig(`system:node:${NODE_NAME}`, ["system:nodes"])}`,
      `--root-dir=${root}`,
      `--cert-dir=${join(root, "pki")}`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NODE_ADDRESS}`,
      "--node-labels=topology.kubernetes.io/zone=a",
    ]);
  }

  async startProxy(): Promise<void> {
    const config = this.#config("kube-proxy", {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      clientConnection: { kubeconfig: await this.#kubeconfig("system:kube-proxy") },
      mode: "nftables",
      clusterCIDR: POD_NETWORK,
      hostnameOverride: NODE_NAME,
      bindAddress: NODE_ADDRESS,
      // Answers come back through the node although pods share a bridge: no kernel module has to send bridged packets
      // through nftables.
      nftables: { masqueradeAll: true },
      // Not ours to set inside of a network namespace.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    });
    await this.#start("kube-proxy", [`--config=${config}`]);
  }

  async #start(name: ToolName, args: readonly string[]): Promise<void> {
    const log = join(this.#node.directory, `${name}.log`);
    this.#running.push(await startProcess(name, requireTool(name), args, log));
  }

  #config(name: string, content: object): string {
    const file = join(this.#node.directory, `${name}.yaml`);
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
