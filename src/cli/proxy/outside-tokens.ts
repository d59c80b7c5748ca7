import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { decodeJwt } from "jose/jwt/decode";
import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import { readProxyRule } from "../../base/proxy.ts";
import { withDeadline } from "../../kube/deadline.ts";
import type { CliContext } from "../context.ts";
import { type IssuedToken, RenewedTokens, type TokenSource } from "./token-source.ts";

/** How long a token from a file is used before the file is read again. */
const REREAD_AFTER_MS = 1_000;
/** How long one is believed that does not say when it ends. */
const UNKNOWN_LIFE_MS = 60_000;
const ASK_MS = 20_000;
/** Variable of a GitLab job that docs/ci.md has `id_tokens` set. */
const GITLAB_VARIABLE = "SATELLITE_TOKEN";
const FORMS = "github, gitlab, gitlab:VARIABLE, file:PATH or exec:COMMAND";

/**
 * Tokens that the API server does not give: from the CI system, a file or a program.
 *
 * @param from "github", "gitlab", "gitlab:VARIABLE", "file:PATH" or "exec:COMMAND"
 * @param audience for whom they have to be, where that can be asked for
 * @throws SatelliteError `InvalidOption` for anything else
 */
export function tokensFrom(from: string, audience: string, context: CliContext): TokenSource {
  const [, kind = "", , rest = ""] = /^(?<kind>[^:]*)(?<colon>:(?<rest>.*))?$/s.exec(from) ?? [];
  switch (kind) {
    case "github":
      return new RenewedTokens("this job of GitHub Actions", () => askGithub(audience, context), context);
    case "gitlab":
      return new VariableToken(rest === "" ? GITLAB_VARIABLE : rest, audience, context);
    case "file":
      if (rest !== "") {
        return new FileTokens(rest, context.clock);
      }
      break;
    case "exec":
      if (rest !== "") {
        return new RenewedTokens(`what ${rest} says`, () => execute(rest, audience, context), context);
      }
  }
  throw new SatelliteError("InvalidOption", `--token-from ${from} is none of ${FORMS}`);
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
      throw noToken(
        `the file ${this.#file} holds no token, or cannot be read; name the one that a token is written to by --token-file`,
      );
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

/** The token in a variable of the environment: the only one that a job of GitLab gets (GitLab docs, `id_tokens`). */
class VariableToken implements TokenSource {
  readonly owner: string;
  readonly #variable: string;
  readonly #audience: string;
  readonly #context: CliContext;

  constructor(variable: string, audience: string, context: CliContext) {
    this.owner = `the token in $${variable}`;
    this.#variable = variable;
    this.#audience = audience;
    this.#context = context;
  }

  current(): string | undefined {
    const text = this.#context.environment[this.#variable] ?? "";
    return text !== "" && this.#context.clock.now().getTime() < (endOf(text) ?? Infinity) ? text : undefined;
  }

  async get(): Promise<string> {
    const text = this.current();
    if (text !== undefined) {
      return text;
    }
    throw (this.#context.environment[this.#variable] ?? "") === ""
      ? noToken(
          `$${this.#variable} is not set; have the job set it: id_tokens: {${this.#variable}: {aud: ${this.#audience}}}`,
        )
      : noToken(
          `the token in $${this.#variable} has run out, and a job of GitLab gets no other: raise the job's timeout, with ` +
            "which its token ends",
        );
  }

  close(): void {}
}

/**
 * Asks GitHub for a token of this job (GitHub docs, "OpenID Connect reference", "Requesting the JWT using environment
 * variables"); Forgejo's runners have the same.
 */
async function askGithub(audience: string, { environment, clock }: CliContext): Promise<IssuedToken> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url = "", ACTIONS_ID_TOKEN_REQUEST_TOKEN: credential = "" } =
    environment;
  if (url === "" || credential === "") {
    throw noToken(
      "this job may not ask GitHub for a token, or this is no job: give it the permission id-token: write (a job of a pull " +
        "request from a fork gets none)",
    );
  }
  const { Agent, ProxyAgent, request } = await import("undici");
  const target = new URL(url);
  target.searchParams.set("audience", audience);
  const proxy = readProxyRule(environment)(target);
  const dispatcher = proxy === undefined ? new Agent() : new ProxyAgent(proxy);
  try {
    const timeoutError = (): SatelliteError => noToken(`GitHub has given no token within ${ASK_MS / 1000} s`);
    return await withDeadline(clock, { timeoutMs: ASK_MS, timeoutError }, async (signal) => {
      const headers = { authorization: `Bearer ${credential}`, accept: "application/json" };
      const answer = await request(target, { dispatcher, signal, headers });
      const body = await answer.body.text();
      const token: unknown =
        answer.statusCode === 200 ? Reflect.get(Object(JSON.parse(body)), "value") : undefined;
      if (typeof token !== "string") {
        throw noToken(`GitHub gives no token: it answered HTTP ${answer.statusCode}`);
      }
      return issued(token, clock);
    });
  } catch (thrown) {
    throw thrown instanceof SatelliteError
      ? thrown
      : noToken(`GitHub gives no token: ${toError(thrown).message}`, thrown);
  } finally {
    void dispatcher.destroy();
  }
}

/**
 * Runs a command, which prints a token, or an ExecCredential as the plug-ins of kubeconfigs do (Kubernetes docs,
 * "client-go credential plugins"). It finds the audience in SATELLITES_TOKEN_AUDIENCE.
 */
async function execute(command: string, audience: string, context: CliContext): Promise<IssuedToken> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const env = {
    ...context.environment,
    SATELLITES_TOKEN_AUDIENCE: audience,
    KUBERNETES_EXEC_INFO: JSON.stringify({
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      spec: { interactive: false },
    }),
  };
  execFile("/bin/sh", ["-c", command], { env, timeout: ASK_MS }, (error, stdout, stderr) => {
    if (error === null) {
      resolve(stdout.trim());
    } else {
      const why =
        stderr.trim() === "" ? (error.killed === true ? "it took too long" : error.message) : stderr.trim();
      reject(noToken(`no token from --token-from exec:${command}: ${why}`, error));
    }
  });
  const text = await promise;
  if (text.startsWith("{")) {
    const status = statusOf(text);
    if (typeof status.token === "string" && status.token !== "") {
      const endsAtMs = Date.parse(status.expirationTimestamp ?? "");
      return Number.isNaN(endsAtMs) ? issued(status.token, context.clock) : { text: status.token, endsAtMs };
    }
  }
  if (text === "" || /\s|^\{/.test(text)) {
    throw noToken(
      `--token-from exec:${command} printed neither a token alone nor an ExecCredential with status.token`,
    );
  }
  return issued(text, context.clock);
}

function statusOf(text: string): { readonly token?: unknown; readonly expirationTimestamp?: string } {
  try {
    return Object(Reflect.get(Object(JSON.parse(text)), "status")) as object;
  } catch {
    return {};
  }
}

function issued(text: string, clock: Clock): IssuedToken {
  return { text, endsAtMs: endOf(text) ?? clock.now().getTime() + UNKNOWN_LIFE_MS };
}

/** When a JWT says that it ends (RFC 7519 section 4.1.4). */
function endOf(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? undefined : exp * 1000;
  } catch {
    return undefined;
  }
}

function noToken(message: string, cause?: unknown): SatelliteError {
  return new SatelliteError("NoToken", message, { cause });
}
