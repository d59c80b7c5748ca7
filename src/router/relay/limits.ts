import type { Rate } from "../rate-limit.ts";

/** Bounds of the relay engine; each connection has its own. */
export interface RelayLimits {
  /**
   * Encoded octets of one header block of a request. It must be decoded to its end even if it is refused, for the sake of
   * the blocks behind it; beyond this the connection ends.
   */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames of one header block of a request (CVE-2024-27316 and its kin). */
  readonly maxContinuations: number;
  /**
   * Encoded octets of one header block of a response. BuildKit puts the whole Dockerfile of a failed build into grpc-status-details-bin.
   */
  readonly maxResponseBlockBytes: number;
  /** CONTINUATION frames of one header block of a response; grpc-go fills them with 16 KiB each. */
  readonly maxResponseContinuations: number;
  /** Decoded request fields, counted as MAX_HEADER_LIST_SIZE counts. A larger request is refused alone. */
  readonly maxHeaderListBytes: number;
  /**
   * MAX_CONCURRENT_STREAMS that the client is told: requests that wait count, too, and so many may do so before the client could
   * know any limit. More are REFUSED_STREAM.
   */
  readonly maxStreams: number;
  /** Bytes of waiting requests on one connection, headers included; beyond, the newest of them are refused. */
  readonly maxWaitingBytes: number;
  /** Bytes of waiting requests, on all connections, that clients are given window back for while streams are open. */
  readonly maxPrepaidBytes: number;
  /** Frames of our own that a client may leave unread. */
  readonly maxControlBytes: number;
  /** Unsent bytes to one side beyond which the other side is not read. */
  readonly maxUnsentBytes: number;
  /** Time for the client's preface, SETTINGS, and for every header block once begun. */
  readonly clientTimeoutMs: number;
  /** Time for the VM to accept a connection and send its SETTINGS. */
  readonly connectTimeoutMs: number;
  /** Time that a closed connection's peer gets to read the last bytes. */
  readonly lingerMs: number;
  /** Failed connection attempts in a row after which waiting requests are answered UNAVAILABLE. */
  readonly maxConnectAttempts: number;
  /** Delay before looking again after the second failed attempt in a row; it doubles up to a second. */
  readonly redialBaseMs: number;
  /** SETTINGS from either side. */
  readonly settingsRate: Rate;
  /** PING from either side. grpc-go probes bandwidth with one PING per round trip. */
  readonly pingRate: Rate;
  /** DATA without content or END_STREAM, from either side. */
  readonly emptyDataRate: Rate;
  /** RST_STREAM, from either side (CVE-2023-44487, CVE-2025-8671). */
  readonly resetRate: Rate;
  /** Frames that are dropped unread: PRIORITY, unknown types, frames for streams that are gone. */
  readonly droppedRate: Rate;
}

export const DEFAULT_RELAY_LIMITS: RelayLimits = {
  maxHeaderBlockBytes: 1024 * 1024,
  maxContinuations: 64,
  maxResponseBlockBytes: 1024 * 1024,
  maxResponseContinuations: 64,
  maxHeaderListBytes: 1024 * 1024,
  maxStreams: 1000,
  maxWaitingBytes: 32 * 1024 * 1024,
  maxPrepaidBytes: 128 * 1024 * 1024,
  maxControlBytes: 64 * 1024,
  maxUnsentBytes: 64 * 1024,
  clientTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  lingerMs: 5000,
  maxConnectAttempts: 8,
  redialBaseMs: 50,
  settingsRate: { burst: 100, perSecond: 10 },
  pingRate: { burst: 10_000, perSecond: 5000 },
  emptyDataRate: { burst: 1000, perSecond: 200 },
  resetRate: { burst: 2000, perSecond: 500 },
  droppedRate: { burst: 10_000, perSecond: 2000 },
};
