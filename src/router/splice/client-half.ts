import { Http2ConnectionError } from "../../http2/errors.ts";
import {
  goAwayFrame,
  pingFrame,
  rstStreamFrame,
  settingsAckFrame,
  settingsFrame,
  type SettingEntry,
} from "../../http2/frame-writer.ts";
import { requestProblem, trailersProblem } from "../../http2/header-rules.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, type ErrorCodeValue } from "../../http2/protocol.ts";
import type { ClientEvents } from "./client-frames.ts";
import { RequestEnd, type SpliceContext } from "./context.ts";
import { DataFrame } from "./data-frame.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { MappedLink } from "./mapped-link.ts";
import { BlockDecoder, writeBlock, type Block } from "./block.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { Splice } from "./splice.ts";
import type { OpenStream } from "./stream-table.ts";

/** RST_STREAM, WINDOW_UPDATE: header and four octets. PING: header and eight. */
const SHORT_FRAME_BYTES = FRAME_HEADER_BYTES + 4;
const PING_FRAME_BYTES = FRAME_HEADER_BYTES + 8;

/** How the client half tells its connection what it cannot do itself. */
export interface ClientHalfPort {
  /** Takes the client's answer to a PING of ours. Returns false if it is the answer to another's. */
  onPingAnswer(opaque: Buffer): boolean;
  /** A frame for a stream that is gone was dropped. */
  countDropped(): void;
  /** Links to further VMs. */
  mapped(): Iterable<MappedLink>;
}

/** Decides for every frame of the client: on to the VM, kept with a waiting request, answered, or dropped. */
export class ClientHalf implements ClientEvents {
  readonly #splice: Splice;
  readonly #desk: RequestDesk;
  readonly #context: SpliceContext;
  readonly #port: ClientHalfPort;
  readonly #decoder: BlockDecoder;
  /** The DATA frame in hand, where it came in parts. */
  #frame: DataFrame | undefined;
  #isGoodbyeSaid = false;
  /** Ids between these two were passed over last: they are closed, and nothing may come on them. */
  #skippedFrom = 0;
  #skippedTo = 0;

  constructor(splice: Splice, desk: RequestDesk, context: SpliceContext, port: ClientHalfPort) {
    this.#splice = splice;
    this.#desk = desk;
    this.#context = context;
    this.#port = port;
    this.#decoder = new BlockDecoder(
      { maxListBytes: context.limits.maxHeaderListBytes },
      context.scratch,
      requestProblem,
    );
  }

  /** The client has said by GOAWAY that it goes away: a VM's end is then no failure. */
  get isGoodbyeSaid(): boolean {
    return this.#isGoodbyeSaid;
  }

  onHeaderBlock(headerBlock: HeaderBlock): void {
    // Every block is decoded, wanted or not: the next one builds upon its table (RFC 7541 §2.2).
    const block = this.#decoder.decode(headerBlock);
    if (headerBlock.streamId > this.#splice.lastClientId) {
      this.#onRequest(headerBlock, block);
    } else {
      this.#onTrailers(headerBlock, block);
    }
    if (headerBlock.endStream) {
      this.#splice.streams.markClientDone(headerBlock.streamId);
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
    const { flow, streams, toUpstream } = this.#splice;
    flow.onClientData(payloadBytes);
    const from = start + FRAME_HEADER_BYTES;
    const open = streams.get(streamId);
    const isWhole = end - from === payloadBytes;
    if (open !== undefined && isWhole && (flags & Flag.PADDED) === 0) {
      this.#onWholeData(open, (flags & Flag.END_STREAM) !== 0, buffer, start, end);
    } else if (isWhole && open !== undefined && open.mapped === undefined) {
      flow.passToSpliced(payloadBytes);
      toUpstream.pass(buffer, start, end);
      this.#endByClient(open, (flags & Flag.END_STREAM) !== 0);
    } else {
      this.#requireOpen(streamId, open);
      this.#frame = new DataFrame(streamId, flags, payloadBytes);
      this.#onPart(this.#frame, buffer, from, end);
    }
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    if (this.#frame !== undefined) {
      this.#onPart(this.#frame, buffer, start, end);
    }
  }

  /** Content without padding for an open stream, whole: most of what comes. */
  #onWholeData(open: OpenStream, isLast: boolean, buffer: Buffer, start: number, end: number): void {
    const { flow, toUpstream } = this.#splice;
    const { mapped } = open;
    const from = start + FRAME_HEADER_BYTES;
    if (mapped === undefined) {
      flow.passToSpliced(end - from);
      toUpstream.pass(buffer, start, end);
    } else {
      requireUnended(open.clientEnded);
      // It is known before the content goes on: the window of what has ended needs not be given back.
      open.clientEnded = isLast;
      mapped.onContent(buffer.subarray(from, end), isLast);
    }
    this.#endByClient(open, isLast);
  }

  /** @throws Http2ConnectionError for DATA on a stream on which none may come */
  #requireOpen(streamId: number, open: OpenStream | undefined): void {
    if (open !== undefined) {
      requireUnended(open.mapped !== undefined && open.clientEnded);
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      requireUnended(held.clientEnded);
      return;
    }
    this.#requireNotDone(streamId);
    if (!this.#passesClosed(streamId)) {
      this.#port.countDropped();
    }
  }

  /**
   * Takes a part of a DATA frame. Where it goes is looked up for each part: its request may have been let go since the last
   * one, have ended, or have lost its VM.
   */
  #onPart(frame: DataFrame, buffer: Buffer, start: number, end: number): void {
    const { flow, streams, toUpstream } = this.#splice;
    const { streamId } = frame;
    const content = frame.take(buffer, start, end);
    const paddingBytes = end - start - content.length;
    const isLast = frame.endStream && frame.isWhole;
    const open = streams.get(streamId);
    const held = open === undefined ? this.#desk.held.get(streamId) : undefined;
    if (open?.mapped !== undefined) {
      if (paddingBytes > 0) {
        open.mapped.onPadding(paddingBytes);
      }
      open.clientEnded = isLast;
      open.mapped.onContent(content, isLast);
    } else if (held !== undefined) {
      flow.refund(paddingBytes);
      flow.refund(paddingBytes, streamId);
      this.#desk.held.content(held, content);
      held.clientEnded = isLast;
    } else if (open !== undefined || this.#passesClosed(streamId)) {
      flow.passToSpliced(content.length + (frame.isWhole ? frame.paddingBytes : 0));
      frame.write(toUpstream, content);
    } else {
      flow.refund(end - start);
    }
    if (open !== undefined) {
      this.#endByClient(open, isLast);
    }
  }

  #endByClient(open: OpenStream, isLast: boolean): void {
    if (isLast) {
      this.#splice.streams.endByClient(open);
      this.#splice.streams.markClientDone(open.id);
    }
  }

  onReset(streamId: number, buffer: Buffer, start: number): void {
    const { streams, toUpstream } = this.#splice;
    const open = streams.get(streamId);
    streams.markClientDone(streamId);
    if (open !== undefined) {
      if (!open.upstreamEnded) {
        this.#splice.onRequestEnd(RequestEnd.CANCELLED);
      }
      if (open.mapped === undefined) {
        toUpstream.pass(buffer, start, start + SHORT_FRAME_BYTES);
      } else {
        open.mapped.onReset(buffer.readUInt32BE(start + FRAME_HEADER_BYTES));
      }
      this.#splice.toClient.drop(streamId);
      streams.reset(open);
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      this.#splice.onRequestEnd(RequestEnd.CANCELLED);
      this.#desk.cancel(held);
    } else if (this.#passesClosed(streamId)) {
      toUpstream.pass(buffer, start, start + SHORT_FRAME_BYTES);
    }
  }

  onWindowUpdate(streamId: number, incrementBytes: number, buffer: Buffer, start: number): void {
    const splice = this.#splice;
    if (streamId === 0) {
      if (splice.flow.onClientGrant(incrementBytes)) {
        splice.toUpstream.pass(buffer, start, start + SHORT_FRAME_BYTES);
      }
      splice.toClient.settle();
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      if (!this.#desk.held.grant(held, incrementBytes)) {
        const isZero = incrementBytes === 0;
        this.#desk.reset(held, isZero ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FLOW_CONTROL_ERROR);
      }
      return;
    }
    const mapped = splice.streams.get(streamId)?.mapped;
    if (mapped !== undefined) {
      if (incrementBytes === 0) {
        this.#resetBoth(streamId, ErrorCode.PROTOCOL_ERROR);
      } else {
        mapped.onGrant(incrementBytes);
      }
    } else if (splice.streams.get(streamId) !== undefined || this.#passesClosed(streamId)) {
      splice.toUpstream.pass(buffer, start, start + SHORT_FRAME_BYTES);
    } else {
      this.#port.countDropped();
    }
  }

  onSelfDependency(streamId: number): void {
    const held = this.#desk.held.get(streamId);
    const open = this.#splice.streams.get(streamId);
    if (held !== undefined) {
      this.#desk.reset(held, ErrorCode.PROTOCOL_ERROR);
    } else if (open !== undefined) {
      this.#resetBoth(streamId, ErrorCode.PROTOCOL_ERROR);
    } else {
      this.#splice.resetStream(streamId, ErrorCode.PROTOCOL_ERROR);
    }
  }

  onSettings(entries: readonly SettingEntry[]): void {
    const { settings, state, toClient, toUpstream } = this.#splice;
    const windowBytes = settings.clientWindowBytes;
    if (state === "spliced") {
      toUpstream.add(settingsFrame(settings.toUpstream(entries)));
    } else {
      if (state === "none") {
        settings.record(entries);
      } else {
        settings.adopt(entries);
      }
      toClient.inject(settingsAckFrame());
    }
    for (const link of this.#port.mapped()) {
      // A window that became smaller is so for the VM when it hears of it.
      link.onClientSettings(Math.max(0, settings.clientWindowBytes - windowBytes));
    }
  }

  onSettingsAck(): void {
    if (this.#splice.settings.onClientAck()) {
      this.#splice.toUpstream.add(settingsAckFrame());
    }
  }

  onPing(isAck: boolean, buffer: Buffer, start: number): void {
    const opaque = buffer.subarray(start + FRAME_HEADER_BYTES, start + PING_FRAME_BYTES);
    if (isAck && this.#port.onPingAnswer(opaque)) {
      return;
    }
    const { flow, isSpliced, toClient, toUpstream } = this.#splice;
    // Clients ping when DATA comes (grpc-go, to measure the bandwidth). A VM that did not send it would call that too many.
    if (isSpliced && (isAck || !flow.isShared)) {
      toUpstream.pass(buffer, start, start + PING_FRAME_BYTES);
    } else if (!isAck) {
      toClient.inject(pingFrame(opaque, true));
    }
  }

  onGoAway(errorCode: number): void {
    // Its last stream id speaks of streams that a server opens: there are none.
    this.#isGoodbyeSaid = true;
    if (this.#splice.isSpliced) {
      this.#splice.toUpstream.add(goAwayFrame(0, errorCode));
    }
  }

  #onRequest({ streamId, endStream, dependsOnItself }: HeaderBlock, block: Block): void {
    const splice = this.#splice;
    if (streamId > splice.lastClientId + 2) {
      this.#skippedFrom = splice.lastClientId + 1;
      this.#skippedTo = streamId;
    }
    splice.lastClientId = streamId;
    if (streamId > splice.goAwayLimit) {
      this.#port.countDropped();
      return;
    }
    if (dependsOnItself || (block.problem !== undefined && !block.tooLarge)) {
      this.#context.logger.debug("malformed request", { streamId, problem: block.problem });
      splice.streams.markUnforwarded(streamId);
      splice.resetStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    if (this.#hasTooMany()) {
      splice.streams.markUnforwarded(streamId);
      splice.resetStream(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    this.#desk.request(streamId, block, endStream);
  }

  /**
   * Streams of the spliced VM are that VM's to count. A client that has not read our SETTINGS yet may take any number for
   * allowed (RFC 9113 §6.5.2).
   */
  #hasTooMany(): boolean {
    const { isSpliced, settings, streams } = this.#splice;
    const waiting = this.#desk.held.size;
    const knowsLimit = !isSpliced && settings.isOwnAcknowledged;
    return (
      waiting >= this.#context.limits.maxWaitingRequests ||
      (knowsLimit && waiting + streams.mapped >= settings.toldMaxStreams)
    );
  }

  #onTrailers({ streamId, endStream }: HeaderBlock, block: Block): void {
    const { streams, toUpstream } = this.#splice;
    const isMalformed = block.tooLarge || trailersProblem(block.fields) !== undefined;
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      if (held.clientEnded) {
        this.#desk.reset(held, ErrorCode.STREAM_CLOSED);
      } else if (isMalformed || !endStream) {
        this.#desk.reset(held, ErrorCode.PROTOCOL_ERROR);
      } else {
        this.#desk.held.trailers(held, block);
      }
      return;
    }
    const open = streams.get(streamId);
    if (open !== undefined && open.clientEnded) {
      this.#resetBoth(streamId, ErrorCode.STREAM_CLOSED);
    } else if (open !== undefined && (isMalformed || !endStream)) {
      this.#resetBoth(streamId, ErrorCode.PROTOCOL_ERROR);
    } else if (open !== undefined) {
      if (open.mapped === undefined) {
        writeBlock(toUpstream, streamId, block, endStream, open.admission);
      } else {
        open.clientEnded = true;
        open.mapped.onTrailers(block);
      }
      streams.endByClient(open);
    } else {
      // Trailers for a stream that the VM has reset meanwhile: nobody waits for them.
      this.#requireNotDone(streamId);
      this.#requireNotSkipped(streamId);
      this.#port.countDropped();
    }
  }

  #resetBoth(streamId: number, errorCode: ErrorCodeValue): void {
    const { streams, toUpstream } = this.#splice;
    const open = streams.get(streamId);
    if (open !== undefined) {
      if (open.mapped === undefined) {
        toUpstream.add(rstStreamFrame(streamId, errorCode));
      } else {
        open.mapped.onReset(errorCode);
      }
      streams.reset(open);
      this.#splice.resetStream(streamId, errorCode);
    }
  }

  /** @throws Http2ConnectionError STREAM_CLOSED for a stream that the client has ended itself (RFC 9113 §5.1) */
  #requireNotDone(streamId: number): void {
    if (this.#splice.streams.isClientDone(streamId)) {
      throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, `a frame behind the end of stream ${streamId}`);
    }
  }

  /** @throws Http2ConnectionError PROTOCOL_ERROR for an id below one that was used (RFC 9113 §5.1.1) */
  #requireNotSkipped(streamId: number): void {
    if (streamId > this.#skippedFrom && streamId < this.#skippedTo) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `stream ${streamId} was passed over`);
    }
  }

  /**
   * Whether a frame for a stream that is neither open nor waiting goes to the VM: it does if the VM knew the
   * stream, whose windows and errors are the VM's affair to the end.
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR for a stream that was never opened (RFC 9113 §5.1, "idle")
   */
  #passesClosed(streamId: number): boolean {
    if (streamId > this.#splice.lastClientId || (streamId & 1) === 0) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `a frame for the idle stream ${streamId}`);
    }
    return this.#splice.isSpliced && this.#splice.streams.wasSpliced(streamId);
  }
}

/** @throws Http2ConnectionError STREAM_CLOSED for DATA behind END_STREAM (RFC 9113 §5.1) */
function requireUnended(hasEnded: boolean): void {
  if (hasEnded) {
    throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, "DATA behind the end of a request");
  }
}
