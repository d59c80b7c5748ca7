import { SatelliteError } from "../../base/errors.ts";
import type { Upstream } from "../engine.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import {
  pingFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  type SettingEntry,
} from "../http2/frame-writer.ts";
import { HpackDecoder } from "../http2/hpack-decoder.ts";
import {
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  MAX_31_BIT,
  Setting,
  CLIENT_PREFACE,
} from "../http2/protocol.ts";
import { RequestEnd, type SpliceContext } from "./context.ts";
import { DataContent } from "./data-content.ts";
import { HeaderBlockAssembler, type HeaderBlock } from "./header-block.ts";
import type { CallLink, MappedCall } from "./mapped-call.ts";
import { Outbox } from "./outbox.ts";
import type { Splice } from "./splice.ts";
import { encodeBlock, headerFrames } from "./stateless-block.ts";
import type { UpstreamEvents } from "./upstream-frames.ts";
import { UpstreamLink, type LinkEvents } from "./upstream-link.ts";

/** The VM is granted window anew when it has used this much of the initial one. */
const GRANT_BYTES = 16 * 1024;
/** Room that a VM's header blocks may take, decoded. */
const MAX_RESPONSE_LIST_BYTES = 2 * 1024 * 1024;

/** What a mapped link tells its connection, besides {@link LinkEvents}. */
export interface MappedLinkPort {
  readonly events: LinkEvents;
  /** The VM's first SETTINGS are here: it can be given requests. */
  onReady(link: MappedLink): void;
}

/**
 * A connection to a VM beside the spliced one, for single streams of a client's connection: their ids, windows and header
 * blocks are rewritten, so that they fit among the others. Stream windows for answers stay an affair between client and VM.
 */
export class MappedLink implements CallLink, UpstreamEvents {
  readonly upstream: Upstream;
  readonly link: UpstreamLink;
  readonly #splice: Splice;
  readonly #port: MappedLinkPort;
  readonly #out: Outbox;
  readonly #decoder: HpackDecoder;
  readonly #blocks: HeaderBlockAssembler;
  readonly #calls = new Map<number, MappedCall>();
  #nextId = 1;
  #isReady = false;
  #isGoingAway = false;
  #farewell = "";
  #sendWindowBytes = DEFAULT_WINDOW_BYTES;
  #streamWindowBytes = DEFAULT_WINDOW_BYTES;
  #maxStreams = MAX_31_BIT;
  #dueBytes = 0;
  /** The DATA frame in hand, and the call that it belongs to. */
  #content: { readonly reader: DataContent; readonly call: MappedCall | undefined } | undefined;

  constructor(upstream: Upstream, splice: Splice, context: SpliceContext, port: MappedLinkPort) {
    const { clock, dial, limits, memory, scratch, slabs } = context;
    this.upstream = upstream;
    this.#splice = splice;
    this.#port = port;
    this.#out = new Outbox(slabs);
    this.#decoder = new HpackDecoder({ maxListBytes: MAX_RESPONSE_LIST_BYTES }, scratch);
    this.#blocks = new HeaderBlockAssembler({
      maxHeaderBlockBytes: limits.maxResponseBlockBytes,
      maxContinuations: limits.maxResponseContinuations,
    });
    const settings = settingsFrame(splice.settings.forMapped());
    const wire = dial(upstream, memory, (open) => open.writeAll([CLIENT_PREFACE, settings]));
    this.link = new UpstreamLink(upstream, wire, this, port.events, limits, clock);
  }

  /** Whether the VM has sent its SETTINGS. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether the VM takes no new requests on this connection. */
  get isGoingAway(): boolean {
    return this.#isGoingAway;
  }

  /** What the VM said when it went away. */
  get farewell(): string {
    return this.#farewell;
  }

  /** Whether one more request may be given to the VM now. */
  get canTake(): boolean {
    return this.#isReady && !this.#isGoingAway && this.#calls.size < this.#maxStreams;
  }

  /** Streams that are open here. */
  get size(): number {
    return this.#calls.size;
  }

  get unsentBytes(): number {
    return this.link.wire.unsentBytes;
  }

  get out(): Outbox {
    return this.#out;
  }

  get sendWindowBytes(): number {
    return this.#sendWindowBytes;
  }

  get streamWindowBytes(): number {
    return this.#streamWindowBytes;
  }

  add(call: MappedCall): number {
    const linkId = this.#nextId;
    this.#nextId += 2;
    this.#calls.set(linkId, call);
    return linkId;
  }

  remove(linkId: number): void {
    this.#calls.delete(linkId);
  }

  charge(sizeBytes: number): void {
    this.#sendWindowBytes -= sizeBytes;
  }

  /** The client has new SETTINGS: so has the VM. */
  onClientSettings(): void {
    this.#out.add(settingsFrame(this.#splice.settings.forMapped()));
  }

  /** Sends what waits for the VM's windows, and writes. */
  flush(): void {
    if (!this.#isReady) {
      return;
    }
    for (const call of this.#calls.values()) {
      call.pump();
    }
    if (this.#dueBytes >= GRANT_BYTES) {
      this.#out.add(windowUpdateFrame(0, this.#dueBytes));
      this.#dueBytes = 0;
    }
    if (!this.#out.isEmpty) {
      this.#out.flush(this.link.wire);
    }
  }

  /** All calls; ending them meanwhile is allowed. */
  calls(): MappedCall[] {
    return [...this.#calls.values()];
  }

  onSettings(entries: readonly SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (id === Setting.INITIAL_WINDOW_SIZE) {
        const deltaBytes = value - this.#streamWindowBytes;
        this.#streamWindowBytes = value;
        for (const call of this.#calls.values()) {
          call.widen(deltaBytes);
        }
      } else if (id === Setting.MAX_CONCURRENT_STREAMS) {
        this.#maxStreams = value;
      }
    }
    this.#out.add(settingsAckFrame());
    if (!this.#isReady) {
      this.#isReady = true;
      this.#port.onReady(this);
    }
  }

  onSettingsAck(): void {
    // The router has acknowledged them to the client already.
  }

  onPing(buffer: Buffer, start: number, end: number): void {
    if (((buffer[start + 4] ?? 0) & Flag.ACK) === 0) {
      this.#out.add(pingFrame(buffer.subarray(start + FRAME_HEADER_BYTES, end), true));
    }
  }

  onGoAway(lastStreamId: number, _errorCode: number, debug: string): void {
    this.#isGoingAway = true;
    this.#farewell = debug;
    for (const [linkId, call] of this.#calls) {
      if (linkId > lastStreamId) {
        this.#calls.delete(linkId);
        call.endByVm(ErrorCode.REFUSED_STREAM);
      }
    }
  }

  onWindowUpdate(linkId: number, buffer: Buffer, start: number): void {
    const incrementBytes = buffer.readUInt32BE(start + FRAME_HEADER_BYTES) & 0x7fff_ffff;
    if (incrementBytes === 0 || this.#sendWindowBytes + incrementBytes > MAX_31_BIT) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a WINDOW_UPDATE out of range");
    }
    if (linkId === 0) {
      this.#sendWindowBytes += incrementBytes;
    } else {
      this.#require(linkId)?.widen(incrementBytes);
    }
  }

  onHeaders(
    linkId: number,
    isStart: boolean,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    const block = isStart
      ? this.#blocks.headers(flags, linkId, payloadBytes, buffer, start)
      : this.#blocks.continuation(flags, payloadBytes, buffer, start);
    if (block !== undefined) {
      this.#onBlock(block);
    }
  }

  #onBlock(headerBlock: HeaderBlock): void {
    const { fields, neverIndexed, tooLarge } = this.#decoder.decode(
      headerBlock.buffer,
      headerBlock.from,
      headerBlock.to,
    );
    const call = this.#require(headerBlock.streamId);
    if (call === undefined) {
      return;
    }
    if (tooLarge) {
      throw new SatelliteError(
        "MetadataTooLarge",
        `${this.upstream.satellite} answers with too much metadata`,
      );
    }
    const { settings, toClient } = this.#splice;
    const { endStream } = headerBlock;
    toClient.frames(call.id, () => {
      const block = encodeBlock(fields, { neverIndexed, tableSizeBytes: settings.takeTableAnnouncement() });
      return headerFrames(call.id, block, endStream);
    });
    call.open.responseStarted = true;
    if (endStream) {
      this.#end(call);
    }
  }

  onData(
    linkId: number,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const call = this.#require(linkId);
    const reader = new DataContent(flags, payloadBytes);
    this.#content = { reader, call };
    this.#onContent(buffer, start + FRAME_HEADER_BYTES, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    this.#onContent(buffer, start, end);
  }

  #onContent(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined) {
      return;
    }
    const { reader, call } = this.#content;
    const content = reader.take(buffer, start, end);
    const { flow, toClient } = this.#splice;
    if (call === undefined || call.isForgotten) {
      this.#dueBytes += end - start;
      return;
    }
    this.#dueBytes += end - start - content.length;
    const endStream = reader.endStream && reader.isWhole;
    if (content.length > 0 || endStream) {
      flow.share();
      toClient.content(call.id, content, endStream, (sizeBytes) => {
        this.#dueBytes += sizeBytes;
      });
    }
    if (endStream) {
      this.#end(call);
    }
  }

  onReset(linkId: number, buffer: Buffer, start: number): void {
    const call = this.#require(linkId);
    if (call !== undefined) {
      this.#calls.delete(linkId);
      call.endByVm(buffer.readUInt32BE(start + FRAME_HEADER_BYTES));
    }
  }

  #end(call: MappedCall): void {
    this.#splice.onRequestEnd(RequestEnd.PASSED);
    this.#splice.streams.endByUpstream(call.open);
    call.removeIfDone();
  }

  /**
   * The call of a stream, unless it is over.
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR: the VM may speak of nothing but what it was asked
   */
  #require(linkId: number): MappedCall | undefined {
    if (linkId === 0 || (linkId & 1) === 0 || linkId >= this.#nextId) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `the VM sent a frame for stream ${linkId}, which it was never given`,
      );
    }
    return this.#calls.get(linkId);
  }
}
