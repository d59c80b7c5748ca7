import { hostname } from "node:os";
import { SatelliteError } from "../base/errors.ts";
import { readProxyRule } from "../base/proxy.ts";
import type { KubeClient } from "../kube/client.ts";
import { createKubeMetrics, type KubeMetrics } from "../kube/metrics.ts";
import { loadBuildkitSchema, loadGuestSchema } from "../guest/schema.ts";
import { OPERATOR_FIELD_MANAGER } from "../satellite/resource.ts";
import type { OwnerReference } from "../kube/objects.ts";
import { apiVersion, DEPLOYMENT, SECRET, type Secret } from "../kube/resources.ts";
import { CloudPool } from "../machines/cloud-pool.ts";
import { cloudProviders } from "../machines/providers.ts";
import { createOperatorMetrics } from "../operator/metrics.ts";
import { Operator } from "../operator/operator.ts";
import { defaultSettings, localSettings } from "../operator/settings.ts";
import { startHealthServer } from "../telemetry/health-server.ts";
import { UsageMeter, type WatchedCaches } from "../operator/usage-meter.ts";
import { readAssets } from "../page/assets.ts";
import { Fleet } from "../page/fleet.ts";
import { startPageServer } from "../page/server.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { parseAddress, type ProcessContext } from "./process-context.ts";
import { clusterUID } from "./cluster-uid.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import { guestProbe } from "./probe-guest.ts";
import { userDataFor } from "./user-data.ts";

/** Options of `satellites operator`. */
export interface OperatorCommandOptions {
  readonly kubeconfig?: string;
  /** Where the leader's Lease and the Secrets of classes are. */
  readonly namespace: string;
  readonly identity?: string;
  /** Its name among several operators of the cluster; the leader's Lease bears it. */
  readonly shard?: string;
  /** Label selector of the Namespaces whose satellites it acts on; all when absent. */
  readonly namespaceSelector?: string;
  /** Name of the Deployment of which this process is a pod, in the same namespace. */
  readonly deployment?: string;
  readonly healthAddress: string;
  /** Where the page is served; nowhere when absent. */
  readonly pageAddress?: string;
  /** EC2 (and SSM) endpoint instead of AWS's own. */
  readonly ec2Endpoint?: string;
  readonly concurrency: number;
  readonly listPeriodSeconds: number;
  readonly leaseSeconds: number;
  /** Timings for EC2, or for the local machines, which change state faster. */
  readonly timing: "ec2" | "local";
}

/** The leader's Lease, and how those of shards begin. */
const LEASE_NAME = "satellites-operator";

/**
 * Runs the operator until it is stopped; ends with an error when it has lost the lead and its work does not end.
 *
 * @throws SatelliteError `InvalidOption` for a shard without a selector, or with one that selects everything
 */
export async function runOperator(options: OperatorCommandOptions, context: ProcessContext): Promise<void> {
  if (options.shard !== undefined && (options.namespaceSelector ?? "").trim() === "") {
    throw new SatelliteError(
      "InvalidOption",
      "--shard needs --namespace-selector, which says what this operator's namespaces are; an empty one means all, and " +
        "each namespace has one operator",
    );
  }
  const registry = createMetricsRegistry();
  const kubeMetrics = createKubeMetrics(registry);
  const client = connectKubernetes(
    { ...options, component: OPERATOR_FIELD_MANAGER, metrics: kubeMetrics },
    context,
  );
  const identity = options.identity ?? `${hostname()}_${process.pid}`;
  const { logger, stop } = context;
  let operator: Operator | undefined;
  const health = await startHealthServer({
    ...parseAddress(options.healthAddress),
    registry,
    healthy: () => true,
    ready: () => operator?.ready() ?? false,
  });
  logger.info("Operator started", { identity, healthPort: health.port });
  const page = await servePage(options, context);
  try {
    const cluster = await clusterUID(client, context);
    if (cluster === undefined) {
      return;
    }
    const watchedBy = (caches: WatchedCaches): void => page?.fleet.follow(caches);
    const parts = { client, cluster, identity, registry, kubeMetrics, watchedBy };
    operator = createOperator(parts, options, context);
    const end = await operator.run(stop);
    if (end === "lost") {
      throw new SatelliteError(
        "LeadershipLost",
        "another operator may lead by now, and this one's work does not end; this process ends",
      );
    }
  } finally {
    await page?.close();
    await health.close();
    await client.close();
  }
}

/** Serves the page about the satellites where it is asked for. */
async function servePage(
  { pageAddress }: OperatorCommandOptions,
  { clock, logger }: ProcessContext,
): Promise<{ readonly fleet: Fleet; close(): Promise<void> } | undefined> {
  if (pageAddress === undefined) {
    return undefined;
  }
  const fleet = new Fleet(clock);
  const server = await startPageServer({
    ...parseAddress(pageAddress),
    fleet,
    assets: readAssets(),
    clock,
    logger,
  });
  logger.info("Page is served", { pagePort: server.port });
  return { fleet, close: () => server.close() };
}

/** What an operator of this process is made of. */
interface OperatorParts {
  readonly client: KubeClient;
  /** The cluster's identity in tags. */
  readonly cluster: string;
  readonly identity: string;
  readonly registry: ReturnType<typeof createMetricsRegistry>;
  readonly kubeMetrics: KubeMetrics;
  /** Called once, with the caches. */
  readonly watchedBy: (caches: WatchedCaches) => void;
}

function createOperator(
  { client, cluster, identity, registry, kubeMetrics, watchedBy }: OperatorParts,
  options: OperatorCommandOptions,
  context: ProcessContext,
): Operator {
  const { clock, random, logger } = context;
  const clouds = new CloudPool(cloudProviders(options), {
    cluster,
    clock,
    random,
    logger,
    registry,
    proxyFor: readProxyRule(context.environment),
    changeBudgetMs: () => operator.changeBudgetMs(),
  });
  const leaseMs = options.leaseSeconds * 1000;
  const operator: Operator = new Operator({
    client,
    clock,
    random,
    logger,
    kubeMetrics,
    metrics: (phases) => createOperatorMetrics(registry, phases),
    usage: new UsageMeter({ clock, registry }),
    watchedBy,
    settings: options.timing === "local" ? localSettings : defaultSettings,
    cluster,
    concurrency: options.concurrency,
    listPeriodMs: options.listPeriodSeconds * 1000,
    ...(options.namespaceSelector === undefined ? {} : { namespaceSelector: options.namespaceSelector }),
    leaderElection: {
      namespace: options.namespace,
      name: options.shard === undefined ? LEASE_NAME : `${LEASE_NAME}-${options.shard}`,
      identity,
      leaseDurationMs: leaseMs,
      renewDeadlineMs: (leaseMs * 2) / 3,
      retryPeriodMs: (leaseMs * 2) / 15,
      ...ownerOf(options, client),
    },
    leaderMarginMs: leaseMs / 6,
    cloudOf: ({ spec }) => clouds.of(spec),
    probe: guestProbe({ guest: loadGuestSchema(), buildkit: loadBuildkitSchema() }, clock),
    userDataFor: (satelliteClass, satellite) =>
      userDataFor(satelliteClass, satellite, {
        hasDataVolume: clouds.of(satelliteClass.spec).hasDataVolume(satelliteClass.spec),
        readSecret: (name) => client.get<Secret>(SECRET, { namespace: options.namespace, name }),
      }),
  });
  return operator;
}

/**
 * Owner of the leader's Lease: at an uninstallation all rights go at once, so that no process can release or delete it.
 */
function ownerOf(
  { namespace, deployment }: OperatorCommandOptions,
  client: KubeClient,
): { readonly owner?: () => Promise<OwnerReference> } {
  if (deployment === undefined) {
    return {};
  }
  return {
    async owner() {
      const { metadata } = await client.get(DEPLOYMENT, { namespace, name: deployment });
      const { kind } = DEPLOYMENT;
      return { apiVersion: apiVersion(DEPLOYMENT), kind, name: deployment, uid: metadata.uid ?? "" };
    },
  };
}
