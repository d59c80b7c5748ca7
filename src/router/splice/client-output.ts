import { SatelliteError } from "../../base/errors.ts";
import { writeFrameHeader } from "../http2/frame-writer.ts";
import { DEFAULT_MAX_FRAME_BYTES, Flag, FRAME_HEADER_BYTES, FrameType } from "../http2/protocol.ts";
import type { ClientFlow } from "./client-flow.ts";
import type { SpliceLimits } from "./limits.ts";
import { Outbox, type Slabs } from "./outbox.ts";
import type { Wire } from "./wire.ts";

/** A frame of ours, or how to make it when its turn comes: some depend on what passed before them. */
type Own = Buffer | (() => Buffer);

/** Frames of a stream that wait behind DATA of others: whole ones, or content that needs the client's window. */
type Queued =
  | { readonly streamId: number; readonly frames: Own }
  | {
      readonly streamId: number;
      content: Buffer;
      readonly endStream: boolean;
      readonly onSettled: ((sizeBytes: number) => void) | undefined;
    };

/** What a frame that is still to be made counts as. */
const ESTIMATE_BYTES = 256;

/**
 * What goes to the client: the spliced VM's bytes as they are, and between them frames of our own. These go in only at a
 * frame boundary of the VM's bytes and never into a header block (RFC 9113 §4.3); until then they wait.
 *
 * On a connection that is shared (see {@link ClientFlow}), answers go through one queue: DATA waits there for the client's
 * window, and what comes behind it waits with it, in order.
 */
export class ClientOutput {
  readonly #out: Outbox;
  readonly #limits: SpliceLimits;
  readonly #flow: ClientFlow;
  readonly #canInject: () => boolean;
  readonly #waiting: Own[] = [];
  #waitingBytes = 0;
  readonly #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Bytes of our own since the wire last had nothing left to send. */
  #ownBytes = 0;

  /** @param canInject whether the VM's bytes so far end with a whole frame, outside a header block */
  constructor(slabs: Slabs, limits: SpliceLimits, flow: ClientFlow, canInject: () => boolean) {
    this.#out = new Outbox(slabs);
    this.#limits = limits;
    this.#flow = flow;
    this.#canInject = canInject;
  }

  /** Content that waits for the client's window. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether all answers have been passed on. */
  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Passes bytes of the spliced VM on: buffer[from, to). */
  pass(buffer: Buffer, from: number, to: number): void {
    this.#out.pass(buffer, from, to);
  }

  /** Puts a frame that concerns the connection between the VM's frames, now or at the next boundary. */
  inject(frame: Own): void {
    if (this.#waiting.length === 0 && this.#canInject()) {
      this.#addOwn(frame);
      return;
    }
    this.#waiting.push(frame);
    this.#waitingBytes += typeof frame === "function" ? ESTIMATE_BYTES : frame.length;
  }

  /** Puts an answer of the router to a stream behind what was queued for it. */
  answer(streamId: number, frames: Own): void {
    if (this.#queue.length === 0) {
      this.inject(frames);
    } else {
      this.#queue.push({ streamId, frames });
    }
  }

  /** Passes frames of a stream on that are no DATA: whole ones, and whole header blocks. */
  frames(streamId: number, frames: Own): void {
    if (this.#queue.length === 0 && this.#waiting.length === 0 && this.#canInject()) {
      this.#out.add(typeof frames === "function" ? frames() : frames);
    } else {
      this.#queue.push({ streamId, frames });
    }
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
    const item = { streamId, content, endStream, onSettled };
    if (
      this.#queue.length === 0 &&
      this.#waiting.length === 0 &&
      this.#canInject() &&
      this.#sendContent(item)
    ) {
      return;
    }
    this.#queuedBytes += item.content.length;
    this.#queue.push({ ...item, content: Buffer.from(item.content) });
  }

  /** Drops what waits for a stream: it was reset. */
  drop(streamId: number): void {
    for (let place = this.#queue.length - 1; place >= 0; place -= 1) {
      const item = this.#queue[place];
      if (item?.streamId === streamId && "content" in item) {
        this.#queue.splice(place, 1);
        this.#queuedBytes -= item.content.length;
        item.onSettled?.(item.content.length);
      }
    }
  }

  /** Lets waiting frames in, if this is a boundary. */
  settle(): void {
    if (this.#waiting.length === 0 && this.#queue.length === 0) {
      return;
    }
    if (!this.#canInject()) {
      return;
    }
    for (const frame of this.#waiting.splice(0)) {
      this.#addOwn(frame);
    }
    this.#waitingBytes = 0;
    for (let item = this.#queue[0]; item !== undefined && this.#send(item); item = this.#queue[0]) {
      this.#queue.shift();
    }
  }

  /**
   * Writes what was gathered.
   *
   * @throws SatelliteError `ClientDoesNotRead` when more of our own frames wait than the bound allows
   */
  flush(wire: Wire): void {
    if (!this.#out.isEmpty) {
      this.#out.flush(wire);
    }
    if (wire.unsentBytes === 0) {
      this.#ownBytes = 0;
    }
    if (this.#ownBytes + this.#waitingBytes > this.#limits.maxControlBytes) {
      throw new SatelliteError("ClientDoesNotRead", "the client does not read the frames it asks for");
    }
  }

  /** @returns whether all of it has gone out */
  #send(item: Queued): boolean {
    if ("content" in item) {
      const before = item.content.length;
      const isWhole = this.#sendContent(item);
      this.#queuedBytes -= before - (isWhole ? 0 : item.content.length);
      return isWhole;
    }
    this.#out.add(typeof item.frames === "function" ? item.frames() : item.frames);
    return true;
  }

  /** Sends as much as the client takes; `item.content` then begins behind it. */
  #sendContent(item: Extract<Queued, { content: Buffer }>): boolean {
    do {
      const wantedBytes = Math.min(item.content.length, DEFAULT_MAX_FRAME_BYTES);
      const sizeBytes = this.#flow.take(wantedBytes);
      if (sizeBytes === 0 && wantedBytes > 0) {
        return false;
      }
      const isLast = sizeBytes === item.content.length;
      const slabs = this.#out.reserve(FRAME_HEADER_BYTES);
      const flags = isLast && item.endStream ? Flag.END_STREAM : 0;
      writeFrameHeader(slabs.slab, slabs.used, sizeBytes, FrameType.DATA, flags, item.streamId);
      this.#out.commit(slabs.used + FRAME_HEADER_BYTES);
      if (sizeBytes > 0) {
        this.#out.pass(item.content, 0, sizeBytes);
        item.onSettled?.(sizeBytes);
      }
      item.content = item.content.subarray(sizeBytes);
      if (isLast) {
        return true;
      }
    } while (item.content.length > 0);
    return true;
  }

  #addOwn(own: Own): void {
    const frame = typeof own === "function" ? own() : own;
    this.#ownBytes += frame.length;
    this.#out.add(frame);
  }
}
