/** What is asked of each contender: one row of the table. */
export interface Row {
  readonly name: string;
  readonly connections: number;
  /** Streams at a time on each connection. */
  readonly streams: number;
  /** `narrow` serves files, too, with HTTP/2's default windows of 64 KiB. */
  readonly backend: "files" | "narrow" | "messages";
  /** Windows of the client, as a power of two; far larger ones by default. */
  readonly clientWindowBits?: number;
  readonly path: string;
  readonly isTls?: boolean;
  /** Size of a request's body. */
  readonly uploadBytes?: number;
  readonly headers?: readonly string[];
  /**
   * Seconds of the same load before anything is measured, over new connections each second; 3 by default. V8 is done
   * compiling after some 40,000 requests and several connections: what it compiled for one alone it drops at the next.
   * That takes longer where few requests are made at a time.
   */
  readonly warmUpSeconds?: number;
  /** Percentiles of the time of each request are asked for, too. */
  readonly isLatency?: boolean;
}

/** What every request carries, so that the router can do all its checks: whom it is for, and who asks. */
export const NAMING_HEADERS = [
  "satellite-name: bench",
  "satellite-namespace: team-a",
  "authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef",
] as const;

/** What grpc-go and its usual interceptors add. */
const GRPC_HEADERS = [
  "te: trailers",
  "content-type: application/grpc",
  "user-agent: grpc-go/1.76.0",
  "grpc-accept-encoding: gzip",
  "x-request-id: 6f1e4c1a-44d0-4b8e-9c1c-6d2f5a3b7e90",
  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
];

const MIB = 1024 * 1024;
const small = { backend: "files", path: "/small" } as const;
const oneByOne = { connections: 1, streams: 1, ...small, isLatency: true, warmUpSeconds: 10 } as const;

export const ROWS: readonly Row[] = [
  { name: "8 × 32", connections: 8, streams: 32, ...small },
  { name: "8 × 32, gRPC headers", connections: 8, streams: 32, ...small, headers: GRPC_HEADERS },
  { name: "8 × 32, TLS", connections: 8, streams: 32, ...small, isTls: true },
  { name: "10 × 100", connections: 10, streams: 100, ...small },
  { name: "32 × 4", connections: 32, streams: 4, ...small },
  { name: "64 × 1", connections: 64, streams: 1, ...small, warmUpSeconds: 5 },
  {
    name: "server streams of 100 messages, 8 × 8",
    connections: 8,
    streams: 8,
    backend: "messages",
    path: "/",
  },
  { name: "1 MiB responses, 8 × 4", connections: 8, streams: 4, backend: "files", path: "/1m" },
  {
    name: "1 MiB responses, 8 × 4, TLS",
    connections: 8,
    streams: 4,
    backend: "files",
    path: "/1m",
    isTls: true,
  },
  { name: "16 MiB responses, 2 × 2", connections: 2, streams: 2, backend: "files", path: "/16m" },
  { name: "1 MiB requests, 8 × 4", connections: 8, streams: 4, ...small, uploadBytes: MIB },
  {
    name: "1 MiB responses, 8 × 4, client's windows 64 KiB",
    connections: 8,
    streams: 4,
    backend: "files",
    path: "/1m",
    clientWindowBits: 16,
  },
  {
    name: "1 MiB requests, 8 × 4, server's windows 64 KiB",
    connections: 8,
    streams: 4,
    backend: "narrow",
    path: "/small",
    uploadBytes: MIB,
  },
  { name: "one after the other", ...oneByOne },
  { name: "one after the other, TLS", ...oneByOne, isTls: true },
];

/** Sizes of the files that the backend serves, by name. */
export const FILES: Readonly<Record<string, number>> = { small: 6, "1m": MIB, "16m": 16 * MIB };
