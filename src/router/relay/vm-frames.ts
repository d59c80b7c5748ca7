import type { Clock } from "../../base/clock.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import type { FrameSink } from "../../http2/frame-reader.ts";
import type { SettingEntry } from "../../http2/frame-writer.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType } from "../../http2/protocol.ts";
import { parseSettings } from "../../http2/settings.ts";
import { requireLength } from "./client-frames.ts";
import type { RelayLimits } from "./limits.ts";
import { FrameRates } from "./frame-rates.ts";

/** What a VM says, frame by frame; buffers as in {@link FrameSink}. */
export interface VmEvents {
  /** A whole HEADERS frame (`isStart`) or CONTINUATION frame, which begins at `start`. */
  onHeaders(
    streamId: number,
    isStart: boolean,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void;
  /** The first part of a DATA frame, its header included: buffer[start, end). */
  onData(
    streamId: number,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  onDataPart(buffer: Buffer, start: number, end: number): void;
  onReset(streamId: number, buffer: Buffer, start: number, end: number): void;
  onWindowUpdate(streamId: number, buffer: Buffer, start: number, end: number): void;
  onSettings(entries: readonly SettingEntry[]): void;
  onSettingsAck(): void;
  onPing(buffer: Buffer, start: number, end: number): void;
  onGoAway(lastStreamId: number, errorCode: number, debug: string): void;
}

const MAX_DEBUG_BYTES = 512;

/** Checks the frames of a VM, which is trusted no more than a client: it runs its tenant's code. */
export class VmFrames implements FrameSink {
  readonly #events: VmEvents;
  readonly #limits: RelayLimits;
  readonly #rates: FrameRates;
  #settingsSeen = false;
  /** The stream whose header block is unfinished, or 0. */
  #openBlock = 0;
  #blockBytes = 0;
  #continuations = 0;

  constructor(events: VmEvents, limits: RelayLimits, clock: Clock) {
    this.#events = events;
    this.#limits = limits;
    this.#rates = new FrameRates(limits, clock);
  }

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    this.#requireOrder(type, streamId);
    const end = start + FRAME_HEADER_BYTES + payloadBytes;
    switch (type) {
      case FrameType.HEADERS:
      case FrameType.CONTINUATION:
        this.#onHeaders(type, flags, streamId, payloadBytes, buffer, start);
        return;
      case FrameType.RST_STREAM:
        requireLength(payloadBytes, 4);
        this.#rates.resets.take();
        this.#events.onReset(streamId, buffer, start, end);
        return;
      case FrameType.WINDOW_UPDATE:
        requireLength(payloadBytes, 4);
        this.#events.onWindowUpdate(streamId, buffer, start, end);
        return;
      case FrameType.SETTINGS:
        this.#onSettings(flags, payloadBytes, buffer, start);
        return;
      case FrameType.PING:
        requireLength(payloadBytes, 8);
        this.#rates.pings.take();
        this.#events.onPing(buffer, start, end);
        return;
      case FrameType.GOAWAY:
        this.#onGoAway(payloadBytes, buffer, start);
        return;
      case FrameType.PUSH_PROMISE:
        throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE although push is off");
      default:
        // PRIORITY, ALTSVC (it would lead clients past the router), ORIGIN, and what nobody knows.
        this.#rates.dropped.take();
    }
  }

  onData(
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.#requireOrder(FrameType.DATA, streamId);
    if (payloadBytes === 0 && (flags & Flag.END_STREAM) === 0) {
      this.#rates.emptyData.take();
    }
    this.#events.onData(streamId, flags, payloadBytes, buffer, start, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    this.#events.onDataPart(buffer, start, end);
  }

  #requireOrder(type: number, streamId: number): void {
    const open = this.#openBlock;
    if (open !== 0 ? type !== FrameType.CONTINUATION || streamId !== open : type === FrameType.CONTINUATION) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `a frame of type ${type} within a header block`,
      );
    }
    if (!this.#settingsSeen && type !== FrameType.SETTINGS) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
  }

  #onHeaders(
    type: number,
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    const isStart = type === FrameType.HEADERS;
    this.#blockBytes = (isStart ? 0 : this.#blockBytes) + payloadBytes;
    this.#continuations = isStart ? 0 : this.#continuations + 1;
    if (
      this.#blockBytes > this.#limits.maxResponseBlockBytes ||
      this.#continuations > this.#limits.maxResponseContinuations
    ) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block over the bounds");
    }
    this.#openBlock = (flags & Flag.END_HEADERS) === 0 ? streamId : 0;
    this.#events.onHeaders(streamId, isStart, flags, payloadBytes, buffer, start);
  }

  #onSettings(flags: number, payloadBytes: number, buffer: Buffer, start: number): void {
    if ((flags & Flag.ACK) !== 0) {
      requireLength(payloadBytes, 0);
      if (!this.#settingsSeen) {
        throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is an acknowledgement");
      }
      this.#events.onSettingsAck();
      return;
    }
    this.#rates.settings.take();
    this.#settingsSeen = true;
    const from = start + FRAME_HEADER_BYTES;
    this.#events.onSettings(parseSettings(buffer, from, from + payloadBytes));
  }

  #onGoAway(payloadBytes: number, buffer: Buffer, start: number): void {
    if (payloadBytes < 8) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY frame that is too short");
    }
    const from = start + FRAME_HEADER_BYTES;
    const debugEnd = Math.min(from + payloadBytes, from + 8 + MAX_DEBUG_BYTES);
    this.#events.onGoAway(
      buffer.readUInt32BE(from) & 0x7fff_ffff,
      buffer.readUInt32BE(from + 4),
      buffer.toString("utf8", from + 8, debugEnd),
    );
  }
}
