import { SatelliteError } from "../../base/errors.ts";
import { DEFAULT_MAX_FRAME_BYTES, FRAME_HEADER_BYTES } from "../../http2/protocol.ts";
import { writeBlock, type Block } from "./block.ts";
import { CHUNK_BYTES } from "./chunks.ts";
import type { ClientFlow } from "./client-flow.ts";
import { passData, writeData } from "./data-frame.ts";
import type { RelayLimits } from "./limits.ts";
import { Outbox, type Slabs } from "./outbox.ts";
import type { ClientSettings } from "./client-settings.ts";
import { UntakenBytes } from "./untaken-bytes.ts";
import type { Wire } from "./wire.ts";

/** A frame of ours, or how to make it when its turn comes: some depend on what passed before them. */
type Own = Buffer | (() => Buffer);

/** Frames of a stream that wait: content that needs the client's window, and whole frames behind it. */
type Queued =
  | { readonly streamId: number; readonly write: () => void; readonly sizeBytes: number }
  | {
      readonly streamId: number;
      content: Buffer;
      readonly endStream: boolean;
      readonly onSettled: ((sizeBytes: number) => void) | undefined;
      /** What `content` is a part of, where that is to be given back. */
      readonly chunk: Buffer | undefined;
    };

type QueuedContent = Extract<Queued, { content: Buffer }>;

/** What each thing that waits costs, however little it holds. */
const ITEM_BYTES = 256;

/**
 * What goes to the client. Everybody hands whole frames and whole header blocks over, so these may go in anywhere
 * (RFC 9113 §4.3). DATA that the client's window on the connection has no room for waits in one queue, and what comes
 * behind it on its stream waits with it, in order. Other streams' headers and answers do not wait: they need no window.
 */
export class ClientOutput {
  readonly #out: Outbox;
  readonly #limits: RelayLimits;
  readonly #flow: ClientFlow;
  readonly #settings: ClientSettings;
  readonly #queue: Queued[] = [];
  /** How many things wait, by stream. Made when needed. */
  #waiting: Map<number, number> | undefined;
  #queuedBytes = 0;
  /** Bytes of our own. */
  readonly #own = new UntakenBytes();

  constructor(slabs: Slabs, limits: RelayLimits, flow: ClientFlow, settings: ClientSettings) {
    this.#out = new Outbox(slabs);
    this.#limits = limits;
    this.#flow = flow;
    this.#settings = settings;
  }

  /** Memory for what waits for the client's window. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** What was gathered in this turn. */
  get gatheredBytes(): number {
    return this.#out.gatheredBytes;
  }

  /** Whether all answers have been passed on. */
  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Puts a frame of ours between the others. */
  inject(own: Own): void {
    const frame = made(own);
    this.#own.note(frame.length);
    this.#out.add(frame);
  }

  /** Puts an answer of the router to a stream behind what was queued for it. */
  answer(streamId: number, frames: Own): void {
    if (this.#isWaiting(streamId)) {
      this.#enqueue({ streamId, write: () => this.#out.add(made(frames)), sizeBytes: 0 });
    } else {
      this.inject(frames);
    }
  }

  /** Passes the header block of an answer on, encoded anew. */
  block(streamId: number, block: Block, endStream: boolean): void {
    if (this.#isWaiting(streamId)) {
      const write = (): void => this.#writeBlock(streamId, block, endStream);
      this.#enqueue({ streamId, write, sizeBytes: block.listBytes });
    } else {
      this.#writeBlock(streamId, block, endStream);
    }
  }

  #writeBlock(streamId: number, block: Block, endStream: boolean): void {
    writeBlock(this.#out, this.#settings.encoder, streamId, block, endStream);
  }

  /**
   * Passes a whole DATA frame without padding on under another stream id, if the client takes it now: its header is
   * rewritten in place, buffer[start, end).
   *
   * @returns whether it has gone out
   */
  frame(streamId: number, endStream: boolean, buffer: Buffer, start: number, end: number): boolean {
    const sizeBytes = end - start - FRAME_HEADER_BYTES;
    if (this.#queue.length > 0 || sizeBytes > DEFAULT_MAX_FRAME_BYTES || !this.#flow.takeAll(sizeBytes)) {
      return false;
    }
    passData(this.#out, streamId, endStream, buffer, start, end);
    return true;
  }

  /**
   * Passes content of a stream's DATA on, as the client's window allows. What has to wait is copied.
   *
   * @param onSettled called when content has gone out, and when it was dropped
   */
  content(
    streamId: number,
    content: Buffer,
    endStream: boolean,
    onSettled?: (sizeBytes: number) => void,
  ): void {
    const item = { streamId, content, endStream, onSettled, chunk: undefined };
    if (this.#queue.length === 0 && this.#sendContent(item)) {
      return;
    }
    this.#enqueue({ ...item, ...this.#copy(item.content) });
  }

  /** Little content is copied next to other: a chunk for each would be far more than what is counted for it. */
  #copy(content: Buffer): Pick<QueuedContent, "chunk" | "content"> {
    if (content.length < CHUNK_BYTES / 4 || content.length > CHUNK_BYTES) {
      return { content: Buffer.from(content), chunk: undefined };
    }
    const chunk = this.#out.takeChunk();
    content.copy(chunk);
    return { content: chunk.subarray(0, content.length), chunk };
  }

  #isWaiting(streamId: number): boolean {
    return this.#waiting?.has(streamId) ?? false;
  }

  #enqueue(item: Queued): void {
    this.#queue.push(item);
    const waiting = (this.#waiting ??= new Map());
    waiting.set(item.streamId, (waiting.get(item.streamId) ?? 0) + 1);
    this.#queuedBytes += ITEM_BYTES + sizeOf(item);
  }

  #noteGone(item: Queued): void {
    const left = (this.#waiting?.get(item.streamId) ?? 1) - 1;
    if (left === 0) {
      this.#waiting?.delete(item.streamId);
    } else {
      this.#waiting?.set(item.streamId, left);
    }
    this.#queuedBytes -= ITEM_BYTES + sizeOf(item);
    if ("chunk" in item && item.chunk !== undefined) {
      this.#out.retire(item.chunk);
    }
  }

  /** Drops what waits for a stream: it was reset. */
  drop(streamId: number): void {
    if (!this.#isWaiting(streamId)) {
      return;
    }
    for (let place = this.#queue.length - 1; place >= 0; place -= 1) {
      const item = this.#queue[place];
      if (item?.streamId === streamId) {
        this.#queue.splice(place, 1);
        this.#noteGone(item);
        if ("content" in item) {
          item.onSettled?.(item.content.length);
        }
      }
    }
  }

  /** Sends what waits, as far as the client's window goes. */
  settle(): void {
    for (let item = this.#queue[0]; item !== undefined && this.#send(item); item = this.#queue[0]) {
      this.#queue.shift();
      this.#noteGone(item);
    }
  }

  /**
   * Writes what was gathered.
   *
   * @throws SatelliteError `ClientDoesNotRead` when more of our own frames wait than the bound allows
   */
  flush(wire: Wire): void {
    const writtenBytes = this.#out.gatheredBytes;
    if (!this.#out.isEmpty) {
      this.#out.flush(wire);
    }
    this.#own.settle(writtenBytes, wire.unsentBytes);
    if (this.#own.atMost > this.#limits.maxControlBytes) {
      throw new SatelliteError("ClientDoesNotRead", "the client does not read the frames it asks for");
    }
  }

  /** @returns whether all of it has gone out */
  #send(item: Queued): boolean {
    if ("content" in item) {
      const before = item.content.length;
      const isWhole = this.#sendContent(item);
      this.#queuedBytes -= before - item.content.length;
      return isWhole;
    }
    item.write();
    return true;
  }

  /** Sends as much as the client takes; `item.content` then begins behind it. */
  #sendContent(item: QueuedContent): boolean {
    do {
      const wantedBytes = Math.min(item.content.length, DEFAULT_MAX_FRAME_BYTES);
      const sizeBytes = this.#flow.take(wantedBytes);
      if (sizeBytes === 0 && wantedBytes > 0) {
        return false;
      }
      const isLast = sizeBytes === item.content.length;
      writeData(this.#out, item.streamId, item.content.subarray(0, sizeBytes), isLast && item.endStream);
      if (sizeBytes > 0) {
        item.onSettled?.(sizeBytes);
      }
      item.content = item.content.subarray(sizeBytes);
      if (isLast) {
        return true;
      }
    } while (item.content.length > 0);
    return true;
  }
}

function made(own: Own): Buffer {
  return typeof own === "function" ? own() : own;
}

function sizeOf(item: Queued): number {
  return "content" in item ? item.content.length : item.sizeBytes;
}
