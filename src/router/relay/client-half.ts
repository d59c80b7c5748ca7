import { Http2ConnectionError } from "../../http2/errors.ts";
import { pingFrame, settingsAckFrame, type SettingEntry } from "../../http2/frame-writer.ts";
import { requestProblem, trailersProblem } from "../../http2/header-rules.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, type ErrorCodeValue } from "../../http2/protocol.ts";
import type { PeerEvents } from "./peer-frames.ts";
import { RequestEnd, type RelayContext } from "./context.ts";
import { DataFrame } from "./data-frame.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { VmLink } from "./vm-link.ts";
import { BlockDecoder, type Block } from "./block.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { ClientSession } from "./client-session.ts";
import type { OpenStream } from "./stream-table.ts";

/** How the client half tells its connection what it cannot do itself. */
export interface ClientHalfPort {
  /** The client answers a PING. */
  onPingAnswer(opaque: Buffer): void;
  /** A frame for a stream that is gone was dropped. */
  countDropped(): void;
  /** Links to VMs. */
  links(): Iterable<VmLink>;
}

/** Decides for every frame of the client: on to its VM, kept with a waiting request, answered, or dropped. */
export class ClientHalf implements PeerEvents {
  readonly #session: ClientSession;
  readonly #desk: RequestDesk;
  readonly #context: RelayContext;
  readonly #port: ClientHalfPort;
  readonly #decoder: BlockDecoder;
  /** The DATA frame in hand, where it came in parts. */
  #frame: DataFrame | undefined;
  /** Ids between these two were passed over last: they are closed, and nothing may come on them. */
  #skippedFrom = 0;
  #skippedTo = 0;

  constructor(session: ClientSession, desk: RequestDesk, context: RelayContext, port: ClientHalfPort) {
    this.#session = session;
    this.#desk = desk;
    this.#context = context;
    this.#port = port;
    this.#decoder = new BlockDecoder(
      { maxListBytes: context.limits.maxHeaderListBytes },
      context.scratch,
      requestProblem,
    );
  }

  onHeaderBlock(headerBlock: HeaderBlock): void {
    // Every block is decoded, wanted or not: the next one builds upon its table (RFC 7541 §2.2).
    const block = this.#decoder.decode(headerBlock);
    if (headerBlock.streamId > this.#session.lastClientId) {
      this.#onRequest(headerBlock, block);
    } else {
      this.#onTrailers(headerBlock, block);
    }
    if (headerBlock.endStream) {
      this.#session.streams.markClientDone(headerBlock.streamId);
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
    const { flow, streams } = this.#session;
    flow.onClientData(payloadBytes);
    const from = start + FRAME_HEADER_BYTES;
    const open = streams.get(streamId);
    if (open !== undefined && end - from === payloadBytes && (flags & Flag.PADDED) === 0) {
      // Content without padding for an open stream, whole: most of what comes.
      requireUnended(open.clientEnded);
      this.#passFrame(open, buffer, start, end, (flags & Flag.END_STREAM) !== 0);
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

  #passFrame(open: OpenStream, buffer: Buffer, start: number, end: number, isLast: boolean): void {
    // It is known before the content goes on: the window of what has ended needs not be given back.
    open.clientEnded = isLast;
    if (!open.sink.onFrame(buffer, start, end, isLast)) {
      open.sink.onContent(buffer.subarray(start + FRAME_HEADER_BYTES, end), isLast);
    }
    this.#noteContent(open, isLast);
  }

  #passContent(open: OpenStream, content: Buffer, isLast: boolean): void {
    open.clientEnded = isLast;
    open.sink.onContent(content, isLast);
    this.#noteContent(open, isLast);
  }

  #noteContent(open: OpenStream, isLast: boolean): void {
    if (isLast) {
      this.#session.streams.endByClient(open);
      this.#session.streams.markClientDone(open.id);
    }
  }

  /** @throws Http2ConnectionError for DATA on a stream on which none may come */
  #requireOpen(streamId: number, open: OpenStream | undefined): void {
    if (open !== undefined) {
      requireUnended(open.clientEnded);
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      requireUnended(held.clientEnded);
      return;
    }
    this.#requireNotDone(streamId);
    this.#requireNotIdle(streamId);
    this.#port.countDropped();
  }

  /**
   * Takes a part of a DATA frame. Where it goes is looked up for each part: its request may have been let go since the last
   * one, have ended, or have lost its VM.
   */
  #onPart(frame: DataFrame, buffer: Buffer, start: number, end: number): void {
    const { flow, streams } = this.#session;
    const { streamId } = frame;
    const content = frame.take(buffer, start, end);
    const paddingBytes = end - start - content.length;
    const isLast = frame.endStream && frame.isWhole;
    const open = streams.get(streamId);
    const held = open === undefined ? this.#desk.held.get(streamId) : undefined;
    if (open !== undefined) {
      if (paddingBytes > 0) {
        open.sink.onPadding(paddingBytes);
      }
      this.#passContent(open, content, isLast);
    } else if (held !== undefined) {
      flow.refund(paddingBytes);
      flow.refund(paddingBytes, streamId);
      this.#desk.held.content(held, content);
      held.clientEnded = isLast;
    } else {
      flow.refund(end - start);
    }
  }

  onReset(streamId: number, errorCode: number): void {
    const { streams } = this.#session;
    const open = streams.get(streamId);
    streams.markClientDone(streamId);
    if (open !== undefined) {
      open.sink.onReset(errorCode);
      this.#session.toClient.drop(streamId);
      streams.reset(open, RequestEnd.CANCELLED);
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      this.#desk.cancel(held);
    } else {
      this.#requireNotIdle(streamId);
    }
  }

  onWindowUpdate(streamId: number, incrementBytes: number): void {
    const { flow, streams, toClient } = this.#session;
    if (streamId === 0) {
      flow.onClientGrant(incrementBytes);
      toClient.settle();
      return;
    }
    const open = streams.get(streamId);
    if (open !== undefined) {
      if (incrementBytes === 0) {
        this.#resetBoth(streamId, ErrorCode.PROTOCOL_ERROR);
      } else {
        open.sink.onGrant(incrementBytes);
      }
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held === undefined) {
      this.#requireNotIdle(streamId);
      this.#port.countDropped();
    } else if (!this.#desk.held.grant(held, incrementBytes)) {
      const isZero = incrementBytes === 0;
      this.#desk.reset(held, isZero ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FLOW_CONTROL_ERROR);
    }
  }

  onSelfDependency(streamId: number): void {
    const held = this.#desk.held.get(streamId);
    const open = this.#session.streams.get(streamId);
    if (held !== undefined) {
      this.#desk.reset(held, ErrorCode.PROTOCOL_ERROR);
    } else if (open !== undefined) {
      this.#resetBoth(streamId, ErrorCode.PROTOCOL_ERROR);
    } else {
      this.#session.resetStream(streamId, ErrorCode.PROTOCOL_ERROR);
    }
  }

  onSettings(entries: readonly SettingEntry[]): void {
    const { settings, toClient } = this.#session;
    const windowBytes = settings.clientWindowBytes;
    settings.adopt(entries);
    toClient.inject(settingsAckFrame());
    for (const link of this.#port.links()) {
      link.onClientSettings(settings.clientWindowBytes - windowBytes);
    }
  }

  onGoAway(): void {
    // Its last stream id speaks of streams that a server opens: there are none. What is open is still answered.
  }

  onPing(isAck: boolean, opaque: Buffer): void {
    if (isAck) {
      this.#port.onPingAnswer(opaque);
    } else {
      this.#session.toClient.inject(pingFrame(opaque, true));
    }
  }

  #onRequest({ streamId, endStream, dependsOnItself }: HeaderBlock, block: Block): void {
    const session = this.#session;
    if (streamId > session.lastClientId + 2) {
      this.#skippedFrom = session.lastClientId + 1;
      this.#skippedTo = streamId;
    }
    session.lastClientId = streamId;
    if (streamId > session.goAwayLimit) {
      this.#port.countDropped();
      return;
    }
    if (dependsOnItself || (block.problem !== undefined && !block.tooLarge)) {
      this.#context.logger.debug("malformed request", { streamId, problem: block.problem });
      session.resetStream(streamId, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    if (this.#hasTooMany()) {
      session.resetStream(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    this.#desk.request(streamId, block, endStream);
  }

  /**
   * A client that has not read our SETTINGS yet is held to them, too: it can send again what is refused (RFC 9113 §8.7), and one
   * that never acknowledges them would be held to nothing.
   */
  #hasTooMany(): boolean {
    return this.#desk.held.size + this.#session.streams.size >= this.#context.limits.maxStreams;
  }

  #onTrailers({ streamId, endStream }: HeaderBlock, block: Block): void {
    const { streams } = this.#session;
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
      open.clientEnded = true;
      open.sink.onTrailers(block);
      streams.endByClient(open);
    } else {
      // Trailers for a stream that the VM has reset meanwhile: nobody waits for them.
      this.#requireNotDone(streamId);
      this.#requireNotSkipped(streamId);
      this.#port.countDropped();
    }
  }

  #resetBoth(streamId: number, errorCode: ErrorCodeValue): void {
    const { streams } = this.#session;
    const open = streams.get(streamId);
    if (open !== undefined) {
      open.sink.onReset(errorCode);
      streams.reset(open, RequestEnd.CANCELLED);
      this.#session.resetStream(streamId, errorCode);
    }
  }

  /** @throws Http2ConnectionError STREAM_CLOSED for a stream that the client has ended itself (RFC 9113 §5.1) */
  #requireNotDone(streamId: number): void {
    if (this.#session.streams.isClientDone(streamId)) {
      throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, `a frame behind the end of stream ${streamId}`);
    }
  }

  /** @throws Http2ConnectionError PROTOCOL_ERROR for an id below one that was used (RFC 9113 §5.1.1) */
  #requireNotSkipped(streamId: number): void {
    if (streamId > this.#skippedFrom && streamId < this.#skippedTo) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `stream ${streamId} was passed over`);
    }
  }

  /** @throws Http2ConnectionError PROTOCOL_ERROR for a stream that was never opened (RFC 9113 §5.1, "idle") */
  #requireNotIdle(streamId: number): void {
    if (streamId > this.#session.lastClientId || (streamId & 1) === 0) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `a frame for the idle stream ${streamId}`);
    }
  }
}

/** @throws Http2ConnectionError STREAM_CLOSED for DATA behind END_STREAM (RFC 9113 §5.1) */
function requireUnended(hasEnded: boolean): void {
  if (hasEnded) {
    throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, "DATA behind the end of a request");
  }
}
