import { hostname } from "node:os";
import { AggregatorRegistry, type Registry } from "@prometheus-io/client";
import { untilAborted } from "../base/abort.ts";
import type { Clock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import type { ConnectedKubeClient } from "../kube/http-client.ts";
import { createKubeMetrics } from "../kube/metrics.ts";
import { Reflector } from "../kube/reflector.ts";
import { createRouter } from "../router/router.ts";
import { watchTlsFiles } from "../router/tls-material.ts";
import { ROUTER_FIELD_MANAGER, SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import { startHealthServer } from "../telemetry/health-server.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import { parseAddress, type ProcessContext } from "./process-context.ts";
import { readAddressOptions, type RouterAddressOptions } from "./router-address.ts";
import { createAccess, readAccessOptions, type RouterAccessOptions } from "./router-access.ts";
import { runRouterWorkers } from "./router-workers.ts";
import { WorkerLink } from "./worker-link.ts";

/** Options of `satellites router`. */
export interface RouterCommandOptions extends RouterAccessOptions, RouterAddressOptions {
  readonly kubeconfig?: string;
  /** Where clients connect. */
  readonly listen: string;
  /** Has no effect any more, and setting it is answered with a warning. */
  readonly engine?: string;
  readonly healthAddress: string;
  /** How many processes share the port; 1: this one alone. */
  readonly workers: number;
  /** Number of this process among them, from 1 on; set by their parent. */
  readonly worker?: number;
  /** Key of this router's leases; stable over restarts, different for each replica. */
  readonly routerId?: string;
  /** Methods or services that neither wake nor keep awake. */
  readonly wakesNothing?: readonly string[];
  /** How long open streams may run on after SIGTERM. */
  readonly graceSeconds: number;
}

/** Caches older than this make the router unready, in milliseconds. */
const STALE_CACHE_MS = 300_000;
/** How long open streams may run on after an error that may have broken more than one connection, in milliseconds. */
const FAULT_GRACE_MS = 30_000;
/** How long the rest of an end in order may take, in milliseconds. */
const FAULT_MARGIN_MS = 10_000;

/** Runs a router until it is stopped; open streams then run out, up to the grace period. */
export async function runRouter(options: RouterCommandOptions, context: ProcessContext): Promise<void> {
  const { clock, random, logger, faults } = context;
  if (options.workers > 1 && options.worker === undefined) {
    await runRouterWorkers(options, context);
    return;
  }
  if (options.engine !== undefined) {
    logger.warn(
      "--engine has no effect any more: the router serves every connection as it needs; leave it out",
      {
        engine: options.engine,
      },
    );
  }
  const fault = new AbortController();
  const registry = createMetricsRegistry();
  const parent = options.worker === undefined ? undefined : linkToParent(options.worker, registry, clock);
  const stop = AbortSignal.any([context.stop, fault.signal, ...(parent === undefined ? [] : [parent.stop])]);
  const metrics = createKubeMetrics(registry);
  const settings = readAccessOptions(options);
  const connect = (): ConnectedKubeClient => {
    const connected = connectKubernetes({ ...options, component: ROUTER_FIELD_MANAGER, metrics }, context);
    clients.push(connected);
    return connected;
  };
  const clients: ConnectedKubeClient[] = [];
  const client = connect();
  const tls =
    settings.tlsFiles === undefined
      ? undefined
      : await watchTlsFiles(settings.tlsFiles, {
          clock,
          logger,
          onChange: (material) => router.setTlsMaterial(material),
        });
  const reflector = new Reflector<Satellite>({
    client,
    type: SATELLITES,
    ...(options.watchNamespace === undefined ? {} : { selection: { namespace: options.watchNamespace } }),
    clock,
    random,
    logger,
  });
  const router = createRouter({
    client,
    satellites: { cache: reflector.cache, synced: reflector.synced() },
    access: createAccess(options, settings, connect, registry, context),
    clock,
    random,
    logger,
    registry,
    routerId: routerKey(options),
    options: {
      address: readAddressOptions(options),
      gate: {
        identities: settings.identities,
        noWakeMethods: options.wakesNothing ?? [],
      },
      ...(tls === undefined
        ? {}
        : { tls: { ...tls.material, requestCertificate: settings.tlsFiles?.clientCa !== undefined } }),
      ...(settings.proxyProtocolFrom === undefined ? {} : { proxyProtocolFrom: settings.proxyProtocolFrom }),
    },
  });
  const graceMs = options.graceSeconds * 1000;
  const faultGraceMs = Math.min(graceMs, FAULT_GRACE_MS);
  faults.follow({
    end: () => {
      router.noteUncaught();
      fault.abort(new SatelliteError("UncaughtError", "an uncaught error ends the router"));
    },
    maxEndMs: faultGraceMs + FAULT_MARGIN_MS,
  });
  const watching = new AbortController();
  const watch = reflector.run(watching.signal);
  const isReady = (): boolean => router.ready() && reflector.ageMs() < STALE_CACHE_MS;
  // The parent of workers serves it for all of them.
  const health =
    parent === undefined
      ? await startHealthServer({
          ...parseAddress(options.healthAddress),
          registry,
          healthy: () => true,
          ready: isReady,
        })
      : undefined;
  try {
    await router.listen(parseAddress(options.listen));
    parent?.report(() => ({ takesConnections: !stop.aborted, isReady: isReady() }));
    await untilAborted(stop);
    await router.drain(faults.isFatal ? faultGraceMs : graceMs);
  } finally {
    await router.close();
    watching.abort();
    await watch;
    await health?.close();
    tls?.stop();
    await Promise.all(clients.map((connected) => connected.close()));
    parent?.close();
  }
}

/** Connects a worker with its parent, which shows the worker's metrics under its number. */
function linkToParent(worker: number, registry: Registry, clock: Clock): WorkerLink {
  registry.setDefaultLabels({ worker: String(worker) });
  AggregatorRegistry.setRegistries([registry]);
  // Nothing keeps it, since its constructor does all: from now on it answers the parent's questions.
  void new AggregatorRegistry();
  return new WorkerLink(process, clock);
}

/** Workers of one pod are different routers: each has leases of its own. */
function routerKey({ routerId = hostname(), worker }: RouterCommandOptions): string {
  return worker === undefined ? routerId : `${routerId}.${worker}`;
}
