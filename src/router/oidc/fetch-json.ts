import { readFileSync } from "node:fs";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import type { Clock } from "../../base/clock.ts";
import { SatelliteError } from "../../base/errors.ts";
import type { ProxyRule } from "../../base/proxy.ts";
import { withDeadline } from "../../kube/deadline.ts";

/** Reads a JSON document from an HTTPS server. */
export type FetchJson = (url: string) => Promise<unknown>;

/** Options of {@link createFetchJson}. */
export interface FetchJsonOptions {
  readonly clock: Clock;
  readonly proxyFor: ProxyRule;
  /** Authorities of the server's certificate (PEM), read for each request; those of Node.js when absent. */
  readonly caFile?: string;
  /** Milliseconds for the whole answer. Default 5,000. */
  readonly timeoutMs?: number;
}

/** Documents of issuers have some kilobytes. */
const MAX_BYTES = 256 * 1024;
const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * Makes a reader of small JSON documents. It follows no redirect (what the issuer's own server says counts, and no other),
 * reads no more than 256 KiB, and keeps no connection: it is used every few minutes.
 *
 * The reader throws SatelliteError `OidcIssuerUnavailable`.
 */
export function createFetchJson({
  clock,
  proxyFor,
  caFile,
  timeoutMs = DEFAULT_TIMEOUT_MS,
}: FetchJsonOptions): FetchJson {
  return async (url) => {
    if (!url.startsWith("https://") || !URL.canParse(url)) {
      throw unavailable(`${url} does not begin with https://`);
    }
    let dispatcher: Dispatcher | undefined;
    try {
      const connected = dispatcherFor(url, proxyFor, caFile);
      dispatcher = connected;
      return await withDeadline(
        clock,
        { timeoutMs, timeoutError: () => unavailable(`${url} did not answer within ${timeoutMs / 1000} s`) },
        (signal) => readJson(url, connected, signal),
      );
    } catch (thrown) {
      throw thrown instanceof SatelliteError ? thrown : unavailable(`${url} cannot be read`, thrown);
    } finally {
      void dispatcher?.destroy();
    }
  };
}

function dispatcherFor(url: string, proxyFor: ProxyRule, caFile: string | undefined): Dispatcher {
  const tls = caFile === undefined ? {} : { ca: readFileSync(caFile, "utf8") };
  const proxy = proxyFor(new URL(url));
  return proxy === undefined ? new Agent({ connect: tls }) : new ProxyAgent({ uri: proxy, requestTls: tls });
}

async function readJson(url: string, dispatcher: Dispatcher, signal: AbortSignal): Promise<unknown> {
  const answer = await request(url, { dispatcher, signal, headers: { accept: "application/json" } });
  if (answer.statusCode !== 200) {
    throw unavailable(`${url} answered HTTP ${answer.statusCode}`);
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer.body) {
    const bytes = chunk as Buffer;
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_BYTES) {
      throw unavailable(`${url} answered more than ${MAX_BYTES / 1024} KiB`);
    }
    chunks.push(bytes);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (thrown) {
    throw unavailable(`${url} did not answer JSON`, thrown);
  }
}

function unavailable(message: string, cause?: unknown): SatelliteError {
  const detail = cause instanceof Error && cause.message !== "" ? ` (${cause.message})` : "";
  return new SatelliteError("OidcIssuerUnavailable", message + detail, { cause });
}
