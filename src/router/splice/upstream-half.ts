import { Http2ConnectionError } from "../http2/errors.ts";
import { settingsAckFrame, settingsFrame, type SettingEntry } from "../http2/frame-writer.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES } from "../http2/protocol.ts";
import { RequestEnd } from "./context.ts";
import { DataContent } from "./data-content.ts";
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
 * with others its DATA is cut anew, as the client's window allows, and its header blocks wait until they are whole.
 */
export class UpstreamHalf implements UpstreamEvents {
  readonly #splice: Splice;
  readonly #port: UpstreamHalfPort;
  /** The DATA frame in hand on a shared connection; undefined while it passes as it is. */
  #content: { readonly reader: DataContent; readonly streamId: number } | undefined;
  /** The header block in hand on a shared connection. */
  #block: Buffer[] | undefined;
  #isGoodbyeSaid = false;

  constructor(splice: Splice, port: UpstreamHalfPort) {
    this.#splice = splice;
    this.#port = port;
  }

  /** The VM has said by GOAWAY that it goes away: its end is then no failure. */
  get isGoodbyeSaid(): boolean {
    return this.#isGoodbyeSaid;
  }

  /** Whether what the VM has sent in part of a frame or block is being kept or cut anew, so that others may come between. */
  get isCut(): boolean {
    return this.#content !== undefined || this.#block !== undefined;
  }

  onHeaders(
    streamId: number,
    isStart: boolean,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    const { flow, streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    if (isStart) {
      this.#content = undefined;
      this.#block = flow.isShared ? [] : undefined;
      const open = streams.get(streamId);
      if (open !== undefined) {
        open.responseStarted = true;
        if ((flags & Flag.END_STREAM) !== 0) {
          this.#end(open);
        }
      }
    }
    const end = start + FRAME_HEADER_BYTES + payloadBytes;
    if (this.#block !== undefined) {
      this.#onBlockPart(streamId, flags, buffer.subarray(start, end));
      return;
    }
    if (isStart) {
      // The VM's encoder announces a reduced table itself.
      this.#splice.settings.takeTableAnnouncement();
    }
    toClient.pass(buffer, start, end);
    toClient.settle();
  }

  #onBlockPart(streamId: number, flags: number, frame: Uint8Array): void {
    this.#block?.push(Buffer.from(frame));
    if ((flags & Flag.END_HEADERS) !== 0) {
      const frames = Buffer.concat(this.#block ?? []);
      this.#block = undefined;
      this.#splice.toClient.frames(streamId, () => {
        this.#splice.settings.takeTableAnnouncement();
        return frames;
      });
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
    if ((flags & Flag.END_STREAM) !== 0) {
      const open = streams.get(streamId);
      if (open !== undefined) {
        this.#end(open);
      }
    }
    flow.onSplicedData(payloadBytes);
    if (flow.isShared) {
      this.#content = { reader: new DataContent(flags, payloadBytes), streamId };
      this.#cut(buffer, start + FRAME_HEADER_BYTES, end);
      return;
    }
    this.#content = undefined;
    toClient.pass(buffer, start, end);
    toClient.settle();
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    if (this.#content !== undefined) {
      this.#cut(buffer, start, end);
      return;
    }
    this.#splice.toClient.pass(buffer, start, end);
    this.#splice.toClient.settle();
  }

  /** Passes the content of a part on as a frame of its own. */
  #cut(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined) {
      return;
    }
    const { flow, toClient } = this.#splice;
    const { reader, streamId } = this.#content;
    const content = reader.take(buffer, start, end);
    flow.settleSpliced(end - start - content.length);
    const endStream = reader.endStream && reader.isWhole;
    if (content.length > 0 || endStream) {
      toClient.content(streamId, content, endStream, (sizeBytes) => flow.settleSpliced(sizeBytes));
    }
  }

  onReset(streamId: number, buffer: Buffer, start: number, end: number): void {
    const { streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    const open = streams.get(streamId);
    if (open !== undefined) {
      this.#countEnd(open);
      streams.reset(open);
    }
    this.#passOn(streamId, buffer, start, end);
    toClient.settle();
  }

  onWindowUpdate(streamId: number, buffer: Buffer, start: number, end: number): void {
    if (streamId === 0) {
      this.#splice.flow.onSplicedGrant(buffer.readUInt32BE(start + FRAME_HEADER_BYTES) & 0x7fff_ffff);
    } else {
      this.#requireForwarded(streamId);
    }
    this.#passOn(0, buffer, start, end);
    this.#splice.toClient.settle();
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
    this.#splice.toClient.settle();
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
