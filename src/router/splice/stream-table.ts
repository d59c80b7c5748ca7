import type { Admission } from "../engine.ts";

/** The admission of a request that is passed on. */
export type Forward = Extract<Admission, { kind: "forward" }>;

/** A stream that the VM knows. Each side ends it once; RST_STREAM of either ends both. */
export interface OpenStream {
  readonly id: number;
  readonly admission: Forward;
  clientEnded: boolean;
  upstreamEnded: boolean;
  responseStarted: boolean;
}

/** Ids of unforwarded requests that are remembered; older ones are long over. */
const MAX_UNFORWARDED = 1024;
/** Streams for which is remembered that the client has ended them itself. */
const MAX_CLIENT_DONE = 64;

/**
 * The streams of a spliced connection. Only streams that are open cost memory: of an id that is not in here,
 * it is enough to know whether the VM ever heard of it.
 */
export class StreamTable {
  readonly #open = new Map<number, OpenStream>();
  /** Made when needed, as {@link #clientDone}: most connections are idle, and many. */
  #unforwarded: Set<number> | undefined;
  #clientDone: number[] | undefined;
  #oldestClientDone = 0;
  #lastForwardedId = 0;
  #active = 0;

  /** Streams whose request has reached the VM and that are not closed. */
  get size(): number {
    return this.#open.size;
  }

  /** Streams that the VM has not ended: what keeps a satellite busy. */
  get active(): number {
    return this.#active;
  }

  get lastForwardedId(): number {
    return this.#lastForwardedId;
  }

  get(id: number): OpenStream | undefined {
    return this.#open.get(id);
  }

  /** All open streams, in the order of their ids. */
  all(): OpenStream[] {
    return [...this.#open.values()];
  }

  /** Notes that a request is passed on. Ids rise (RFC 9113 §5.1.1). */
  open(id: number, admission: Forward, clientEnded: boolean): void {
    this.#open.set(id, { id, admission, clientEnded, upstreamEnded: false, responseStarted: false });
    this.#lastForwardedId = id;
    this.#active += 1;
  }

  /** The client sent END_STREAM. */
  endByClient(stream: OpenStream): void {
    stream.clientEnded = true;
    if (stream.upstreamEnded) {
      this.#open.delete(stream.id);
    }
  }

  /** The VM sent END_STREAM: nothing more is done for this request, whatever the client still sends. */
  endByUpstream(stream: OpenStream): void {
    if (!stream.upstreamEnded) {
      stream.upstreamEnded = true;
      this.#active -= 1;
      stream.admission.release();
    }
    if (stream.clientEnded) {
      this.#open.delete(stream.id);
    }
  }

  /** Either side reset the stream, or the connection ended. */
  reset(stream: OpenStream): void {
    stream.clientEnded = true;
    this.endByUpstream(stream);
  }

  /** Notes that the VM will never hear of this id. */
  markUnforwarded(id: number): void {
    const unforwarded = (this.#unforwarded ??= new Set());
    unforwarded.add(id);
    if (unforwarded.size > MAX_UNFORWARDED) {
      const [oldest = 0] = unforwarded;
      unforwarded.delete(oldest);
    }
  }

  /** Notes that the client has ended its side by END_STREAM or RST_STREAM. */
  markClientDone(id: number): void {
    const clientDone = (this.#clientDone ??= []);
    clientDone[this.#oldestClientDone] = id;
    this.#oldestClientDone = (this.#oldestClientDone + 1) % MAX_CLIENT_DONE;
  }

  /** Whether the client has lately ended its side: it may send no HEADERS and DATA behind (RFC 9113 §5.1). */
  isClientDone(id: number): boolean {
    return this.#clientDone?.includes(id) ?? false;
  }

  /** Whether the VM has heard of this stream, open or closed. */
  wasForwarded(id: number): boolean {
    return id <= this.#lastForwardedId && this.#unforwarded?.has(id) !== true;
  }
}
