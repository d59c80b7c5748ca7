import type { Writable } from "node:stream";

const SLAB_BYTES = 64 * 1024;
/** Received bytes up to this length are copied next to their neighbours; longer ones leave in place. */
const COPY_BYTES = 4096;

/**
 * Memory for small frames, shared by all connections. It is handed out front to back and never twice: what
 * was written stays as it is until the last socket has sent it and the slab is collected.
 */
export class Slabs {
  slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  used = 0;

  /** Makes sure that `sizeBytes` are free at `used` in `slab`. */
  makeRoom(sizeBytes: number): void {
    if (this.slab.length - this.used < sizeBytes) {
      this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, sizeBytes));
      this.used = 0;
    }
  }
}

/**
 * Gathers what goes to one socket in one turn, in order, and hands it over as one write. Received buffers
 * are passed on without copying where that pays; they must not be reused before the socket has sent them.
 */
export class Outbox {
  readonly #slabs: Slabs;
  #pieces: Buffer[] = [];
  /** Our last bytes in the slab, not yet a piece. */
  #run: Buffer | undefined;
  #runStart = 0;
  #runEnd = 0;
  /** The last received bytes, not yet a piece: they may grow at their end. */
  #source: Buffer | undefined;
  #from = 0;
  #to = 0;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  get isEmpty(): boolean {
    return this.#source === undefined && this.#run === undefined && this.#pieces.length === 0;
  }

  /** Passes received bytes on: buffer[from, to). */
  pass(buffer: Buffer, from: number, to: number): void {
    if (this.#source === buffer && this.#to === from) {
      this.#to = to;
      return;
    }
    this.#settleSource();
    this.#source = buffer;
    this.#from = from;
    this.#to = to;
  }

  /** Adds a frame of our own. It must not change afterwards. */
  add(frame: Buffer): void {
    this.#settleSource();
    this.#copyOrKeep(frame, 0, frame.length);
  }

  /**
   * Room for a frame of our own: it may be written to `slab` from `used` on.
   *
   * @returns the slabs; {@link commit} must follow before anything else happens to them
   */
  reserve(sizeBytes: number): Slabs {
    this.#settleSource();
    this.#slabs.makeRoom(sizeBytes);
    return this.#slabs;
  }

  /** Ends what {@link reserve} began. `end` is the place in the slab behind the frame. */
  commit(end: number): void {
    const slabs = this.#slabs;
    if (this.#run !== slabs.slab || this.#runEnd !== slabs.used) {
      this.#settleRun();
      this.#run = slabs.slab;
      this.#runStart = slabs.used;
    }
    this.#runEnd = end;
    slabs.used = end;
  }

  /** Hands everything to the socket as one write. */
  flush(socket: Writable): void {
    if (this.#source !== undefined && this.#run === undefined && this.#pieces.length === 0) {
      socket.write(wholeOrPart(this.#source, this.#from, this.#to));
      this.#source = undefined;
      return;
    }
    this.#settleSource();
    this.#settleRun();
    const pieces = this.#pieces;
    const [first] = pieces;
    if (first === undefined) {
      return;
    }
    this.#pieces = [];
    if (pieces.length === 1) {
      socket.write(first);
      return;
    }
    socket.cork();
    for (const piece of pieces) {
      socket.write(piece);
    }
    socket.uncork();
  }

  /** Forgets what was not handed over. */
  clear(): void {
    this.#source = undefined;
    this.#run = undefined;
    this.#pieces = [];
  }

  #settleSource(): void {
    const source = this.#source;
    if (source !== undefined) {
      this.#source = undefined;
      this.#copyOrKeep(source, this.#from, this.#to);
    }
  }

  #copyOrKeep(buffer: Buffer, from: number, to: number): void {
    if (to - from <= COPY_BYTES) {
      this.#slabs.makeRoom(to - from);
      buffer.copy(this.#slabs.slab, this.#slabs.used, from, to);
      this.commit(this.#slabs.used + to - from);
      return;
    }
    this.#settleRun();
    this.#pieces.push(wholeOrPart(buffer, from, to));
  }

  #settleRun(): void {
    if (this.#run !== undefined) {
      this.#pieces.push(this.#run.subarray(this.#runStart, this.#runEnd));
      this.#run = undefined;
    }
  }
}

function wholeOrPart(buffer: Buffer, from: number, to: number): Buffer {
  return from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to);
}
