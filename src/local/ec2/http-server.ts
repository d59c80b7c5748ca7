import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { ConnectionDropped, type WireHandler } from "./wire.ts";

/** A listening server. */
export interface HttpServer {
  /** e.g. `http://127.0.0.1:4566`. */
  readonly url: string;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

/** Larger than any request of 1,000 instances or 16 KB of user data. */
const MAX_BODY_BYTES = 1024 * 1024;
/** Address that only this machine reaches. */
export const LOOPBACK = "127.0.0.1";

/** How {@link listenOnLoopback} and {@link listenOn} listen. */
export interface ListenOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly logger: Logger;
}

/**
 * Serves `handler` over HTTP on loopback.
 *
 * @throws SatelliteError `PortInUse` when somebody else listens there
 */
export function listenOnLoopback(handler: WireHandler, options: ListenOptions): Promise<HttpServer> {
  return listenOn(LOOPBACK, handler, options);
}

/**
 * Serves `handler` over HTTP on an IPv4 address of this machine: whoever reaches it may do everything.
 *
 * @throws SatelliteError `PortInUse` when somebody else listens there
 */
export function listenOn(host: string, handler: WireHandler, options: ListenOptions): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void answer(handler, request, response, options.logger);
  });
  return new Promise((resolve, reject) => {
    // Once it listens, errors are those of single connections that could not be taken: it goes on.
    server.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? portInUse(host, options.port, error) : error);
    });
    server.listen(options.port, host, () => {
      const { port } = server.address() as AddressInfo;
      resolve({
        url: `http://${host}:${port}`,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

function portInUse(host: string, port: number, cause: Error): SatelliteError {
  return new SatelliteError(
    "PortInUse",
    `the EC2 endpoint cannot listen on ${host}:${port}, because another process does; ` +
      "stop that one or choose another port",
    { cause },
  );
}

async function answer(
  handler: WireHandler,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  try {
    const body = await readBody(request);
    const result =
      body === undefined
        ? { status: 413, headers: {}, body: "" }
        : await handler({
            method: request.method ?? "",
            path: request.url ?? "/",
            headers: singleHeaders(request),
            body,
          });
    response.writeHead(result.status, result.headers);
    response.end(result.body);
  } catch (error) {
    if (!(error instanceof ConnectionDropped)) {
      logger.error("A request to the EC2 endpoint failed", { error: toError(error) });
    }
    request.socket.destroy();
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function singleHeaders(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) {
      headers[name] = Array.isArray(value) ? value.join(", ") : value;
    }
  }
  return headers;
}
