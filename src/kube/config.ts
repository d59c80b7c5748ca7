import { accessSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { type Cluster, KubeConfig, makeAbsolutePath, type User } from "@kubernetes/client-node";
import { parse } from "yaml";
import { SatelliteError, toError } from "../base/errors.ts";

/** Where a pod finds its own account (Kubernetes docs, "Accessing the Kubernetes API from a Pod"). */
const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What {@link loadKubeConfig} looks at. */
export interface KubeConfigSources {
  /** A kubeconfig named by the user; nothing else is looked at then. */
  readonly path?: string | undefined;
  /** Context to use instead of the file's current one. */
  readonly context?: string | undefined;
  /** The process's environment: KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, HOME. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the service account is mounted. Default: where the kubelet mounts it. */
  readonly serviceAccountDir?: string;
}

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** `tokenFile` of each user: a field of kubeconfig that client-node does not know. */
function tokenFiles(text: string, directory: string): Map<string, string> {
  const config: unknown = parse(text);
  const users: unknown =
    typeof config === "object" && config !== null ? Reflect.get(config, "users") : undefined;
  const found = new Map<string, string>();
  for (const entry of Array.isArray(users) ? (users as unknown[]) : []) {
    const { name, user } = (entry ?? {}) as { name?: string; user?: { tokenFile?: string } | null };
    if (name !== undefined && typeof user?.tokenFile === "string") {
      found.set(name, makeAbsolutePath(directory, user.tokenFile));
    }
  }
  return found;
}

function withTokenFile(user: User, tokenFile: string | undefined): User {
  if (tokenFile === undefined) {
    return user;
  }
  // As in client-go, the file wins over a token written out; client-node asks this provider.
  const { token: _token, ...rest } = user;
  return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile } } };
}

function loadFile(path: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
    const files = tokenFiles(readFileSync(path, "utf8"), dirname(path));
    config.users = config.users.map((user) => withTokenFile(user, files.get(user.name)));
  } catch (thrown) {
    throw new SatelliteError(
      "KubeConfigInvalid",
      `the kubeconfig ${path} cannot be used: ${toError(thrown).message}`,
      { cause: thrown },
    );
  }
  return config;
}

/** Several files as kubectl merges them: the first to name something wins. */
function loadFiles(paths: readonly string[]): KubeConfig {
  const [first, ...others] = paths.map(loadFile);
  const merged = first ?? new KubeConfig();
  const add = <T extends { readonly name: string }>(into: T[], from: readonly T[]): void => {
    into.push(...from.filter((entry) => into.every(({ name }) => name !== entry.name)));
  };
  for (const config of others) {
    add(merged.clusters, config.clusters);
    add(merged.users, config.users);
    add(merged.contexts, config.contexts);
    merged.currentContext ||= config.currentContext;
  }
  return merged;
}

function loadServiceAccount(host: string, port: string, directory: string): KubeConfig {
  const cluster: Cluster = {
    name: "in-cluster",
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    caFile: join(directory, "ca.crt"),
    skipTLSVerify: false,
  };
  const user = { name: "service-account" };
  const namespaceFile = join(directory, "namespace");
  const namespace = exists(namespaceFile) ? readFileSync(namespaceFile, "utf8").trim() : "default";
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [cluster],
    users: [withTokenFile(user, join(directory, "token"))],
    contexts: [{ name: "in-cluster", cluster: cluster.name, user: user.name, namespace }],
    currentContext: "in-cluster",
  });
  return config;
}

function find(sources: KubeConfigSources): KubeConfig {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, HOME } = sources.environment;
  if (sources.path !== undefined) {
    return loadFile(sources.path);
  }
  const listed = (KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "");
  if (listed.length > 0) {
    return loadFiles(listed);
  }
  const serviceAccountDir = sources.serviceAccountDir ?? SERVICE_ACCOUNT_DIR;
  if (KUBERNETES_SERVICE_HOST !== undefined && exists(join(serviceAccountDir, "token"))) {
    return loadServiceAccount(KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT ?? "443", serviceAccountDir);
  }
  const personal = HOME === undefined ? undefined : join(HOME, ".kube", "config");
  if (personal !== undefined && exists(personal)) {
    return loadFile(personal);
  }
  throw new SatelliteError(
    "KubeConfigMissing",
    "no way to the Kubernetes API is configured: name a kubeconfig file, set KUBECONFIG, or run in a pod with a service account",
  );
}

/**
 * Finds the way to the API server, in controller-runtime's order: the path given, KUBECONFIG (several files
 * merged as kubectl does), the pod's service account, `~/.kube/config`. Unlike client-node it never falls
 * back to `http://localhost:8080`.
 *
 * @throws SatelliteError `KubeConfigMissing` when there is none, `KubeConfigInvalid` when it cannot be used
 */
export function loadKubeConfig(sources: KubeConfigSources): KubeConfig {
  const config = find(sources);
  if (sources.context !== undefined) {
    config.setCurrentContext(sources.context);
  }
  if (config.getContextObject(config.getCurrentContext()) === null) {
    const known = config.getContexts().map(({ name }) => name);
    throw new SatelliteError(
      "KubeConfigInvalid",
      `the kubeconfig has no context "${config.getCurrentContext()}"; it has: ${known.join(", ") || "none"}`,
    );
  }
  return config;
}

/** Namespace of the current context; "default" when it names none, as kubectl takes it. */
export function currentNamespace(config: KubeConfig): string {
  return config.getContextObject(config.getCurrentContext())?.namespace ?? "default";
}
