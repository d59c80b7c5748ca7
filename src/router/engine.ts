import type { TlsMaterial } from "./tls-material.ts";

/** gRPC status codes that the router answers with itself (gRPC core, "Status codes and their use in gRPC"). */
export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcStatusCode = (typeof GrpcStatus)[keyof typeof GrpcStatus];

/** Header fields in the order they came, pseudo-headers first; names in lower case, values undecoded. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** One client connection, as far as the decision about a request needs it. */
export interface ConnectionInfo {
  readonly id: number;
  readonly remoteAddress: string;
  /** TLS server name, when there was one. */
  readonly serverName?: string;
  /** Subject of a verified client certificate. */
  readonly clientCertificate?: {
    readonly commonName: string;
    readonly organizations: readonly string[];
    /** When it ends, in milliseconds since 1970: a connection may outlive it. */
    readonly notAfterMs?: number;
  };
  /** Why a client certificate that was shown is not taken for an identity, in OpenSSL's words. */
  readonly certificateProblem?: string;
}

/** Where admitted streams go. A new epoch means a new stretch of being awake: connections do not carry over. */
export interface Upstream {
  /** "namespace/name" of the satellite. */
  readonly satellite: string;
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  /** The key that the VM is known by, see {@link VmAddress}; undefined where it serves plain text. */
  readonly tlsFingerprint?: string | undefined;
}

/** Whether both are the same VM in the same stretch of being awake, so that a connection to one is one to the other. */
export function isSameUpstream(left: Upstream | undefined, right: Upstream): boolean {
  return (
    left === right ||
    (left !== undefined &&
      left.satellite === right.satellite &&
      left.epoch === right.epoch &&
      left.host === right.host &&
      left.port === right.port &&
      left.tlsFingerprint === right.tlsFingerprint)
  );
}

/** The answer for one request. */
export type Admission =
  | {
      readonly kind: "forward";
      readonly upstream: Upstream;
      /** Names of request headers that must not reach the VM, in lower case (credentials, router's own). */
      readonly drop: ReadonlySet<string>;
      /** Milliseconds the request was held; its grpc-timeout shrinks by them. */
      readonly heldMs: number;
      /** Must be called exactly once, when the stream has ended however it ended. */
      release(): void;
    }
  | {
      readonly kind: "refuse";
      readonly status: GrpcStatusCode;
      readonly message: string;
      /** Further response metadata, e.g. satellite-phase and satellite-reason. */
      readonly metadata: HeaderList;
    };

/**
 * Decides about requests: address, access, gate and lease. The engine asks it once per request. It answers
 * at once (not a promise) when the satellite is awake under a valid lease, so that the fast path costs no
 * turn of the event loop; else the promise settles when the satellite is awake or the request is hopeless.
 */
export interface Gatekeeper {
  /**
   * @param signal aborts when the client has given the request up; the promise then settles soon, and a
   *   `forward` that it may settle with must still be released
   */
  admit(connection: ConnectionInfo, headers: HeaderList, signal: AbortSignal): Admission | Promise<Admission>;
  /** Called when a connection to the upstream could not be made or broke, so that the gate can look again. */
  upstreamFailed(upstream: Upstream, error: Error): void;
}

/** Serves one listener. */
export interface Engine {
  /** Starts taking connections. Resolves with the address once bound. */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }>;
  /**
   * Uses other certificates for connections from now on; open ones go on.
   *
   * @throws SatelliteError `NotTls` for a listener without TLS
   */
  setTlsMaterial(material: TlsMaterial): void;
  /** The satellite is about to lose its VM: connections to that VM on which no stream is open end. Clients keep theirs. */
  goAwayIdle(satellite: string): void;
  /**
   * Ends what is still open on epochs up to `lastEpoch`: their VM is off, and TCP would notice only after minutes.
   * gRPC clients hear UNAVAILABLE.
   */
  endStreams(satellite: string, lastEpoch: number): void;
  /** Takes no new connections, sends GOAWAY, and resolves when the streams ran out or after `graceMs`. */
  drain(graceMs: number): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}
