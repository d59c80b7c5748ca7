import { accessSync, readFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
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

interface NamedEntry {
  readonly name: string;
  readonly [kind: string]: unknown;
}

/** A context, and the folder of the kubeconfig that it stands in. */
interface ContextEntry extends NamedEntry {
  readonly directory: string;
}

/** A kubeconfig as it is written, with paths made absolute. */
interface RawConfig {
  readonly currentContext: string;
  readonly clusters: readonly NamedEntry[];
  readonly users: readonly NamedEntry[];
  readonly contexts: readonly ContextEntry[];
}

const EMPTY: RawConfig = { currentContext: "", clusters: [], users: [], contexts: [] };

/** Fields that name files; relative ones count from the kubeconfig that they stand in. */
const CLUSTER_FILES = ["certificate-authority"];
const USER_FILES = ["client-certificate", "client-key", "tokenFile"];

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function entries(config: Readonly<Record<string, unknown>>, list: string): NamedEntry[] {
  const value = config[list] ?? [];
  if (!Array.isArray(value) || !value.every((entry) => isMap(entry) && typeof entry["name"] === "string")) {
    throw new SatelliteError("KubeConfigInvalid", `${list} must be a list of entries that have a name`);
  }
  const named = value as NamedEntry[];
  const twice = named.find(({ name }, index) => named.findIndex((other) => other.name === name) !== index);
  if (twice !== undefined) {
    throw new SatelliteError("KubeConfigInvalid", `${list} names "${twice.name}" twice`);
  }
  return named;
}

function withAbsolutePaths(
  entry: NamedEntry,
  kind: "cluster" | "user",
  fields: readonly string[],
  directory: string,
): NamedEntry {
  const body = entry[kind];
  if (!isMap(body)) {
    return entry;
  }
  const absolute = Object.entries(body).map(([field, value]) => {
    const isPath = fields.includes(field) && typeof value === "string" && value !== "";
    return [field, isPath ? makeAbsolutePath(directory, value) : value];
  });
  const resolved: Record<string, unknown> = Object.fromEntries(absolute);
  const exec = resolved["exec"];
  // A command without a slash is looked up in PATH.
  if (isMap(exec) && typeof exec["command"] === "string" && exec["command"].includes("/")) {
    resolved["exec"] = { ...exec, command: makeAbsolutePath(directory, exec["command"]) };
  }
  return { ...entry, [kind]: resolved };
}

/** Reads one file; an empty one has no entries. */
function readConfigFile(path: string): RawConfig {
  try {
    const directory = resolve(dirname(path));
    const config: unknown = parse(readFileSync(path, "utf8"));
    if (config === null || config === undefined) {
      return EMPTY;
    }
    if (!isMap(config)) {
      throw new SatelliteError("KubeConfigInvalid", "it must be a map with clusters, users and contexts");
    }
    const current = config["current-context"];
    return {
      currentContext: typeof current === "string" ? current : "",
      clusters: entries(config, "clusters").map((entry) =>
        withAbsolutePaths(entry, "cluster", CLUSTER_FILES, directory),
      ),
      users: entries(config, "users").map((entry) => withAbsolutePaths(entry, "user", USER_FILES, directory)),
      contexts: entries(config, "contexts").map((entry) => ({ ...entry, directory })),
    };
  } catch (thrown) {
    throw new SatelliteError(
      "KubeConfigInvalid",
      `the kubeconfig ${path} cannot be used: ${toError(thrown).message}`,
      { cause: thrown },
    );
  }
}

/** Merges several files as kubectl does: of entries with the same name the first one counts, as a whole. */
function merge(configs: readonly RawConfig[]): RawConfig {
  const add = <Entry extends NamedEntry>(into: readonly Entry[], from: readonly Entry[]): Entry[] => [
    ...into,
    ...from.filter((entry) => into.every(({ name }) => name !== entry.name)),
  ];
  return configs.reduce(
    (merged, config) => ({
      currentContext: merged.currentContext || config.currentContext,
      clusters: add(merged.clusters, config.clusters),
      users: add(merged.users, config.users),
      contexts: add(merged.contexts, config.contexts),
    }),
    EMPTY,
  );
}

function withTokenFile(user: User, tokenFile: unknown): User {
  if (typeof tokenFile !== "string" || tokenFile === "") {
    return user;
  }
  // As in client-go, a token's file counts more than a token in the kubeconfig; client-node asks this provider.
  const { token: _token, ...rest } = user;
  return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile } } };
}

/** Incomplete entries are left out, as long as the current context does not need them. */
function toKubeConfig({ currentContext, ...lists }: RawConfig): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(JSON.stringify({ "current-context": currentContext, ...lists }), {
    onInvalidEntry: "filter",
  });
  const bodies = new Map(lists.users.map(({ name, user }) => [name, user]));
  config.users = config.users.map((user) => {
    const body = bodies.get(user.name);
    // `tokenFile` is a field of kubeconfig that client-node does not know.
    return withTokenFile(user, isMap(body) ? body["tokenFile"] : undefined);
  });
  return config;
}

/** What was found: the configuration, and its contexts as they are written where it comes from files. */
interface Found {
  readonly config: KubeConfig;
  readonly contexts: readonly ContextEntry[];
}

function loadFiles(paths: readonly string[]): Found {
  const raw = merge(paths.map(readConfigFile));
  return { config: toKubeConfig(raw), contexts: raw.contexts };
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

function find(sources: KubeConfigSources): Found {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, HOME } = sources.environment;
  if (sources.path !== undefined) {
    return loadFiles([sources.path]);
  }
  const listed = (KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "");
  // kubectl skips the files of the list that are not there.
  const present = listed.filter(exists);
  if (present.length > 0) {
    return loadFiles(present);
  }
  const serviceAccountDir = sources.serviceAccountDir ?? SERVICE_ACCOUNT_DIR;
  if (KUBERNETES_SERVICE_HOST !== undefined && exists(join(serviceAccountDir, "token"))) {
    const port = KUBERNETES_SERVICE_PORT ?? "443";
    return { config: loadServiceAccount(KUBERNETES_SERVICE_HOST, port, serviceAccountDir), contexts: [] };
  }
  const personal = HOME === undefined ? undefined : join(HOME, ".kube", "config");
  if (listed.length === 0 && personal !== undefined && exists(personal)) {
    return loadFiles([personal]);
  }
  throw new SatelliteError(
    "KubeConfigMissing",
    listed.length > 0
      ? `no file that KUBECONFIG names is there: ${listed.join(", ")}`
      : "no way to the Kubernetes API is configured: name a kubeconfig file, set KUBECONFIG, or run in a pod with a service account",
  );
}

/**
 * Finds out how to reach the API server, in controller-runtime's order: the path given, KUBECONFIG (several files
 * merged as kubectl does, missing and empty ones skipped), the pod's service account, `~/.kube/config`. Unlike
 * client-node it never falls back to `http://localhost:8080`.
 *
 * @throws SatelliteError `KubeConfigMissing` when there is none, `KubeConfigInvalid` when it cannot be used
 */
export function loadKubeConfig(sources: KubeConfigSources): KubeConfig {
  const { config } = find(sources);
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

/** What a kubeconfig's context says to one program. */
export interface ContextExtension {
  /** As it is written. */
  readonly value: unknown;
  /** Folder of the kubeconfig, from which relative paths count. */
  readonly directory: string;
}

/**
 * An extension of the context that {@link loadKubeConfig} uses: `contexts[].context.extensions`, a list of `name` and
 * `extension`, which kubectl keeps and does not read (client-go, clientcmd/api/v1, NamedExtension).
 *
 * @returns undefined where there is none of that name, as in a pod
 * @throws SatelliteError `KubeConfigMissing`, `KubeConfigInvalid`
 */
export function contextExtension(sources: KubeConfigSources, name: string): ContextExtension | undefined {
  const { config, contexts } = find(sources);
  const current = sources.context ?? config.getCurrentContext();
  const entry = contexts.find((context) => context.name === current);
  const body = entry?.["context"];
  const extensions: unknown = isMap(body) ? body["extensions"] : undefined;
  const found: unknown = Array.isArray(extensions)
    ? extensions.find((extension) => isMap(extension) && extension["name"] === name)
    : undefined;
  return entry !== undefined && isMap(found)
    ? { value: found["extension"], directory: entry.directory }
    : undefined;
}
