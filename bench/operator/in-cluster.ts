import { Cluster, SYSTEM } from "../../test/cluster/cluster.ts";
import { mainProcess } from "../../test/cluster/node/containerd.ts";
import type { Pod } from "../../test/cluster/pod.ts";
import { eventually } from "../../test/support/eventually.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { MeasuredOperator } from "./operator-process.ts";
import type { Place } from "./place.ts";
import { containerUsageOf, startedAtMs } from "./process-usage.ts";

const RELEASE = "sat";
const OPERATOR = "sat-satellites";
const ROUTER = "sat-satellites-router";
const CONTAINER = "operator";
const HEALTH_PORT = 8081;
/** Of the addresses that pods reach at the first node, for 65,000 machines. */
const SUBNETS = ["10.41.0.0/17", "10.41.128.0/17"] as const;

/**
 * The chart's operator in a pod, in the container that the chart's default values give it, on the nodes of the tests
 * (test/cluster). This process has to be in the first of them.
 */
export async function startInCluster(): Promise<Place> {
  const fleets: Fleet[] = [];
  const cluster = await Cluster.start(async ({ host }) => {
    const fleet = await startFleet({ host, subnets: SUBNETS });
    fleets.push(fleet);
    return { url: fleet.url, stop: () => fleet.stop() };
  });
  const [fleet] = fleets;
  if (fleet === undefined) {
    throw new Error("the cluster started no account");
  }
  await cluster.apply(RELEASE, {
    replicas: 1,
    router: { mode: "deployment", replicas: 1 },
    // It lets pods scrape metrics, and this process is in none.
    networkPolicy: { enabled: false },
  });
  await cluster.createClass();
  const scale = async (deployment: string, replicas: number): Promise<void> => {
    const which = [`--replicas=${replicas}`, `--namespace=${SYSTEM}`, `deployment/${deployment}`];
    const { code, stderr } = await cluster.kubectl("scale", ...which);
    if (code !== 0) {
      throw new Error(`${deployment} was not scaled to ${replicas}: ${stderr}`);
    }
  };
  const untilNoPods = (): Promise<unknown> =>
    eventually("no pod is left", async () => {
      const { items } = await cluster.get<{ items: Pod[] }>(`/api/v1/namespaces/${SYSTEM}/pods`);
      return items.length === 0;
    });
  // Each start is looked at from its first moment.
  await scale(OPERATOR, 0);
  await scale(ROUTER, 0);
  await untilNoPods();
  return {
    server: cluster.server,
    fleet,
    async startOperator() {
      await scale(OPERATOR, 1);
      const pod = await eventually("the operator's container runs", async () => {
        const [found] = await cluster.pods("operator");
        return found?.status.podIP !== undefined && containerOf(found)?.containerID !== undefined && found;
      });
      const node = cluster.nodes.find(({ place }) => place.name === pod.spec.nodeName);
      if (node === undefined) {
        throw new Error(`${pod.metadata.name} is on no node`);
      }
      const pid = mainProcess(node, pod, CONTAINER);
      const address = `${pod.status.podIP ?? ""}:${HEALTH_PORT}`;
      return new MeasuredOperator({
        pid,
        healthUrl: `http://${address}`,
        startedMs: startedAtMs(pid),
        isRunning: () => isAlive(pid),
        logTail: () => `see the log of the pod ${pod.metadata.name}`,
        container: async () => {
          const now = await cluster.get<Pod>(`/api/v1/namespaces/${SYSTEM}/pods/${pod.metadata.name}`);
          return { ...containerUsageOf(pid), restarts: containerOf(now)?.restartCount ?? Number.NaN };
        },
        async stop() {
          await scale(OPERATOR, 0);
          await untilNoPods();
        },
      });
    },
    stop: () => cluster.stop(),
  };
}

const containerOf = ({ status }: Pod): NonNullable<Pod["status"]["containerStatuses"]>[number] | undefined =>
  status.containerStatuses?.find(({ name }) => name === CONTAINER);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
