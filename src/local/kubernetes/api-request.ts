import type { Resource } from "./resource.ts";

/** An HTTP request without the HTTP: what the handler takes, over sockets and in process alike. */
export interface ApiRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

/** Where a watch writes to. */
export interface LineSink {
  /** One JSON document and a line feed. */
  write(line: string): void;
  /** The watch is over. */
  end(): void;
}

/** An answer that goes on. */
export interface LineStream {
  /** Begins to write to `sink`; returns how to stop. May be called once. */
  start(sink: LineSink): () => void;
}

/** The handler's answer. */
export interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | LineStream;
  /** For `Warning` headers (RFC 9111 section 5.5, code 299). */
  readonly warnings: readonly string[];
}

/** Who asks. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

/** A request for objects of a resource. */
export interface ResourceRequest {
  readonly request: ApiRequest;
  readonly resource: Resource;
  /** Empty for cluster-scoped resources and for all namespaces. */
  readonly namespace: string;
  /** Empty for the collection. */
  readonly name: string;
  readonly subresource: "" | "status";
  readonly user: User;
  /** Collects what goes into `Warning` headers. */
  readonly warnings: string[];
}
