import { Chunks, type ChunkMemory } from "./chunks.ts";
import type { Wire } from "./wire.ts";

const SLAB_BYTES = 64 * 1024;
/** Received bytes up to this length are copied next to their neighbours; longer ones leave in place. */
const COPY_BYTES = 4096;

/**
 * Memory for small frames, shared by all connections. It is handed out front to back; what was handed out last is
 * taken back when it was sent, so that most turns use the same, cached memory.
 */
export class Slabs {
  readonly chunks: Chunks;
  slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  used = 0;

  constructor(chunks = new Chunks()) {
    this.chunks = chunks;
  }

  /** Makes sure that `sizeBytes` are free at `used` in `slab`. */
  makeRoom(sizeBytes: number): void {
    if (this.slab.length - this.used < sizeBytes) {
      this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, sizeBytes));
      this.used = 0;
    }
  }

  /** Takes slab[start, end) back if nothing was handed out behind it. */
  takeBack(slab: Buffer, start: number, end: number): void {
    if (slab === this.slab && end === this.used) {
      this.used = start;
    }
  }
}

/**
 * Gathers what goes to one socket in one turn, in order, and hands it over as one write. Received buffers
 * are passed on without copying where that pays; they must stay as they are until the turn ends by {@link flush}.
 */
export class Outbox implements ChunkMemory {
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
  #gatheredBytes = 0;
  /** Chunks of which nobody but what was gathered may still speak. Made when needed. */
  #retired: Buffer[] | undefined;
  #isWriting = false;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  get isEmpty(): boolean {
    return this.#source === undefined && this.#run === undefined && this.#pieces.length === 0;
  }

  /** What was gathered since {@link flush}. */
  get gatheredBytes(): number {
    return this.#gatheredBytes;
  }

  takeChunk(): Buffer {
    return this.#slabs.chunks.take();
  }

  /** A chunk goes back when what was gathered has been written; at once where nothing is. */
  retire(chunk: Buffer): void {
    if (this.isEmpty && !this.#isWriting) {
      this.#slabs.chunks.give(chunk);
    } else {
      (this.#retired ??= []).push(chunk);
    }
  }

  /** Passes received bytes on: buffer[from, to). */
  pass(buffer: Buffer, from: number, to: number): void {
    this.#gatheredBytes += to - from;
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
    this.#gatheredBytes += frame.length;
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
    this.#gatheredBytes += end - this.#slabs.used;
    this.#commit(end);
  }

  #commit(end: number): void {
    const slabs = this.#slabs;
    if (this.#run !== slabs.slab || this.#runEnd !== slabs.used) {
      this.#settleRun();
      this.#run = slabs.slab;
      this.#runStart = slabs.used;
    }
    this.#runEnd = end;
    slabs.used = end;
  }

  /** Hands everything to the wire as one write. A wire in memory may answer meanwhile, and another turn begin. */
  flush(wire: Wire): void {
    const retired = this.#retired;
    this.#retired = undefined;
    this.#isWriting = true;
    this.#write(wire);
    this.#isWriting = false;
    for (const chunk of retired ?? []) {
      this.#slabs.chunks.give(chunk);
    }
  }

  #write(wire: Wire): void {
    if (this.#run !== undefined && this.#to - this.#from <= COPY_BYTES) {
      // Little of what was received goes behind our own in the slab: one piece, for which nothing is made.
      this.#settleSource();
    }
    const source = this.#source;
    const run = this.#run;
    this.#gatheredBytes = 0;
    if (this.#pieces.length > 0 || (source !== undefined && run !== undefined)) {
      this.#flushPieces(wire);
    } else if (source !== undefined) {
      this.#source = undefined;
      wire.write(source, this.#from, this.#to);
    } else if (run !== undefined) {
      const start = this.#runStart;
      const end = this.#runEnd;
      this.#run = undefined;
      wire.write(run, start, end);
      this.#slabs.takeBack(run, start, end);
    }
  }

  #flushPieces(wire: Wire): void {
    this.#settleSource();
    this.#settleRun();
    const pieces = this.#pieces;
    this.#pieces = [];
    const [only, second] = pieces;
    if (only !== undefined && second === undefined) {
      wire.write(only, 0, only.length);
    } else {
      wire.writeAll(pieces);
    }
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
      this.#commit(this.#slabs.used + to - from);
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
