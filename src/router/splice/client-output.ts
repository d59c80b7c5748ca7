import { SatelliteError } from "../../base/errors.ts";
import type { SpliceLimits } from "./limits.ts";
import { Outbox, type Slabs } from "./outbox.ts";
import type { Wire } from "./wire.ts";

/** A frame of ours, or how to make it when its turn comes: some depend on what passed before them. */
type Own = Buffer | (() => Buffer);

/** What a frame that is still to be made counts as. */
const ESTIMATE_BYTES = 256;

/**
 * What goes to the client: the VM's bytes, and between them frames of our own. These go in only at a frame
 * boundary of the VM's bytes and never into a header block (RFC 9113 §4.3); until then they wait.
 */
export class ClientOutput {
  readonly #out: Outbox;
  readonly #limits: SpliceLimits;
  readonly #canInject: () => boolean;
  readonly #waiting: Own[] = [];
  #waitingBytes = 0;
  /** Bytes of our own since the wire last had nothing left to send. */
  #ownBytes = 0;

  /** @param canInject whether the VM's bytes so far end with a whole frame, outside a header block */
  constructor(slabs: Slabs, limits: SpliceLimits, canInject: () => boolean) {
    this.#out = new Outbox(slabs);
    this.#limits = limits;
    this.#canInject = canInject;
  }

  /** Passes bytes of the VM on: buffer[from, to). */
  pass(buffer: Buffer, from: number, to: number): void {
    this.#out.pass(buffer, from, to);
  }

  /** Puts a frame of ours between the VM's frames, now or at the next boundary. */
  inject(frame: Own): void {
    if (this.#waiting.length === 0 && this.#canInject()) {
      this.#add(frame);
      return;
    }
    this.#waiting.push(frame);
    this.#waitingBytes += typeof frame === "function" ? ESTIMATE_BYTES : frame.length;
  }

  /** Lets waiting frames in, if this is a boundary. */
  settle(): void {
    if (this.#waiting.length > 0 && this.#canInject()) {
      for (const frame of this.#waiting.splice(0)) {
        this.#add(frame);
      }
      this.#waitingBytes = 0;
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

  #add(own: Own): void {
    const frame = typeof own === "function" ? own() : own;
    this.#ownBytes += frame.length;
    this.#out.add(frame);
  }
}
