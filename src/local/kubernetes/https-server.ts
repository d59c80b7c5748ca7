import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { ApiError, tooLarge } from "./api-error.ts";
import type { ApiRequest, ApiResponse, LineStream } from "./api-request.ts";
import type { ServerCertificate } from "./certificates.ts";
import type { Handler } from "./handler.ts";
import { PROTOBUF_MEDIA_TYPE, protobufToJson } from "./protobuf-bodies.ts";

/** apiserver's limit for request bodies. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;
/** A watch with this much unread data is ended; its client will list again. */
const MAX_UNREAD_WATCH_BYTES = 16 * 1024 * 1024;
const MAX_WARNING_LENGTH = 1000;

/** Options of {@link serveHttps}. */
export interface HttpsOptions {
  readonly handle: Handler;
  readonly certificate: ServerCertificate;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly logger: Logger;
}

/** A listening server. */
export interface HttpsServer {
  readonly port: number;
  /** Ends the watches and closes all connections. */
  close(): Promise<void>;
}

/**
 * Serves the API over HTTPS.
 *
 * @throws SatelliteError `PortInUse` when another process listens there, `CannotListen` for other reasons
 */
export async function serveHttps(options: HttpsOptions): Promise<HttpsServer> {
  const { certificate, handle, logger } = options;
  const stopWatches = new Set<() => void>();
  const server = createServer(
    { cert: certificate.certificatePem, key: certificate.keyPem, keepAliveTimeout: 120_000 },
    (incoming, outgoing) => {
      outgoing.on("error", (error) => logger.debug("client went away", { path: incoming.url, error }));
      serve(handle, incoming, outgoing, stopWatches).catch((error: unknown) => {
        logger.debug("client went away", { path: incoming.url, error: toError(error) });
        outgoing.destroy();
      });
    },
  );
  // Node ends requests after five minutes by default; watches last longer.
  server.requestTimeout = 0;
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const stop of stopWatches) {
          stop();
        }
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { host, port }: HttpsOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // Once it listens, an error concerns one connection that could not be accepted; the server goes on.
    server.on("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen({ host, port }, resolve);
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): SatelliteError {
  if (error.code === "EADDRINUSE") {
    return new SatelliteError(
      "PortInUse",
      `port ${port} on ${host} is in use, so the Kubernetes API server cannot listen there; ` +
        "stop the process that uses it, or choose another port (0 takes any free one)",
      { cause: error },
    );
  }
  return new SatelliteError(
    "CannotListen",
    `the Kubernetes API server cannot listen on ${host} port ${port}: ${error.message}; choose another address`,
    { cause: error },
  );
}

async function serve(
  handle: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  stopWatches: Set<() => void>,
): Promise<void> {
  const body = await readBody(incoming);
  if (body === undefined) {
    const error = tooLarge(`limit is ${MAX_BODY_BYTES}`);
    outgoing.writeHead(error.status, { "content-type": "application/json", connection: "close" });
    outgoing.end(JSON.stringify(error.toStatus()));
    return;
  }
  const response = respond(handle, incoming, body);
  outgoing.writeHead(response.status, { ...response.headers, ...warningHeaders(response) });
  if (typeof response.body === "string" || response.body instanceof Uint8Array) {
    outgoing.end(incoming.method === "HEAD" ? undefined : response.body);
  } else {
    stream(response.body, outgoing, stopWatches);
  }
}

/** Converts bodies in protobuf to JSON, the only form that the handler takes. */
function respond(handle: Handler, incoming: IncomingMessage, body: Buffer): ApiResponse {
  const isProtobuf = incoming.headers["content-type"]?.startsWith(PROTOBUF_MEDIA_TYPE) === true;
  if (!isProtobuf || body.length === 0) {
    return handle(requestOf(incoming, body.toString("utf8"), {}));
  }
  try {
    const json = JSON.stringify(protobufToJson(body));
    return handle(requestOf(incoming, json, { "content-type": "application/json" }));
  } catch (error) {
    if (error instanceof ApiError) {
      const headers = { "content-type": "application/json" };
      return { status: error.status, headers, body: JSON.stringify(error.toStatus()), warnings: [] };
    }
    throw error;
  }
}

function requestOf(
  incoming: IncomingMessage,
  body: string,
  replaced: Readonly<Record<string, string>>,
): ApiRequest {
  const url = new URL(incoming.url ?? "/", "https://localhost");
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    method: incoming.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    headers: { ...headers, ...replaced },
    body,
  };
}

/** The body; undefined when it is too large. */
async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of incoming) {
    const data = chunk as Buffer;
    sizeBytes += data.length;
    if (sizeBytes > MAX_BODY_BYTES) {
      return undefined;
    }
    chunks.push(data);
  }
  return Buffer.concat(chunks);
}

function warningHeaders({ warnings }: ApiResponse): Record<string, string[]> {
  if (warnings.length === 0) {
    return {};
  }
  const lines = warnings.map((warning) => {
    const printable = warning.slice(0, MAX_WARNING_LENGTH).replace(/[^\x20-\x7e]/g, "?");
    return `299 - ${JSON.stringify(printable)}`;
  });
  return { warning: lines };
}

function stream(lines: LineStream, outgoing: ServerResponse, stopWatches: Set<() => void>): void {
  outgoing.flushHeaders();
  const stopWatch = lines.start({
    write: (line) => {
      outgoing.write(line);
      if (outgoing.writableLength > MAX_UNREAD_WATCH_BYTES) {
        outgoing.destroy();
      }
    },
    end: () => outgoing.end(),
  });
  const stop = (): void => {
    stopWatch();
    outgoing.end();
  };
  stopWatches.add(stop);
  outgoing.once("close", () => {
    stopWatches.delete(stop);
    stopWatch();
  });
}
