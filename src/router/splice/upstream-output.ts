import { FRAME_HEADER_BYTES } from "../http2/protocol.ts";
import { Outbox, type Slabs } from "./outbox.ts";
import type { Wire } from "./wire.ts";

/**
 * What goes to the spliced VM: the client's frames as they are, and between them frames of our own. A DATA frame of the
 * client may come in many parts: frames of our own then wait until it is whole, so that each frame arrives as it was sent.
 */
export class UpstreamOutput {
  readonly #now: Outbox;
  /** Frames of our own that wait for the end of the frame in hand. */
  readonly #behind: Outbox;
  /** Bytes of the client's frame in hand that are still to come. */
  #missingBytes = 0;

  constructor(slabs: Slabs) {
    this.#now = new Outbox(slabs);
    this.#behind = new Outbox(slabs);
  }

  get isEmpty(): boolean {
    return this.#now.isEmpty;
  }

  /** Whether a frame of the client has been passed on in part. */
  get isMidFrame(): boolean {
    return this.#missingBytes > 0;
  }

  /** Where frames of our own are written. */
  get own(): Outbox {
    return this.#missingBytes > 0 ? this.#behind : this.#now;
  }

  /** Adds a frame of our own. It must not change afterwards. */
  add(frame: Buffer): void {
    this.own.add(frame);
  }

  /** Passes a whole frame of the client on: buffer[from, to). */
  pass(buffer: Buffer, from: number, to: number): void {
    this.#now.pass(buffer, from, to);
  }

  /** Passes the first part of a DATA frame on, its header included: buffer[from, to). */
  begin(payloadBytes: number, buffer: Buffer, from: number, to: number): void {
    this.#now.pass(buffer, from, to);
    this.#missingBytes = FRAME_HEADER_BYTES + payloadBytes - (to - from);
  }

  /** The first part of a DATA frame was added as a frame of our own; the rest is passed. */
  continue(missingBytes: number): void {
    this.#missingBytes = missingBytes;
  }

  /** Passes a further part of the frame in hand on. */
  part(buffer: Buffer, from: number, to: number): void {
    this.#now.pass(buffer, from, to);
    this.#missingBytes -= to - from;
    if (this.#missingBytes === 0 && !this.#behind.isEmpty) {
      this.#now.append(this.#behind);
    }
  }

  /** Forgets everything: the VM is gone. */
  clear(): void {
    this.#missingBytes = 0;
    this.#now.clear();
    this.#behind.clear();
  }

  /** Hands everything to the wire as one write. */
  flush(wire: Wire): void {
    this.#now.flush(wire);
  }
}
