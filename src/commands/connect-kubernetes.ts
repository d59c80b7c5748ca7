import { readProxyRule } from "../base/proxy.ts";
import { loadKubeConfig } from "../kube/config.ts";
import { createKubeClient, type ConnectedKubeClient } from "../kube/http-client.ts";
import type { KubeMetrics } from "../kube/metrics.ts";
import type { ProcessContext } from "./process-context.ts";

/** Connects a process to its API server: the named kubeconfig, else the pod's service account, else kubectl's. */
export function connectKubernetes(
  options: {
    readonly kubeconfig?: string;
    readonly context?: string;
    readonly component: string;
    readonly metrics: KubeMetrics;
  },
  { environment, clock, random, logger }: Omit<ProcessContext, "faults">,
): ConnectedKubeClient {
  return createKubeClient({
    config: loadKubeConfig({ path: options.kubeconfig, context: options.context, environment }),
    clock,
    random,
    logger,
    metrics: options.metrics,
    userAgent: options.component,
    fieldManager: options.component,
    proxyFor: readProxyRule(environment),
  });
}
