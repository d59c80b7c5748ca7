import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../base/backoff.ts";
import { systemClock, type Clock } from "../../base/clock.ts";
import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import { createApiServer, type ApiServer } from "./api-server.ts";
import type { TokenUser } from "./authentication.ts";
import { serverCertificate } from "./certificates.ts";
import { readCrdFile } from "./crd.ts";
import { serveHttps } from "./https-server.ts";
import type { JsonObject } from "./json.ts";
import type { Authorizer } from "./reviews.ts";
import { openSqliteJournal } from "./sqlite-journal.ts";

/** Options of {@link startKubernetesServer}. */
export interface KubernetesServerOptions {
  /** Folder for state and certificates; made if missing. */
  readonly stateDir: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Files with one CustomResourceDefinition each. */
  readonly crdPaths?: readonly string[];
  /** CustomResourceDefinitions beside those in files. */
  readonly crds?: readonly JsonObject[];
  readonly users: readonly TokenUser[];
  /** Answers SubjectAccessReviews. Default: everything is allowed. */
  readonly authorizer?: Authorizer;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** Default: Math.random. */
  readonly random?: Random;
  /** Default: silent. */
  readonly logger?: Logger;
  /** How many changes a watch can go back. Default 10,000. */
  readonly historyLimit?: number;
}

/** A running server. */
export interface KubernetesServer {
  /** `https://host:port`. */
  readonly url: string;
  readonly port: number;
  /** Certificate of the CA that signed the server's. */
  readonly caPem: string;
  /** The server without its sockets. */
  readonly api: ApiServer;
  /** Ends all watches, closes all connections and the state file; harmless when repeated. */
  close(): Promise<void>;
}

/**
 * Starts an embedded Kubernetes API server: the API over HTTPS, its state in `stateDir`.
 *
 * @throws SatelliteError `PortInUse`, `CannotListen`, `StateUnreadable`, `CrdUnreadable`, `UnsupportedCrd`,
 *   `UnsupportedRule`
 */
export async function startKubernetesServer(options: KubernetesServerOptions): Promise<KubernetesServer> {
  const host = options.host ?? "127.0.0.1";
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const crds = [...(options.crdPaths ?? []).map(readCrdFile), ...(options.crds ?? [])];
  const certificate = await serverCertificate(options.stateDir, host, clock.now());
  let address = "";
  let closed: Promise<void> | undefined;
  const api = createApiServer({
    clock,
    random: options.random ?? Math.random,
    crds,
    users: options.users,
    journal: openSqliteJournal(join(options.stateDir, "kubernetes.sqlite")),
    logger,
    address: () => address,
    ...(options.authorizer === undefined ? {} : { authorizer: options.authorizer }),
    ...(options.historyLimit === undefined ? {} : { historyLimit: options.historyLimit }),
  });
  try {
    const https = await serveHttps({
      handle: api.handle,
      certificate,
      host,
      port: options.port ?? 0,
      logger,
    });
    address = `${host.includes(":") ? `[${host}]` : host}:${https.port}`;
    return {
      url: `https://${address}`,
      port: https.port,
      caPem: certificate.caPem,
      api,
      close: () => (closed ??= https.close().then(() => api.close())),
    };
  } catch (error) {
    api.close();
    throw error;
  }
}
