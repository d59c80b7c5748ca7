import { FrameReader } from "../../http2/frame-reader.ts";
import type { RelayContext } from "./context.ts";
import { PeerFrames, type PeerEvents } from "./peer-frames.ts";

/**
 * How a client gets on with what it has begun to say: it has not said SETTINGS in time, or a frame of which the rest does not
 * come, or neither.
 */
export type Progress = "silent" | "unfinished" | "well";

/** What a client says, from bytes to frames, and how long it may take for one. */
export class ClientReader {
  readonly #frames: PeerFrames;
  readonly #reader: FrameReader;
  readonly #timeoutMs: number;
  readonly #acceptedAtMs: number;
  #unfinishedSinceMs: number | undefined;

  constructor(events: PeerEvents, { limits, clock }: RelayContext) {
    this.#timeoutMs = limits.clientTimeoutMs;
    this.#acceptedAtMs = clock.monotonicMs();
    this.#frames = new PeerFrames(events, limits, limits, clock);
    this.#reader = new FrameReader(this.#frames);
  }

  /** Whether the client's first SETTINGS have come. */
  get settingsSeen(): boolean {
    return this.#frames.settingsSeen;
  }

  /** @throws Http2ConnectionError for what breaks the protocol or a bound */
  read(buffer: Buffer, from: number, end?: number): void {
    this.#reader.read(buffer, from, end);
  }

  /** Nothing more is read. */
  stop(): void {
    this.#reader.stop();
  }

  /** Takes note of a frame for a stream that is over. */
  countDropped(): void {
    this.#frames.countDropped();
  }

  /** To be called about once a second. */
  sweep(nowMs: number): Progress {
    if (!this.settingsSeen && nowMs - this.#acceptedAtMs > this.#timeoutMs) {
      return "silent";
    }
    const isUnfinished = this.#frames.isMidBlock || (this.#reader.isMidFrame && this.#reader.atBoundary);
    this.#unfinishedSinceMs = isUnfinished ? (this.#unfinishedSinceMs ?? nowMs) : undefined;
    return nowMs - (this.#unfinishedSinceMs ?? nowMs) > this.#timeoutMs ? "unfinished" : "well";
  }
}
