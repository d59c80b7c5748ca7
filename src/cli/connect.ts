import { readProxyRule } from "../base/proxy.ts";
import { currentNamespace, loadKubeConfig } from "../kube/config.ts";
import { type ConnectedKubeClient, createKubeClientOver } from "../kube/http-client.ts";
import { type HttpRequest, Transport } from "../kube/transport.ts";
import type { Logger } from "../telemetry/logger.ts";
import { withDeadline } from "../kube/deadline.ts";
import { KubeError } from "../kube/errors.ts";
import type { CliContext } from "./context.ts";

/** kubectl's flags about which API server, as whom, and where. */
export interface ConnectFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  /** User to impersonate. */
  readonly as?: string;
  readonly asGroup?: readonly string[];
  /** Milliseconds that one call may take. */
  readonly requestTimeout?: number;
}

/** The API server as a command sees it. */
export interface Connection {
  readonly client: ConnectedKubeClient;
  readonly transport: Transport;
  /** Name of the kubeconfig's context. */
  readonly context: string;
  /** URL of the API server. */
  readonly server: string;
  /** Namespace that is meant where a command names none. */
  readonly namespace: string;
  /** A flag named the namespace. */
  readonly isNamespaceNamed: boolean;
  /** One call that KubeClient does not have, such as for a Table. */
  call(request: HttpRequest): Promise<unknown>;
  close(): Promise<void>;
}

/** Author of a person's changes, as the API server records it. */
const FIELD_MANAGER = "kubectl-satellite";
const DEFAULT_TIMEOUT_MS = 10_000;
/** A command makes few calls at a time. */
const CONNECTIONS = 4;

const UNCOUNTED = { requests: { inc: () => {} }, requestSeconds: { observe: () => {} } };
const SILENT: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => SILENT,
};

/**
 * Connects as kubectl would with the same flags.
 *
 * @throws SatelliteError `KubeConfigMissing`, `KubeConfigInvalid`
 */
export function connect(flags: ConnectFlags, context: CliContext): Connection {
  const { environment, clock, random, stop } = context;
  const config = loadKubeConfig({ path: flags.kubeconfig, context: flags.context, environment });
  const transport = new Transport({
    config,
    clock,
    metrics: UNCOUNTED,
    userAgent: FIELD_MANAGER,
    maxConnections: CONNECTIONS,
    proxyFor: readProxyRule(environment),
    headers: [
      ...(flags.as === undefined ? [] : [["impersonate-user", flags.as] as const]),
      ...(flags.asGroup ?? []).map((group) => ["impersonate-group", group] as const),
    ],
  });
  const client = createKubeClientOver(transport, {
    clock,
    random,
    logger: SILENT,
    fieldManager: FIELD_MANAGER,
  });
  const timeoutMs = flags.requestTimeout ?? DEFAULT_TIMEOUT_MS;
  return {
    client,
    transport,
    context: config.getCurrentContext(),
    server: config.getCurrentCluster()?.server ?? "",
    namespace: flags.namespace ?? currentNamespace(config),
    isNamespaceNamed: flags.namespace !== undefined,
    call: (request) => {
      const timeoutError = (): KubeError =>
        new KubeError({
          reason: "Timeout",
          status: 0,
          message: `${request.method} ${request.path}: no answer from the API server within ${timeoutMs} ms`,
        });
      return withDeadline(clock, { timeoutMs, timeoutError, signal: stop }, (signal) =>
        transport.call(request, signal),
      );
    },
    close: () => client.close(),
  };
}
