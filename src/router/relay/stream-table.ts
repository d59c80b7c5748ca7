import type { Admission } from "../engine.ts";
import type { RequestSink } from "./request-sink.ts";

/** The admission of a request that is passed on. */
export type Forward = Extract<Admission, { kind: "forward" }>;

/** A stream whose request was passed on. Each side ends it once; RST_STREAM of either ends both. */
export interface OpenStream {
  readonly id: number;
  readonly admission: Pick<Forward, "release" | "drop">;
  /** Takes what the client still sends on it. */
  readonly sink: RequestSink;
  /** The router itself serves it. */
  readonly isOwn: boolean;
  clientEnded: boolean;
  upstreamEnded: boolean;
  responseStarted: boolean;
}

const OWN_ADMISSION: OpenStream["admission"] = { release: () => {}, drop: new Set() };

/** Streams for which is remembered that the client has ended them itself. */
const MAX_CLIENT_DONE = 64;

/** The open streams of a client's connection. Only they cost memory: what is closed is forgotten. */
export class StreamTable {
  readonly #open = new Map<number, OpenStream>();
  readonly #onRequestEnd: (code: string) => void;
  /** Made when needed: most connections are idle, and many. */
  #clientDone: number[] | undefined;
  #oldestClientDone = 0;
  #active = 0;

  /** @param onRequestEnd called once for each stream, when its request has ended */
  constructor(onRequestEnd: (code: string) => void) {
    this.#onRequestEnd = onRequestEnd;
  }

  /** Streams that are not closed. */
  get size(): number {
    return this.#open.size;
  }

  /** Streams of VMs whose answer has not ended: what keeps a satellite busy. */
  get active(): number {
    return this.#active;
  }

  get(id: number): OpenStream | undefined {
    return this.#open.get(id);
  }

  /** All open streams, in the order of their ids. */
  all(): OpenStream[] {
    return [...this.#open.values()];
  }

  /** Notes that a request goes to a VM. */
  open(id: number, admission: Forward, clientEnded: boolean, sink: RequestSink): OpenStream {
    this.#active += 1;
    return this.#add(id, admission, clientEnded, sink, false);
  }

  /** Notes that the router serves a request itself. */
  openOwn(id: number, clientEnded: boolean, sink: RequestSink): OpenStream {
    return this.#add(id, OWN_ADMISSION, clientEnded, sink, true);
  }

  /** The client sent END_STREAM, or nothing that it still sends is wanted. */
  endByClient(stream: OpenStream): void {
    stream.clientEnded = true;
    this.#closeIfDone(stream);
  }

  /**
   * The answer has ended: nothing more is done for this request, whatever the client still sends.
   *
   * @param code how its request has ended, unless it had before; see {@link RequestEnd}
   */
  endByUpstream(stream: OpenStream, code: string): void {
    if (!stream.upstreamEnded) {
      stream.upstreamEnded = true;
      this.#onRequestEnd(code);
      this.#active -= stream.isOwn ? 0 : 1;
      stream.admission.release();
    }
    this.#closeIfDone(stream);
  }

  #add(
    id: number,
    admission: OpenStream["admission"],
    clientEnded: boolean,
    sink: RequestSink,
    isOwn: boolean,
  ): OpenStream {
    const stream: OpenStream = {
      id,
      admission,
      sink,
      isOwn,
      clientEnded,
      upstreamEnded: false,
      responseStarted: false,
    };
    this.#open.set(id, stream);
    return stream;
  }

  #closeIfDone(stream: OpenStream): void {
    if (stream.clientEnded && stream.upstreamEnded) {
      this.#open.delete(stream.id);
    }
  }

  /** Either side reset the stream, or the connection ended. `code` is as for {@link endByUpstream}. */
  reset(stream: OpenStream, code: string): void {
    stream.clientEnded = true;
    this.endByUpstream(stream, code);
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
}
