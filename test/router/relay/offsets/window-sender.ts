import { data } from "../support/peer.ts";

const WINDOW_BYTES = 65_535;
const FRAME_BYTES = 16_384;

interface Sending {
  bytes: Buffer;
  windowBytes: number;
  /** Frames that come behind the content. */
  readonly behind: readonly Buffer[];
  readonly endsByData: boolean;
}

/** Sends bodies as far as the other end's windows go (RFC 9113 §5.2), never further. */
export class WindowSender {
  readonly #sending = new Map<number, Sending>();
  readonly #ended = new Set<number>();
  #connectionBytes = WINDOW_BYTES;
  #initialBytes = WINDOW_BYTES;
  readonly #early = new Map<number, number>();

  /** @param behind frames behind the content; without any, END_STREAM stands on the last DATA frame */
  add(id: number, bytes: Buffer, behind: readonly Buffer[] = []): void {
    const windowBytes = this.#initialBytes + (this.#early.get(id) ?? 0);
    this.#sending.set(id, { bytes, windowBytes, behind, endsByData: behind.length === 0 });
  }

  /** The stream was reset. */
  drop(id: number): void {
    this.#sending.delete(id);
    this.#ended.add(id);
  }

  /** WINDOW_UPDATE. */
  grant(id: number, sizeBytes: number): void {
    const sending = this.#sending.get(id);
    if (id === 0) {
      this.#connectionBytes += sizeBytes;
    } else if (sending !== undefined) {
      sending.windowBytes += sizeBytes;
    } else if (!this.#ended.has(id)) {
      this.#early.set(id, (this.#early.get(id) ?? 0) + sizeBytes);
    }
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.9.2). */
  initial(sizeBytes: number): void {
    for (const sending of this.#sending.values()) {
      sending.windowBytes += sizeBytes - this.#initialBytes;
    }
    this.#initialBytes = sizeBytes;
  }

  /** The next frames. */
  take(): Buffer[] {
    const frames: Buffer[] = [];
    for (const [id, sending] of this.#sending) {
      while (sending.bytes.length > 0) {
        const sizeBytes = Math.min(
          FRAME_BYTES,
          sending.bytes.length,
          sending.windowBytes,
          this.#connectionBytes,
        );
        if (sizeBytes <= 0) {
          break;
        }
        const isLast = sending.endsByData && sizeBytes === sending.bytes.length;
        frames.push(data(id, sending.bytes.subarray(0, sizeBytes), isLast));
        sending.bytes = sending.bytes.subarray(sizeBytes);
        sending.windowBytes -= sizeBytes;
        this.#connectionBytes -= sizeBytes;
      }
      if (sending.bytes.length === 0) {
        frames.push(...sending.behind);
        this.drop(id);
      }
    }
    return frames;
  }
}

/** Keeps account of what one end takes, and grants it anew when it is asked to. */
export class WindowReceiver {
  #connectionBytes = WINDOW_BYTES;
  readonly #streamBytes = new Map<number, number>();
  readonly #due = new Map<number, number>();

  /** @throws Error for more than was granted */
  receive(who: string, id: number, sizeBytes: number): void {
    const streamBytes = (this.#streamBytes.get(id) ?? WINDOW_BYTES) - sizeBytes;
    this.#connectionBytes -= sizeBytes;
    this.#streamBytes.set(id, streamBytes);
    if (streamBytes < 0 || this.#connectionBytes < 0) {
      throw new Error(
        `${who}: more DATA than its window: ${streamBytes} left on stream ${id}, ${this.#connectionBytes} in all`,
      );
    }
    for (const each of [0, id]) {
      this.#due.set(each, (this.#due.get(each) ?? 0) + sizeBytes);
    }
  }

  /** What is to be granted, by stream; 0 is the connection. */
  takeDue(): [id: number, sizeBytes: number][] {
    const due = [...this.#due].filter(([, sizeBytes]) => sizeBytes > 0);
    this.#due.clear();
    for (const [id, sizeBytes] of due) {
      if (id === 0) {
        this.#connectionBytes += sizeBytes;
      } else {
        this.#streamBytes.set(id, (this.#streamBytes.get(id) ?? WINDOW_BYTES) + sizeBytes);
      }
    }
    return due;
  }
}
