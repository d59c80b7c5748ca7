import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { KubeConfig, type User } from "@kubernetes/client-node";
import type { Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import { KubeError } from "./errors.ts";

/** What a TLS connection to the API server is made with. */
export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Name that the server's certificate must bear, where it differs from the URL's. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What proves to the server who sends a request, and what the server's certificate is checked by. Never log it. */
export interface Credentials {
  /** Authorization and impersonation headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
  /** Differs when `tls` differs: connections that were made with other material must not be used any more. */
  readonly tlsFingerprint: string;
}

/**
 * How long credentials are used before they are read again. The kubelet replaces a service account's token
 * when a fifth of its life is left, so anything well under a minute is early enough.
 */
const REREAD_AFTER_MS = 10_000;

function tokenFileOf(user: User | null): string | undefined {
  const provider: unknown = user?.authProvider;
  const config: unknown =
    typeof provider === "object" && provider !== null ? Reflect.get(provider, "config") : null;
  const file: unknown =
    typeof config === "object" && config !== null ? Reflect.get(config, "tokenFile") : null;
  return typeof file === "string" ? file : undefined;
}

function fingerprint(tls: TlsMaterial): string {
  const hash = createHash("sha256");
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)]) {
    const bytes = Buffer.from(part ?? "");
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest("hex");
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    headers[name.toLowerCase()] = String(value);
  }
  if (typeof options.auth === "string") {
    headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  const tokenFile = tokenFileOf(config.getCurrentUser());
  if (tokenFile !== undefined) {
    // client-node keeps a token for a minute even after it was refused, and sends a trailing newline along.
    headers["authorization"] = `Bearer ${(await readFile(tokenFile, "utf8")).trim()}`;
  }
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const tls: TlsMaterial = Object.fromEntries(
    Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return { headers, tls, tlsFingerprint: fingerprint(tls) };
}

/** Credentials from a KubeConfig (certificates, tokens, token files, exec plugins), read again as they age. */
export class CredentialSource {
  #config: KubeConfig;
  readonly #clock: Clock;
  #suspectedAtMs = Number.NEGATIVE_INFINITY;
  #current:
    | { readonly readAtMs: number; readonly credentials: Promise<Credentials>; read?: Credentials }
    | undefined;

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  /**
   * The present credentials; requests that are made at the same time share one reading.
   *
   * @throws KubeError `CredentialsUnavailable` when a file or an exec plugin fails
   */
  async get(): Promise<Credentials> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#current === undefined || nowMs - this.#current.readAtMs >= REREAD_AFTER_MS) {
      this.#current = { readAtMs: nowMs, credentials: readCredentials(this.#config) };
    }
    const reading = this.#current;
    try {
      const credentials = await reading.credentials;
      reading.read = credentials;
      return credentials;
    } catch (thrown) {
      if (this.#current === reading) {
        this.#current = undefined;
      }
      throw new KubeError({
        reason: "CredentialsUnavailable",
        status: 0,
        message: `the credentials for the API server cannot be read; check the kubeconfig's user: ${toError(thrown).message}`,
        cause: thrown,
      });
    }
  }

  /**
   * Forgets credentials that the server refused, here and in client-node, whose providers cache the answers of exec
   * plugins. The next `get` reads files and runs plugins again; calls that were refused at the same time share that
   * reading.
   */
  invalidate(refused: Credentials): void {
    if (this.#current?.read === refused) {
      this.#current = undefined;
      this.#config = withoutCaches(this.#config);
    }
  }

  /**
   * Notes that a server has ended a connection without saying why. It may not accept the certificate, so that is
   * forgotten like a refused one; but not often, since servers end connections for other reasons, too.
   */
  suspect(credentials: Credentials): void {
    const nowMs = this.#clock.monotonicMs();
    if (credentials.tls.cert !== undefined && nowMs - this.#suspectedAtMs >= REREAD_AFTER_MS) {
      this.#suspectedAtMs = nowMs;
      this.invalidate(credentials);
    }
  }
}

/** The same configuration, with new providers that have cached nothing yet. */
function withoutCaches({ clusters, users, contexts, currentContext }: KubeConfig): KubeConfig {
  const fresh = new KubeConfig();
  fresh.loadFromOptions({ clusters, users, contexts, currentContext });
  return fresh;
}

/** Whether a server that has refused one of them may accept the other. */
export function differ(left: Credentials, right: Credentials): boolean {
  return (
    left.tlsFingerprint !== right.tlsFingerprint ||
    JSON.stringify(left.headers) !== JSON.stringify(right.headers)
  );
}
