import { Http2ConnectionError } from "../../http2/errors.ts";
import { settingsAckFrame, settingsFrame, type SettingEntry } from "../../http2/frame-writer.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES } from "../../http2/protocol.ts";
import { RequestEnd } from "./context.ts";
import { DataFrame } from "./data-frame.ts";
import type { Splice } from "./splice.ts";
import type { OpenStream } from "./stream-table.ts";
import type { UpstreamEvents } from "./upstream-frames.ts";

/** How the upstream half tells its connection what it cannot do itself. */
export interface UpstreamHalfPort {
  /** The VM's first SETTINGS are here: it can be spoken to. */
  onReady(): void;
  /** The client may send frames of another size. */
  onMaxFrameBytes(maxFrameBytes: number): void;
  /** Requests above this id will not be taken by the VM. */
  onGoAway(lastStreamId: number, errorCode: number, debug: string): void;
}

/**
 * Decides for every frame of the spliced VM: on to the client as it is, rewritten, or not. On a connection that is shared
 * with others its DATA is cut anew, as the client's window allows.
 */
export class UpstreamHalf implements UpstreamEvents {
  readonly #splice: Splice;
  readonly #port: UpstreamHalfPort;
  /** The DATA frame in hand, where it does not pass as it is. */
  #frame: DataFrame | undefined;
  /** The frames of the header block in hand. */
  readonly #block: Buffer[] = [];
  #blockEndsStream = false;
  #isGoodbyeSaid = false;

  constructor(splice: Splice, port: UpstreamHalfPort) {
    this.#splice = splice;
    this.#port = port;
  }

  /** The VM has said by GOAWAY that it goes away: its end is then no failure. */
  get isGoodbyeSaid(): boolean {
    return this.#isGoodbyeSaid;
  }

  onHeaders(
    streamId: number,
    isStart: boolean,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    this.#requireForwarded(streamId);
    const end = start + FRAME_HEADER_BYTES + payloadBytes;
    const isWhole = (flags & Flag.END_HEADERS) !== 0;
    if (isStart) {
      this.#blockEndsStream = (flags & Flag.END_STREAM) !== 0;
    }
    if (isStart && isWhole) {
      this.#onBlock(streamId, buffer, start, end);
      return;
    }
    // Nothing may come within a header block (RFC 9113 §4.3): it goes on when it is whole.
    this.#block.push(Buffer.from(buffer.subarray(start, end)));
    if (isWhole) {
      const frames = Buffer.concat(this.#block.splice(0));
      this.#onBlock(streamId, frames, 0, frames.length);
    }
  }

  #onBlock(streamId: number, buffer: Buffer, start: number, end: number): void {
    const open = this.#splice.streams.get(streamId);
    if (open !== undefined) {
      open.responseStarted = true;
    }
    this.#passBlock(streamId, buffer, start, end);
    if (open !== undefined && this.#blockEndsStream) {
      this.#end(open);
    }
  }

  /** The VM's encoder announces a reduced table itself. */
  #passBlock(streamId: number, buffer: Buffer, start: number, end: number): void {
    const { flow, settings, toClient } = this.#splice;
    if (flow.isShared) {
      const frames = Buffer.from(buffer.subarray(start, end));
      toClient.frames(streamId, () => {
        settings.takeTableAnnouncement();
        return frames;
      });
    } else {
      settings.takeTableAnnouncement();
      toClient.pass(buffer, start, end);
    }
  }

  onData(
    streamId: number,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { flow, streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    const from = start + FRAME_HEADER_BYTES;
    if (flow.isShared || end - from < payloadBytes) {
      this.#frame = new DataFrame(streamId, flags, payloadBytes);
      this.#onPart(this.#frame, buffer, from, end);
      return;
    }
    flow.onSplicedData(payloadBytes);
    toClient.pass(buffer, start, end);
    if ((flags & Flag.END_STREAM) !== 0) {
      const open = streams.get(streamId);
      if (open !== undefined) {
        this.#end(open);
      }
    }
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    if (this.#frame !== undefined) {
      this.#onPart(this.#frame, buffer, start, end);
    }
  }

  /** Passes the content of a part on as a frame of its own; on a shared connection as the client's window allows. */
  #onPart(frame: DataFrame, buffer: Buffer, start: number, end: number): void {
    const { flow, streams, toClient } = this.#splice;
    const { streamId } = frame;
    const content = frame.take(buffer, start, end);
    const paddingBytes = frame.isWhole ? frame.paddingBytes : 0;
    flow.onSplicedData(content.length + paddingBytes);
    if (flow.isShared) {
      flow.settleSpliced(paddingBytes);
      const endStream = frame.endStream && frame.isWhole;
      if (content.length > 0 || endStream) {
        toClient.content(streamId, content, endStream, (sizeBytes) => flow.settleSpliced(sizeBytes));
      }
    } else {
      toClient.passPart(frame, content);
    }
    const open = frame.isWhole && frame.endStream ? streams.get(streamId) : undefined;
    if (open !== undefined) {
      this.#end(open);
    }
  }

  onReset(streamId: number, buffer: Buffer, start: number, end: number): void {
    const { streams } = this.#splice;
    this.#requireForwarded(streamId);
    const open = streams.get(streamId);
    if (open !== undefined) {
      this.#countEnd(open);
      streams.reset(open);
    }
    this.#passOn(streamId, buffer, start, end);
  }

  onWindowUpdate(streamId: number, buffer: Buffer, start: number, end: number): void {
    if (streamId === 0) {
      const incrementBytes = buffer.readUInt32BE(start + FRAME_HEADER_BYTES) & 0x7fff_ffff;
      if (!this.#splice.flow.onSplicedGrant(incrementBytes)) {
        return;
      }
    } else {
      this.#requireForwarded(streamId);
    }
    this.#passOn(0, buffer, start, end);
  }

  onSettings(entries: readonly SettingEntry[]): void {
    const { settings, toClient } = this.#splice;
    const passed = settings.toClient(entries);
    if (!this.#splice.isSpliced) {
      this.#port.onReady();
    }
    toClient.inject(settingsFrame(passed));
    this.#port.onMaxFrameBytes(settings.maxFrameBytes);
  }

  onSettingsAck(): void {
    if (this.#splice.settings.onUpstreamAck()) {
      this.#splice.toClient.inject(settingsAckFrame());
    }
  }

  onPing(buffer: Buffer, start: number, end: number): void {
    this.#passOn(0, buffer, start, end);
  }

  onGoAway(lastStreamId: number, errorCode: number, debug: string): void {
    this.#isGoodbyeSaid = true;
    this.#port.onGoAway(lastStreamId, errorCode, debug);
  }

  /** Passes a whole frame on; on a shared connection behind what waits for its stream. */
  #passOn(streamId: number, buffer: Buffer, start: number, end: number): void {
    const { flow, toClient } = this.#splice;
    if (!flow.isShared) {
      toClient.pass(buffer, start, end);
    } else if (streamId === 0) {
      toClient.inject(Buffer.from(buffer.subarray(start, end)));
    } else {
      toClient.frames(streamId, Buffer.from(buffer.subarray(start, end)));
    }
  }

  #end(open: OpenStream): void {
    this.#countEnd(open);
    this.#splice.streams.endByUpstream(open);
  }

  #countEnd(open: OpenStream): void {
    if (!open.upstreamEnded) {
      this.#splice.onRequestEnd(RequestEnd.PASSED);
    }
  }

  /** The VM may speak of nothing but what it was asked. */
  #requireForwarded(streamId: number): void {
    if (streamId === 0 || (streamId & 1) === 0 || !this.#splice.streams.wasSpliced(streamId)) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `the VM sent a frame for stream ${streamId}, which it was never given`,
      );
    }
  }
}
