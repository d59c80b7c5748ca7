import type { Rate } from "../rate-limit.ts";

/** Bounds and windows of the stream engine. */
export interface StreamLimits {
  /** Bytes that a peer may send on one stream before it must wait (RFC 9113 section 6.9). Default 1 MiB. */
  readonly streamWindowBytes: number;
  /** The same for a whole connection. Default 8 MiB. */
  readonly connectionWindowBytes: number;
  /** Streams that a client may have open on one connection. Default 1,000. */
  readonly maxConcurrentStreams: number;
  /** Memory that one connection may use, in MiB; beyond it new streams are refused. Default 64. */
  readonly maxSessionMemoryMiB: number;
  /**
   * Bytes of one header list, as clients are told (SETTINGS_MAX_HEADER_LIST_SIZE). Default 64 KiB, since that is where
   * nghttp2 ends a whole connection for a single field (NGHTTP2_HD_MAX_NV): nobody may be told that more is taken.
   */
  readonly maxHeaderListBytes: number;
  /**
   * The same as VMs are told. Default 1 MiB: BuildKit's errors have several fields that are long together, and grpc-go
   * leaves out what it is told that nobody takes. A single field over 64 KiB ends the VM's connection.
   */
  readonly maxAnswerListBytes: number;
  /** Header fields of one block. Default 2,000. */
  readonly maxHeaderFields: number;
  /** Milliseconds that a connection to a VM may take, its SETTINGS included. Default 10,000. */
  readonly connectTimeoutMs: number;
  /** Milliseconds after which a client of which nothing is heard is asked whether it is there. Default 60,000. */
  readonly quietMs: number;
  /** Streams that a client may reset or leave in error on one connection. */
  readonly resetRate: Rate;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  streamWindowBytes: 1024 * 1024,
  connectionWindowBytes: 8 * 1024 * 1024,
  maxConcurrentStreams: 1000,
  maxSessionMemoryMiB: 64,
  maxHeaderListBytes: 64 * 1024,
  maxAnswerListBytes: 1024 * 1024,
  maxHeaderFields: 2000,
  connectTimeoutMs: 10_000,
  quietMs: 60_000,
  resetRate: { burst: 2000, perSecond: 500 },
};

/** Options that both sides of the engine give to node:http2. */
export function sessionOptions(limits: StreamLimits): {
  readonly maxSessionMemory: number;
  readonly maxHeaderListPairs: number;
  readonly maxSendHeaderBlockLength: number;
  readonly strictSingleValueFields: boolean;
} {
  return {
    maxSessionMemory: limits.maxSessionMemoryMiB,
    maxHeaderListPairs: limits.maxHeaderFields,
    // What was taken can be sent on: nghttp2 counts a block otherwise than a list, and never to twice as much.
    maxSendHeaderBlockLength: 2 * Math.max(limits.maxHeaderListBytes, limits.maxAnswerListBytes),
    // The router passes on what peers send; whether a field may come twice is for them to say.
    strictSingleValueFields: false,
  };
}
