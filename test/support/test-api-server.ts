import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Server, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { KubeConfig, type User } from "@kubernetes/client-node";
import type { TestAuthority } from "./pki.ts";

/** A request as the server received it. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path with query string. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** Common name of the client's certificate, if it showed one. */
  readonly clientName: string | undefined;
}

/** Answers one request; or destroys its socket, or never answers. */
export type Responder = (request: ReceivedRequest, response: ServerResponse) => Promise<void> | void;

/** Answers with a JSON body. */
export function answer(status: number, body: unknown, headers: Record<string, string> = {}): Responder {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
}

/** Answers with a Status object, as a Kubernetes API server refuses. */
export function refuse(
  code: number,
  reason: string,
  extra: { readonly details?: object; readonly headers?: Record<string, string> } = {},
): Responder {
  const status = {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: `${reason} by the test`,
    reason,
    code,
    details: extra.details,
  };
  return answer(code, status, extra.headers);
}

/** Breaks the connection without an answer. */
export const reset: Responder = (_request, response) => {
  if (response.socket !== null) {
    breakOff(response.socket);
  }
};

/** Resets a TCP connection; for one under TLS, which Node cannot reset, closes it without a TLS close_notify. */
function breakOff(socket: Socket): void {
  if (socket instanceof TLSSocket) {
    socket.destroy();
  } else {
    socket.resetAndDestroy();
  }
}

/** Takes the request and never answers. */
export const silence: Responder = () => {};

/**
 * An HTTP or HTTPS server on a free port of the loopback that answers as it is told, counts connections and
 * keeps what it received. Answers queued by `next` come first, each once; then `fallback`.
 *
 * For tests of the connection itself: the embedded API server cannot reset, stay silent, demand certificates or answer nonsense.
 */
export class TestApiServer {
  readonly received: ReceivedRequest[] = [];
  fallback: Responder = refuse(404, "NotFound");
  connectionCount = 0;
  readonly #queue: Responder[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #caPem: string | undefined;

  /**
   * Listens: over TLS when `authority` is given, which then issues the certificate, and requires client
   * certificates of the same authority when `clientCertificates` is set.
   */
  async start(
    options: { readonly authority?: TestAuthority; readonly clientCertificates?: boolean } = {},
  ): Promise<void> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(request, response);
    };
    if (options.authority !== undefined) {
      this.#caPem = options.authority.caPem;
      const required = options.clientCertificates === true;
      const server = createHttpsServer(
        {
          ...(await options.authority.issueServer()),
          ca: this.#caPem,
          requestCert: required,
          rejectUnauthorized: required,
        },
        listener,
      );
      server.on("secureConnection", (socket: Socket) => this.#track(socket));
      this.#server = server;
    } else {
      const server = createHttpServer(listener);
      server.on("connection", (socket: Socket) => this.#track(socket));
      this.#server = server;
    }
    await new Promise<void>((resolve) => {
      this.#server?.listen(0, "127.0.0.1", resolve);
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server?.close(() => resolve());
    });
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }

  /** Queues answers, one per request. */
  next(...responders: Responder[]): void {
    this.#queue.push(...responders);
  }

  /** Resets every open connection. */
  resetConnections(): void {
    for (const socket of this.#sockets) {
      breakOff(socket);
    }
  }

  get url(): string {
    const address = this.#server?.address();
    if (address === undefined || address === null || typeof address === "string") {
      throw new Error("the server does not listen");
    }
    const { port } = address;
    return `${this.#caPem === undefined ? "http" : "https"}://127.0.0.1:${port}`;
  }

  /** A configuration that leads to this server, as `user`. */
  config(user: Partial<User> = {}): KubeConfig {
    const config = new KubeConfig();
    const cluster = {
      name: "test",
      server: this.url,
      skipTLSVerify: this.#caPem === undefined,
      ...(this.#caPem === undefined ? {} : { caData: Buffer.from(this.#caPem).toString("base64") }),
    };
    config.loadFromClusterAndUser(cluster, { name: "tester", ...user });
    return config;
  }

  #track(socket: Socket): void {
    this.connectionCount += 1;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // The client sees the same error, and that is what tests look at.
    socket.on("error", () => {});
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) {
      body += String(chunk);
    }
    const received = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body,
      clientName: clientName(request.socket),
    };
    this.received.push(received);
    await (this.#queue.shift() ?? this.fallback)(received, response);
  }
}

function clientName(socket: Socket): string | undefined {
  const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined;
  return typeof name === "string" ? name : undefined;
}
