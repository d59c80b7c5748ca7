import { SatelliteError } from "../../base/errors.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { ErrorCode, Flag, MAX_31_BIT } from "../http2/protocol.ts";
import type { MappedFrame } from "./mapped-stream.ts";
import type { RequestBlock } from "./request-block.ts";
import type { Forward } from "./stream-table.ts";

/** A DATA frame of a waiting request, as far as it has come. */
export interface HeldFrame {
  readonly flags: number;
  /** Of the whole frame. */
  readonly payloadBytes: number;
  readonly parts: Buffer[];
  /** Bytes of its payload that are still to come. */
  missingBytes: number;
}

/** A request that waits: for its admission, for the VM, for an earlier request, or for a free stream. */
export interface HeldRequest {
  readonly id: number;
  readonly block: RequestBlock;
  readonly abort: AbortController;
  readonly arrivedAtMs: number;
  /** Undefined until the gate answered. */
  admission: Forward | undefined;
  /** Counts how often the gate was asked, so that an answer to an earlier question is known as such. */
  asked: number;
  clientEnded: boolean;
  /** DATA frames as they came, the last one perhaps in part. */
  readonly body: HeldFrame[];
  trailers: RequestBlock | undefined;
  /** Where the rest of its DATA frame in hand goes once it does not wait any more. */
  passedTo: "spliced" | MappedFrame | undefined;
  /** Payload of its DATA frames: what it took of the client's windows. */
  windowBytes: number;
  /** How much of that the client was given back already: such a request cannot be spliced any more. */
  prepaidBytes: number;
  /** What the client granted for the response so far. */
  grantedBytes: number;
}

/** The requests of one connection that wait, by rising id, and the memory they take. */
export class HeldRequests {
  readonly #held = new Map<number, HeldRequest>();
  #bytes = 0;

  get size(): number {
    return this.#held.size;
  }

  /** Bytes of their bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  get(id: number): HeldRequest | undefined {
    return this.#held.get(id);
  }

  /** All of them by rising id; taking them out meanwhile is allowed. */
  all(): IterableIterator<HeldRequest> {
    return this.#held.values();
  }

  add(
    id: number,
    block: RequestBlock,
    clientEnded: boolean,
    abort: AbortController,
    nowMs: number,
  ): HeldRequest {
    const held: HeldRequest = {
      id,
      block,
      abort,
      arrivedAtMs: nowMs,
      admission: undefined,
      asked: 0,
      clientEnded,
      body: [],
      trailers: undefined,
      passedTo: undefined,
      windowBytes: 0,
      prepaidBytes: 0,
      grantedBytes: 0,
    };
    this.#held.set(id, held);
    return held;
  }

  /** Takes a request out: to pass it on, or for good. */
  take(held: HeldRequest): void {
    this.#held.delete(held.id);
    this.#bytes -= held.windowBytes;
  }

  /**
   * Keeps the first part of a DATA frame. It is copied: a receive buffer is much larger than most frames.
   *
   * @param part of its payload
   * @throws Http2ConnectionError STREAM_CLOSED for DATA behind END_STREAM (RFC 9113 §5.1)
   */
  data(held: HeldRequest, flags: number, payloadBytes: number, part: Uint8Array): void {
    if (held.clientEnded) {
      throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, "DATA behind the end of a request");
    }
    held.windowBytes += payloadBytes;
    this.#bytes += payloadBytes;
    const missingBytes = payloadBytes - part.length;
    held.body.push({ flags, payloadBytes, parts: [Buffer.from(part)], missingBytes });
    held.clientEnded = (flags & Flag.END_STREAM) !== 0;
  }

  /** Keeps a further part of the frame that came last. */
  dataPart(held: HeldRequest, part: Uint8Array): void {
    const frame = held.body.at(-1);
    if (frame !== undefined) {
      frame.parts.push(Buffer.from(part));
      frame.missingBytes -= part.length;
    }
  }

  /** Keeps trailers, which end the request. */
  trailers(held: HeldRequest, block: RequestBlock): void {
    held.trailers = block;
    held.clientEnded = true;
  }

  /** @returns false for an increment that is zero or overflows the window (RFC 9113 §6.9) */
  grant(held: HeldRequest, incrementBytes: number): boolean {
    held.grantedBytes += incrementBytes;
    return incrementBytes > 0 && held.grantedBytes <= MAX_31_BIT;
  }
}

/** Why a held request's signal aborts. */
export function abandoned(): SatelliteError {
  return new SatelliteError("RequestAbandoned", "the client gave the request up");
}
