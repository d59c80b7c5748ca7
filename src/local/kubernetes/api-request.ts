import type { Resource } from "./resource.ts";

/** A request as the handler takes it, whether it came over a socket or from this process. */
export interface ApiRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

/** Receives what a watch sends. */
export interface LineSink {
  /** One JSON document and a line feed. */
  write(line: string): void;
  /** The watch is over. */
  end(): void;
}

/** The body of a watch's answer, which is sent line by line. */
export interface LineStream {
  /** Begins to write to `sink`; returns a function that ends it. May be called once. */
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

/** Who makes a request. */
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
