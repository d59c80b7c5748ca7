import type { Admission } from "../engine.ts";
import type { MappedStream } from "./mapped-stream.ts";

/** The admission of a request that is passed on. */
export type Forward = Extract<Admission, { kind: "forward" }>;

/** A stream whose request was passed on. Each side ends it once; RST_STREAM of either ends both. */
export interface OpenStream {
  readonly id: number;
  readonly admission: Pick<Forward, "release" | "drop">;
  /** Undefined for a stream of the spliced VM, whose frames pass as they are. */
  readonly mapped: MappedStream | undefined;
  /** The router itself serves it. */
  readonly isOwn: boolean;
  clientEnded: boolean;
  upstreamEnded: boolean;
  responseStarted: boolean;
}

const OWN_ADMISSION: OpenStream["admission"] = { release: () => {}, drop: new Set() };

/** Ids of unforwarded requests that are remembered; older ones are long over. */
const MAX_UNFORWARDED = 1024;
/** Streams for which is remembered that the client has ended them itself. */
const MAX_CLIENT_DONE = 64;

/**
 * The streams of a connection. Only streams that are open cost memory: of an id that is not in here, it is enough to know
 * whether the spliced VM ever heard of it.
 */
export class StreamTable {
  readonly #open = new Map<number, OpenStream>();
  /** Made when needed, as {@link #clientDone}: most connections are idle, and many. */
  #unforwarded: Set<number> | undefined;
  #clientDone: number[] | undefined;
  #oldestClientDone = 0;
  #lastSplicedId = 0;
  #mayBeSpliced = true;
  #spliced = 0;
  #mapped = 0;
  #active = 0;

  /** Streams of the spliced VM that are not closed. */
  get spliced(): number {
    return this.#spliced;
  }

  /** Streams of further VMs that are not closed. */
  get mapped(): number {
    return this.#mapped;
  }

  /** Streams whose answer has not ended, but for those that the router serves itself: what keeps a satellite busy. */
  get active(): number {
    return this.#active;
  }

  /** Highest stream that the spliced VM was given. */
  get lastSplicedId(): number {
    return this.#lastSplicedId;
  }

  get(id: number): OpenStream | undefined {
    return this.#open.get(id);
  }

  /** All open streams, in the order of their ids. */
  all(): OpenStream[] {
    return [...this.#open.values()];
  }

  /** Notes that a request is passed on to the spliced VM. Ids rise (RFC 9113 §5.1.1). */
  openSpliced(id: number, admission: Forward, clientEnded: boolean): void {
    this.#add(id, admission, clientEnded, undefined, false);
    this.#lastSplicedId = id;
    this.#spliced += 1;
    this.#active += 1;
  }

  /** Notes that a request goes to a further VM: the spliced one never hears of it. */
  openMapped(id: number, admission: Forward, clientEnded: boolean, mapped: MappedStream): OpenStream {
    this.markUnforwarded(id);
    this.#mapped += 1;
    this.#active += 1;
    return this.#add(id, admission, clientEnded, mapped, false);
  }

  /** Notes that the router serves a request itself. */
  openOwn(id: number, clientEnded: boolean, mapped: MappedStream): OpenStream {
    this.markUnforwarded(id);
    return this.#add(id, OWN_ADMISSION, clientEnded, mapped, true);
  }

  /** The client sent END_STREAM. */
  endByClient(stream: OpenStream): void {
    stream.clientEnded = true;
    this.#closeIfDone(stream);
  }

  /** The answer has ended: nothing more is done for this request, whatever the client still sends. */
  endByUpstream(stream: OpenStream): void {
    if (!stream.upstreamEnded) {
      stream.upstreamEnded = true;
      this.#active -= stream.isOwn ? 0 : 1;
      stream.admission.release();
    }
    this.#closeIfDone(stream);
  }

  #add(
    id: number,
    admission: OpenStream["admission"],
    clientEnded: boolean,
    mapped: MappedStream | undefined,
    isOwn: boolean,
  ): OpenStream {
    const stream: OpenStream = {
      id,
      admission,
      mapped,
      isOwn,
      clientEnded,
      upstreamEnded: false,
      responseStarted: false,
    };
    this.#open.set(id, stream);
    return stream;
  }

  #closeIfDone(stream: OpenStream): void {
    if (stream.clientEnded && stream.upstreamEnded && this.#open.delete(stream.id) && !stream.isOwn) {
      if (stream.mapped === undefined) {
        this.#spliced -= 1;
      } else {
        this.#mapped -= 1;
      }
    }
  }

  /** Either side reset the stream, or the connection ended. */
  reset(stream: OpenStream): void {
    stream.clientEnded = true;
    this.endByUpstream(stream);
  }

  /** No VM is spliced any more, nor will be: of what it never heard is no question then. */
  endSplicing(): void {
    this.#mayBeSpliced = false;
    this.#unforwarded = undefined;
  }

  /** Notes that the spliced VM will never hear of this id. */
  markUnforwarded(id: number): void {
    if (!this.#mayBeSpliced) {
      return;
    }
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

  /** Whether the spliced VM has heard of this stream, open or closed. */
  wasSpliced(id: number): boolean {
    return id <= this.#lastSplicedId && this.#unforwarded?.has(id) !== true;
  }
}
