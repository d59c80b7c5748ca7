import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { requireTool } from "../tools/catalog.ts";
import { ApiClient, type Credentials } from "./api-client.ts";
import { kubeconfig } from "./kubeconfig.ts";
import { createTestAuthority, type KeyPairPem, type TestAuthority } from "./pki.ts";
import { freePort, startProcess, type TestProcess } from "./process.ts";

/** What a service account's token is asked for. */
export interface TokenOptions {
  /** Who may accept it; the API server itself when absent. */
  readonly audiences?: readonly string[];
  /** The API server grants no less than 600. Default 3600. */
  readonly expirationSeconds?: number;
}

/** Where an API server listens, and under which names. */
export interface ApiServerPlace {
  /** Address that it listens on and that its certificate names. */
  readonly host: string;
  /** What else its certificate names. */
  readonly names: readonly string[];
  readonly serviceNetwork: string;
  /** More flags, for which it may issue certificates. */
  readonly flags: (authority: TestAuthority, files: ApiServerFiles) => Promise<readonly string[]>;
}

/** A folder of files that is removed when the server ends. */
export interface ApiServerFiles {
  readonly directory: string;
  path(name: string): string;
  /** Writes a file that its owner alone may read; returns its path. */
  write(name: string, content: string): string;
}

/**
 * On loopback, for this machine alone: no node reaches it, so it publishes no endpoint.
 *
 * @param flags more of them; the last one of a name counts
 */
export const onLoopback = (...flags: readonly string[]): ApiServerPlace => ({
  host: "127.0.0.1",
  names: [],
  serviceNetwork: "10.0.0.0/24",
  flags: () => Promise.resolve(["--authorization-mode=RBAC", "--endpoint-reconciler-type=none", ...flags]),
});

/** A kube-apiserver with an etcd of its own, for as long as a test suite runs. */
export interface KubeApiServer {
  /** https://address:port */
  readonly url: string;
  /** `ca.crt`, and `accounts.key`, by which tokens of service accounts are signed. */
  readonly files: ApiServerFiles;
  readonly caPem: string;
  /** Client as a member of system:masters, who may do everything. */
  readonly admin: ApiClient;
  /** Path of a kubeconfig of the same user. */
  readonly adminKubeconfig: string;
  /** Path of the audit log, one JSON event a line: who asked for what, and what came of it. */
  readonly auditLog: string;
  readonly etcdUrl: string;
  readonly etcd: TestProcess;
  /** The running server; another one after `restart`. */
  readonly process: TestProcess;
  /** Client of another user, who may do nothing yet beyond discovery and reviews of itself. */
  clientFor(user: string, groups?: readonly string[]): Promise<ApiClient>;
  /** A client certificate of another user. */
  issueClient(user: string, groups?: readonly string[]): Promise<KeyPairPem>;
  /** Client that authenticates with a token. */
  clientWithToken(token: string): ApiClient;
  /** Writes a kubeconfig file for those credentials; returns its path. */
  writeKubeconfig(name: string, credentials: Credentials): string;
  /** Token of a service account, which is made when missing (the namespace has to exist). */
  createServiceAccountToken(namespace: string, name: string, options?: TokenOptions): Promise<string>;
  /** Ends the server and starts it again on the same port with the same data. SIGTERM lets it drain. */
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** Forgets all history in etcd, as the compaction every five minutes does; old versions answer 410. */
  compact(): Promise<void>;
  /** Ends both processes and removes every file. */
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
const START_ATTEMPTS = 3;

const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
};

function temporaryFiles(): ApiServerFiles {
  const directory = mkdtempSync(join(tmpdir(), "satellites-kube-apiserver-"));
  const path = (name: string): string => join(directory, name);
  return {
    directory,
    path,
    write(name, content) {
      writeFileSync(path(name), content, { mode: 0o600 });
      return path(name);
    },
  };
}

function serviceAccountKeys(): { privatePem: string; publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  return { privatePem: privateKey, publicPem: publicKey };
}

function etcdFlags(files: ApiServerFiles, clientUrl: string): string[] {
  return [
    `--data-dir=${files.path("etcd")}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    // A single member never connects to a peer, so the port does not matter.
    "--listen-peer-urls=http://127.0.0.1:0",
    // Nothing here has to survive a power cut.
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

async function apiServerFlags(
  files: ApiServerFiles,
  authority: TestAuthority,
  { host, names, serviceNetwork, flags }: ApiServerPlace,
  port: number,
  etcdUrl: string,
): Promise<string[]> {
  const serving = await authority.issueServer([host, ...names]);
  const account = serviceAccountKeys();
  return [
    `--bind-address=${host}`,
    `--secure-port=${port}`,
    `--etcd-servers=${etcdUrl}`,
    `--tls-cert-file=${files.write("server.crt", serving.cert)}`,
    `--tls-private-key-file=${files.write("server.key", serving.key)}`,
    `--client-ca-file=${files.write("ca.crt", authority.caPem)}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${files.write("accounts.pub", account.publicPem)}`,
    `--service-account-signing-key-file=${files.write("accounts.key", account.privatePem)}`,
    `--service-cluster-ip-range=${serviceNetwork}`,
    "--allow-privileged=true",
    `--profiling=${process.env["PROF"] === undefined ? "false" : "true"}`,
    `--audit-policy-file=${files.write("audit-policy.yaml", stringify(AUDIT_POLICY))}`,
    `--audit-log-path=${files.path("audit.log")}`,
    // Written before the answer goes out, so that a test finds its own requests.
    "--audit-log-mode=blocking",
    ...(await flags(authority, files)),
  ];
}

/** Polls until `ready` says yes; fails at once when one of the processes has died. */
async function waitUntilReady(
  processes: readonly TestProcess[],
  ready: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await ready())) {
    const dead = processes.find((each) => !each.isRunning());
    if (dead !== undefined) {
      throw new Error(`${dead.name} ended while starting; its last lines:\n${dead.logTail()}`);
    }
    if (performance.now() > deadlineMs) {
      const tails = processes.map((each) => `${each.name}:\n${each.logTail()}`).join("\n");
      throw new Error(
        `kube-apiserver was not ready within ${READY_TIMEOUT_MS / 1000} s; last lines of\n${tails}`,
      );
    }
    await delay(POLL_MS);
  }
}

/** Whether /readyz answers 200, which includes the bootstrap of the RBAC roles. */
async function isReady(client: ApiClient): Promise<boolean> {
  try {
    return (await client.request("GET", "/readyz")).status === 200;
  } catch {
    return false; // Not listening yet.
  }
}

/** Compacts etcd up to its newest revision, by its JSON gateway. */
async function compactEtcd(etcdUrl: string): Promise<void> {
  const call = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${etcdUrl}${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) {
      throw new Error(`etcd answered ${response.status} to ${path}: ${await response.text()}`);
    }
    return response.json();
  };
  const answer = (await call("/v3/kv/range", { key: "AA==", limit: 1 })) as { header: { revision: string } };
  await call("/v3/kv/compaction", { revision: answer.header.revision, physical: true });
}

async function ensureServiceAccount(admin: ApiClient, namespace: string, name: string): Promise<void> {
  const answer = await admin.request("POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, {
    metadata: { name },
  });
  if (answer.status !== 201 && answer.status !== 409) {
    throw new Error(`service account ${namespace}/${name} was not made: ${JSON.stringify(answer.body)}`);
  }
}

async function requestToken(
  admin: ApiClient,
  namespace: string,
  name: string,
  options: TokenOptions,
): Promise<string> {
  await ensureServiceAccount(admin, namespace, name);
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const answer = await admin.request("POST", path, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { audiences: options.audiences ?? [], expirationSeconds: options.expirationSeconds ?? 3600 },
  });
  const { token } = (answer.body as { status?: { token?: string } }).status ?? {};
  if (answer.status !== 201 || token === undefined) {
    throw new Error(
      `no token for ${namespace}/${name}: HTTP ${answer.status} ${JSON.stringify(answer.body)}`,
    );
  }
  return token;
}

async function startOnce(place: ApiServerPlace): Promise<KubeApiServer> {
  const programs = { etcd: requireTool("etcd"), server: requireTool("kube-apiserver") };
  const files = temporaryFiles();
  const running = new Map<"etcd" | "server", TestProcess>();
  const stop = async (): Promise<void> => {
    await running.get("server")?.stop();
    await running.get("etcd")?.stop();
    rmSync(files.directory, { recursive: true, force: true });
  };
  try {
    const [port, etcdPort] = [await freePort(), await freePort()];
    const [url, etcdUrl] = [`https://${place.host}:${port}`, `http://127.0.0.1:${etcdPort}`];
    const authority = await createTestAuthority("satellites test authority");
    const adminPair: KeyPairPem = await authority.issueClient("admin", ["system:masters"]);
    const flags = await apiServerFlags(files, authority, place, port, etcdUrl);
    const { caPem } = authority;
    const admin = new ApiClient(url, caPem, adminPair);
    const startServer = async (): Promise<TestProcess> => {
      const server = await startProcess("kube-apiserver", programs.server, flags, files.path("server.log"));
      running.set("server", server);
      return server;
    };
    const writeKubeconfig = (name: string, credentials: Credentials): string =>
      files.write(`${name}.kubeconfig`, kubeconfig(url, caPem, credentials));

    const etcd = await startProcess("etcd", programs.etcd, etcdFlags(files, etcdUrl), files.path("etcd.log"));
    running.set("etcd", etcd);
    let server = await startServer();
    await waitUntilReady([etcd, server], () => isReady(admin));
    return {
      url,
      files,
      caPem,
      admin,
      adminKubeconfig: writeKubeconfig("admin", adminPair),
      auditLog: files.path("audit.log"),
      etcdUrl,
      etcd,
      get process() {
        return server;
      },
      clientFor: async (user, groups) => new ApiClient(url, caPem, await authority.issueClient(user, groups)),
      issueClient: (user, groups) => authority.issueClient(user, groups),
      clientWithToken: (token) => new ApiClient(url, caPem, { token }),
      writeKubeconfig,
      createServiceAccountToken: (namespace, name, options = {}) =>
        requestToken(admin, namespace, name, options),
      async restart(signal = "SIGKILL") {
        await server.stop(signal);
        server = await startServer();
        await waitUntilReady([etcd, server], () => isReady(admin));
      },
      compact: () => compactEtcd(etcdUrl),
      async stop() {
        await admin.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Starts etcd and kube-apiserver on free loopback ports, with RBAC, real certificates and service account
 * tokens. There is no controller manager, scheduler or node: namespaces stay Terminating, deleting an owner
 * deletes nothing else, and no pod runs.
 *
 * @throws Error when the programs are not built, or with their last lines when they do not come up
 */
export async function startKubeApiServer(place: ApiServerPlace = onLoopback()): Promise<KubeApiServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(place);
    } catch (error) {
      // Another process may have taken the port between our choice and its use.
      const portTaken = error instanceof Error && error.message.includes("address already in use");
      if (!portTaken || attempt === START_ATTEMPTS) {
        throw error;
      }
    }
  }
}
