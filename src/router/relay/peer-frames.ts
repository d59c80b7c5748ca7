import type { Clock } from "../../base/clock.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import type { FrameSink } from "../../http2/frame-reader.ts";
import type { SettingEntry } from "../../http2/frame-writer.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType } from "../../http2/protocol.ts";
import { parseSettings } from "../../http2/settings.ts";
import { HeaderBlockAssembler, type BlockLimits, type HeaderBlock } from "./header-block.ts";
import type { RelayLimits } from "./limits.ts";
import { FrameRates } from "./frame-rates.ts";

/** What a client or a VM says, frame by frame; buffers as in {@link FrameSink}. */
export interface PeerEvents extends Pick<FrameSink, "onData" | "onDataPart"> {
  onHeaderBlock(block: HeaderBlock): void;
  onReset(streamId: number, errorCode: number): void;
  onWindowUpdate(streamId: number, incrementBytes: number): void;
  /** PRIORITY makes a stream depend on itself. */
  onSelfDependency(streamId: number): void;
  onSettings(entries: readonly SettingEntry[]): void;
  /** @param opaque the eight octets that an answer repeats */
  onPing(isAck: boolean, opaque: Buffer): void;
  onGoAway(lastStreamId: number, debug: string): void;
}

/** Most octets of a GOAWAY's debug data that are read. */
const MAX_DEBUG_BYTES = 512;

function protocolError(message: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}

/**
 * Checks the frames of a client or a VM one by one (RFC 9113 §6) and counts the kinds that floods are made of. A VM is trusted
 * no more than a client: it runs its tenant's code.
 */
export class PeerFrames implements FrameSink {
  readonly #events: PeerEvents;
  readonly #blocks: HeaderBlockAssembler;
  readonly #rates: FrameRates;
  #settingsSeen = false;

  /** @param blockLimits bounds of each of the peer's header blocks */
  constructor(events: PeerEvents, blockLimits: BlockLimits, limits: RelayLimits, clock: Clock) {
    this.#events = events;
    this.#blocks = new HeaderBlockAssembler(blockLimits);
    this.#rates = new FrameRates(limits, clock);
  }

  /** Whether the peer's SETTINGS have come, which must be its first frame (RFC 9113 §3.4). */
  get settingsSeen(): boolean {
    return this.#settingsSeen;
  }

  /** Whether a header block has begun and is not whole. */
  get isMidBlock(): boolean {
    return this.#blocks.openStreamId !== 0;
  }

  /** Counts a frame for a stream that is gone. */
  countDropped(): void {
    this.#rates.dropped.take();
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
    const from = start + FRAME_HEADER_BYTES;
    switch (type) {
      case FrameType.HEADERS:
        this.#onHeaders(flags, streamId, payloadBytes, buffer, start);
        return;
      case FrameType.CONTINUATION:
        this.#onBlock(this.#blocks.continuation(flags, payloadBytes, buffer, start));
        return;
      case FrameType.RST_STREAM:
        requireLength(payloadBytes, 4);
        requireStream(streamId);
        this.#rates.resets.take();
        this.#events.onReset(streamId, buffer.readUInt32BE(from));
        return;
      case FrameType.WINDOW_UPDATE:
        requireLength(payloadBytes, 4);
        this.#onWindowUpdate(streamId, buffer.readUInt32BE(from) & 0x7fff_ffff);
        return;
      case FrameType.SETTINGS:
        requireConnection(streamId);
        this.#onSettings(flags, payloadBytes, buffer, from);
        return;
      case FrameType.PING:
        requireLength(payloadBytes, 8);
        requireConnection(streamId);
        this.#rates.pings.take();
        this.#events.onPing((flags & Flag.ACK) !== 0, buffer.subarray(from, from + payloadBytes));
        return;
      case FrameType.GOAWAY:
        requireConnection(streamId);
        this.#onGoAway(payloadBytes, buffer, from);
        return;
      case FrameType.PRIORITY:
        requireLength(payloadBytes, 5);
        requireStream(streamId);
        this.#onPriority(streamId, buffer.readUInt32BE(from) & 0x7fff_ffff);
        return;
      case FrameType.PUSH_PROMISE:
        throw protocolError("PUSH_PROMISE: clients may not push, and servers were told not to");
      default:
        // Unknown types are ignored (RFC 9113 §4.1), but not for ever.
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
    requireStream(streamId);
    if (payloadBytes === 0 && (flags & Flag.END_STREAM) === 0) {
      this.#rates.emptyData.take();
    }
    this.#events.onData(flags, streamId, payloadBytes, buffer, start, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    this.#events.onDataPart(buffer, start, end);
  }

  /** SETTINGS come first (§3.4), and nothing comes between HEADERS and its CONTINUATION (§6.10). */
  #requireOrder(type: number, streamId: number): void {
    const open = this.#blocks.openStreamId;
    if (open !== 0 ? type !== FrameType.CONTINUATION || streamId !== open : type === FrameType.CONTINUATION) {
      throw protocolError(`a frame of type ${type} where the protocol has no place for it`);
    }
    if (!this.#settingsSeen && type !== FrameType.SETTINGS) {
      throw protocolError("the first frame is not SETTINGS");
    }
  }

  #onHeaders(flags: number, streamId: number, payloadBytes: number, buffer: Buffer, start: number): void {
    if ((streamId & 1) === 0) {
      throw protocolError(`HEADERS on stream ${streamId}; clients open odd ones (RFC 9113 §5.1.1)`);
    }
    this.#onBlock(this.#blocks.headers(flags, streamId, payloadBytes, buffer, start));
  }

  #onBlock(block: HeaderBlock | undefined): void {
    if (block !== undefined) {
      this.#events.onHeaderBlock(block);
    }
  }

  #onSettings(flags: number, payloadBytes: number, buffer: Buffer, from: number): void {
    if ((flags & Flag.ACK) !== 0) {
      // Nothing waits for it: both sides are held to the router's SETTINGS from the beginning.
      requireLength(payloadBytes, 0);
      if (!this.#settingsSeen) {
        throw protocolError("the first frame is an acknowledgement");
      }
      return;
    }
    this.#rates.settings.take();
    this.#settingsSeen = true;
    this.#events.onSettings(parseSettings(buffer, from, from + payloadBytes));
  }

  #onWindowUpdate(streamId: number, incrementBytes: number): void {
    if (incrementBytes === 0) {
      // Whoever gets it must reset the stream (RFC 9113 §6.9): it is a reset by another name.
      this.#rates.resets.take();
    }
    this.#events.onWindowUpdate(streamId, incrementBytes);
  }

  #onGoAway(payloadBytes: number, buffer: Buffer, from: number): void {
    if (payloadBytes < 8) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY frame that is too short");
    }
    const debugEnd = Math.min(from + payloadBytes, from + 8 + MAX_DEBUG_BYTES);
    this.#events.onGoAway(
      buffer.readUInt32BE(from) & 0x7fff_ffff,
      buffer.toString("utf8", from + 8, debugEnd),
    );
  }

  #onPriority(streamId: number, dependency: number): void {
    this.#rates.dropped.take();
    if (dependency === streamId) {
      this.#events.onSelfDependency(streamId);
    }
  }
}

/** @throws Http2ConnectionError FRAME_SIZE_ERROR (RFC 9113 §4.2) */
function requireLength(payloadBytes: number, expectedBytes: number): void {
  if (payloadBytes !== expectedBytes) {
    throw new Http2ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      `a frame of ${payloadBytes} bytes whose type has ${expectedBytes}`,
    );
  }
}

function requireStream(streamId: number): void {
  if (streamId === 0) {
    throw protocolError("a frame without a stream whose type belongs to streams");
  }
}

function requireConnection(streamId: number): void {
  if (streamId !== 0) {
    throw protocolError("a frame on a stream whose type belongs to the connection");
  }
}
