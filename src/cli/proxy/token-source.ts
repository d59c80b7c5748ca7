import { readFileSync } from "node:fs";
import { backoffMs, type BackoffOptions } from "../../base/backoff.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { hasReason } from "../../kube/errors.ts";
import { objectPath } from "../../kube/paths.ts";
import { SERVICE_ACCOUNT } from "../../kube/resources.ts";
import type { Connection } from "../connect.ts";
import type { CliContext } from "../context.ts";

/** Tokens for a router, each good for now. */
export interface TokenSource {
  /** The token of now, if there is one that has not run out. */
  current(): string | undefined;
  /** The token of now, asked for where there is none. @throws SatelliteError `NoToken` that says what to do */
  get(): Promise<string>;
  /** Whose token it is, for people. */
  readonly owner: string;
  close(): void;
}

/** Share of a token's life after which it is renewed, as the kubelet does (Kubernetes docs, "Bound service account tokens"). */
const RENEW_AT = 0.8;
/** What is asked for; the API server may grant another time. */
const LIFE_SECONDS = 3600;
/** A token this close to its end is not sent any more: clocks differ, and the way takes time. */
const MARGIN_MS = 10_000;
const BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 30_000, jitter: 0.3 };

/** How long a token from a file is used before the file is read again. */
const REREAD_AFTER_MS = 1_000;

/** Tokens of a service account by TokenRequest, renewed before they run out. */
export class AccountTokens implements TokenSource {
  readonly owner: string;
  readonly #connection: Connection;
  readonly #context: CliContext;
  readonly #account: { readonly namespace: string; readonly name: string };
  readonly #audience: string;
  #token: { readonly text: string; readonly endsAtMs: number } | undefined;
  #asking: Promise<string> | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #isClosed = false;

  constructor(
    account: { readonly namespace: string; readonly name: string },
    audience: string,
    connection: Connection,
    context: CliContext,
  ) {
    this.owner = `system:serviceaccount:${account.namespace}:${account.name}`;
    this.#account = account;
    this.#audience = audience;
    this.#connection = connection;
    this.#context = context;
  }

  current(): string | undefined {
    // By the wall clock: a machine that slept has other tokens to think of than its monotonic clock knows.
    const nowMs = this.#context.clock.now().getTime();
    return this.#token !== undefined && nowMs < this.#token.endsAtMs - MARGIN_MS
      ? this.#token.text
      : undefined;
  }

  async get(): Promise<string> {
    return this.current() ?? (await this.#ask());
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #ask(): Promise<string> {
    this.#asking ??= this.#request().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #request(): Promise<string> {
    const { clock } = this.#context;
    try {
      const answer = (await this.#connection.call({
        method: "POST",
        path: `${objectPath(SERVICE_ACCOUNT, this.#account)}/token`,
        contentType: "application/json",
        body: JSON.stringify({
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenRequest",
          spec: { audiences: [this.#audience], expirationSeconds: LIFE_SECONDS },
        }),
      })) as { readonly status: { readonly token: string; readonly expirationTimestamp: string } };
      const { token, expirationTimestamp } = answer.status;
      const endsAtMs = Date.parse(expirationTimestamp);
      this.#token = { text: token, endsAtMs };
      this.#failures = 0;
      this.#renewIn((endsAtMs - clock.now().getTime()) * RENEW_AT);
      return token;
    } catch (thrown) {
      if (this.#token !== undefined) {
        this.#renewIn(backoffMs(this.#failures, BACKOFF, this.#context.random));
        this.#failures += 1;
      }
      throw this.#explain(thrown);
    }
  }

  #renewIn(delayMs: number): void {
    if (this.#isClosed) {
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#context.clock.setTimer(delayMs, () => {
      this.#ask().catch((error: unknown) => {
        this.#context.err.write(`the token is not renewed yet: ${toError(error).message}\n`);
      });
    });
  }

  #explain(thrown: unknown): Error {
    const { namespace, name } = this.#account;
    const message = toError(thrown).message;
    if (hasReason(thrown, "Forbidden")) {
      return new SatelliteError(
        "NoToken",
        `you may not make tokens of the service account ${namespace}/${name}, by which a router knows you. Ask for the ` +
          `right: kubectl create role satellite-token -n ${namespace} --verb create --resource serviceaccounts/token ` +
          `--resource-name ${name}, and a rolebinding to you; or name another with --service-account, or a --token-file`,
        { cause: thrown },
      );
    }
    if (hasReason(thrown, "NotFound")) {
      return new SatelliteError(
        "NoToken",
        `there is no service account ${namespace}/${name}; name one with --service-account, or make it: ` +
          `kubectl create serviceaccount ${name} -n ${namespace}`,
        { cause: thrown },
      );
    }
    return new SatelliteError("NoToken", `no token for the router: ${message}`, { cause: thrown });
  }
}

/** The token in a file, which somebody else renews, as the kubelet does in a pod. */
export class FileTokens implements TokenSource {
  readonly owner: string;
  readonly #file: string;
  readonly #clock: Clock;
  #read: { readonly text: string | undefined; readonly atMs: number } | undefined;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.owner = `the token in ${file}`;
  }

  current(): string | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (this.#read === undefined || nowMs - this.#read.atMs > REREAD_AFTER_MS) {
      this.#read = { text: readToken(this.#file), atMs: nowMs };
    }
    return this.#read.text;
  }

  async get(): Promise<string> {
    const token = this.current();
    if (token === undefined) {
      throw new SatelliteError("NoToken", `--token-file ${this.#file} holds no token, or cannot be read`);
    }
    return token;
  }

  close(): void {}
}

function readToken(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
