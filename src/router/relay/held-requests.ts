import { SatelliteError } from "../../base/errors.ts";
import { MAX_31_BIT } from "../../http2/protocol.ts";
import { HeldBody } from "./held-body.ts";
import type { Block } from "./block.ts";
import type { Forward } from "./stream-table.ts";

/** A request that waits: for its admission, for the VM, for an earlier request, or for a free stream. */
export interface HeldRequest {
  readonly id: number;
  readonly block: Block;
  readonly abort: AbortController;
  readonly arrivedAtMs: number;
  /** Undefined until the gate answered. */
  admission: Forward | undefined;
  /** Counts how often the gate was asked, so that an answer to an earlier question is known as such. */
  asked: number;
  clientEnded: boolean;
  readonly body: HeldBody;
  trailers: Block | undefined;
  /** How much of its body's window the client was given back already. */
  prepaidBytes: number;
  /** What the client granted for the response so far. */
  grantedBytes: number;
}

/** The requests of one connection that wait, by rising id, and the memory they take. */
export class HeldRequests {
  readonly #held = new Map<number, HeldRequest>();
  #bytes = 0;
  #headerBytes = 0;

  get size(): number {
    return this.#held.size;
  }

  /** Bytes that they take: those of their bodies, and of their headers. */
  get memoryBytes(): number {
    return this.#bytes + this.#headerBytes;
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

  add(id: number, block: Block, clientEnded: boolean, abort: AbortController, nowMs: number): HeldRequest {
    const held: HeldRequest = {
      id,
      block,
      abort,
      arrivedAtMs: nowMs,
      admission: undefined,
      asked: 0,
      clientEnded,
      body: new HeldBody(),
      trailers: undefined,
      prepaidBytes: 0,
      grantedBytes: 0,
    };
    this.#held.set(id, held);
    this.#headerBytes += block.listBytes;
    return held;
  }

  /** Takes a request out: to pass it on, or for good. */
  take(held: HeldRequest): void {
    this.#held.delete(held.id);
    this.#bytes -= held.body.sizeBytes;
    this.#headerBytes -= held.block.listBytes + (held.trailers?.listBytes ?? 0);
  }

  /** Keeps content. */
  content(held: HeldRequest, content: Buffer): void {
    held.body.add(content);
    this.#bytes += content.length;
  }

  /** Keeps trailers, which end the request. */
  trailers(held: HeldRequest, block: Block): void {
    held.trailers = block;
    this.#headerBytes += block.listBytes;
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
