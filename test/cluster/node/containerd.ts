import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import type { TestProcess } from "../../support/process.ts";
import { PAUSE_IMAGE } from "../images.ts";
import type { NodeEnvironment } from "./environment.ts";
import { canOverlay, type NodeNamespaces, runIn, startIn } from "./namespaces.ts";

/** In /run, which each node has for itself. */
export const CONTAINERD_SOCKET = "/run/containerd.sock";

/** Its own paths in an ordinary installation, for which it would make folders on this machine. */
function configuration(directory: string, { programs }: NodeEnvironment): string {
  const cri = "[plugins.'io.containerd.grpc.v1.cri'";
  const plugins = dirname(programs["host-local"] ?? "");
  return [
    "version = 2",
    `root = '${join(directory, "root")}'`,
    "state = '/run/containerd'",
    "[grpc]",
    `address = '${CONTAINERD_SOCKET}'`,
    "[plugins.'io.containerd.internal.v1.opt']",
    `path = '${join(directory, "opt")}'`,
    `${cri}]`,
    `sandbox_image = '${PAUSE_IMAGE}'`,
    // Without CAP_SYS_RESOURCE nobody may lower a process's oom_score_adj, and runc would fail to (proc(5)).
    "restrict_oom_score_adj = true",
    `${cri}.containerd]`,
    `snapshotter = '${canOverlay(directory) ? "overlayfs" : "native"}'`,
    `${cri}.cni]`,
    `bin_dir = '${plugins}'`,
    `conf_dir = '${join(directory, "cni")}'`,
    `${cri}.containerd.runtimes.runc]`,
    "runtime_type = 'io.containerd.runc.v2'",
    `${cri}.containerd.runtimes.runc.options]`,
    `BinaryName = '${programs["runc"] ?? ""}'`,
    "SystemdCgroup = false",
    "",
  ].join("\n");
}

/**
 * A cable from each pod to its node, which leads packets on: those from pod to pod on one node too, which a bridge
 * would not show to the rules of Services and NetworkPolicies.
 */
const networkOf = (podNetwork: string): object => ({
  cniVersion: "0.4.0",
  name: "pods",
  plugins: [
    {
      type: "ptp",
      ipam: { type: "host-local", ranges: [[{ subnet: podNetwork }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
    { type: "loopback" },
  ],
});

/** Starts a node's containerd and gives it the images. */
export async function startContainerd(
  node: NodeNamespaces,
  environment: NodeEnvironment,
): Promise<TestProcess> {
  const directory = join(node.directory, "containerd");
  mkdirSync(join(directory, "cni"), { recursive: true });
  writeFileSync(join(directory, "config.toml"), configuration(directory, environment));
  writeFileSync(join(directory, "cni/10-pods.conflist"), JSON.stringify(networkOf(node.place.podNetwork)));
  const containerd = await startIn(node, "containerd", environment.programs["containerd"] ?? "", [
    "--config",
    join(directory, "config.toml"),
  ]);
  await eventually("containerd serves", async () => {
    if (!containerd.isRunning()) {
      throw new Error(`containerd ended while starting; its last lines:\n${containerd.logTail()}`);
    }
    try {
      ctr(node, "version");
      return true;
    } catch {
      return false; // Not listening yet.
    }
  });
  for (const archive of globSync("*.tar", { cwd: environment.images })) {
    ctr(node, "images", "import", join(environment.images, archive));
  }
  return containerd;
}

/** Runs containerd's own client in a node, among the kubelet's containers. */
export function ctr(node: NodeNamespaces, ...args: string[]): string {
  return runIn(node, "ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", ...args);
}

/** A pod, as far as its containers are looked up. */
export interface ContainerOwner {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly containerStatuses?: readonly { readonly name: string; readonly containerID?: string }[];
  };
}

/** Process ID of a container's first process on that node. @throws Error when it does not run there */
export function mainProcess(node: NodeNamespaces, pod: ContainerOwner, container: string): number {
  const status = pod.status.containerStatuses?.find(({ name }) => name === container);
  const id = status?.containerID?.replace("containerd://", "") ?? "";
  const [, pid] = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, "m").exec(ctr(node, "tasks", "list")) ?? [];
  if (id === "" || pid === undefined) {
    throw new Error(`the container ${container} of ${pod.metadata.name} does not run`);
  }
  return Number(pid);
}

/** Room that {@link holdMemory} leaves, in bytes. */
const ROOM_BYTES = 4 * 1024 * 1024;

/** Lets a process's container have no more memory than it has, and a little: whatever begins in it then is too much. */
export function holdMemory(pid: number): void {
  const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const [, path = ""] = /^\d+:memory:(\/.+)$/m.exec(groups) ?? [];
  const folder = join("/sys/fs/cgroup/memory", path);
  const statistics = readFileSync(join(folder, "memory.stat"), "utf8");
  const usedBytes = Number(/^total_rss (\d+)$/m.exec(statistics)?.[1]);
  writeFileSync(join(folder, "memory.limit_in_bytes"), String(usedBytes + ROOM_BYTES));
}
