import { Http2ConnectionError } from "../http2/errors.ts";
import { settingsAckFrame, settingsFrame, type SettingEntry } from "../http2/frame-writer.ts";
import { ErrorCode } from "../http2/protocol.ts";
import { RequestEnd } from "./context.ts";
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
  onGoAway(lastStreamId: number): void;
}

/** Decides for every frame of the VM: on to the client as it is, rewritten, or not. */
export class UpstreamHalf implements UpstreamEvents {
  readonly #splice: Splice;
  readonly #port: UpstreamHalfPort;

  constructor(splice: Splice, port: UpstreamHalfPort) {
    this.#splice = splice;
    this.#port = port;
  }

  onHeaders(
    streamId: number,
    isStart: boolean,
    endStream: boolean,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { settings, streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    if (isStart) {
      // The VM's encoder announces a reduced table itself.
      settings.takeTableAnnouncement();
      const open = streams.get(streamId);
      if (open !== undefined) {
        open.responseStarted = true;
        if (endStream) {
          this.#end(open);
        }
      }
    }
    toClient.pass(buffer, start, end);
    toClient.settle();
  }

  onData(streamId: number, endStream: boolean, buffer: Buffer, start: number, end: number): void {
    const { streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    if (endStream) {
      const open = streams.get(streamId);
      if (open !== undefined) {
        this.#end(open);
      }
    }
    toClient.pass(buffer, start, end);
    toClient.settle();
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    this.#splice.toClient.pass(buffer, start, end);
    this.#splice.toClient.settle();
  }

  onReset(streamId: number, buffer: Buffer, start: number, end: number): void {
    const { streams, toClient } = this.#splice;
    this.#requireForwarded(streamId);
    const open = streams.get(streamId);
    if (open !== undefined) {
      this.#countEnd(open);
      streams.reset(open);
    }
    toClient.pass(buffer, start, end);
    toClient.settle();
  }

  onWindowUpdate(streamId: number, buffer: Buffer, start: number, end: number): void {
    if (streamId !== 0) {
      this.#requireForwarded(streamId);
    }
    this.#splice.toClient.pass(buffer, start, end);
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
    this.#splice.toClient.pass(buffer, start, end);
    this.#splice.toClient.settle();
  }

  onGoAway(lastStreamId: number, errorCode: number, debug: string): void {
    this.#splice.isGoodbyeSaid = true;
    this.#splice.goAway(lastStreamId, errorCode, debug);
    this.#port.onGoAway(lastStreamId);
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
    if (streamId === 0 || (streamId & 1) === 0 || !this.#splice.streams.wasForwarded(streamId)) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `the VM sent a frame for stream ${streamId}, which it was never given`,
      );
    }
  }
}
