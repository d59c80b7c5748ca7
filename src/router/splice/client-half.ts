import { Http2ConnectionError } from "../http2/errors.ts";
import {
  goAwayFrame,
  pingFrame,
  rstStreamFrame,
  settingsAckFrame,
  settingsFrame,
  type SettingEntry,
} from "../http2/frame-writer.ts";
import { trailersProblem } from "../http2/header-rules.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, type ErrorCodeValue } from "../http2/protocol.ts";
import type { ClientEvents } from "./client-frames.ts";
import { RequestEnd, type SpliceContext } from "./context.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { HeldRequest } from "./held-requests.ts";
import type { MappedLink } from "./mapped-link.ts";
import { MappedFrame } from "./mapped-stream.ts";
import { RequestDecoder, writeRequest, type RequestBlock } from "./request-block.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { Splice } from "./splice.ts";
import type { OpenStream } from "./stream-table.ts";

/** RST_STREAM, WINDOW_UPDATE: header and four octets. PING: header and eight. */
const SHORT_FRAME_BYTES = FRAME_HEADER_BYTES + 4;
const PING_FRAME_BYTES = FRAME_HEADER_BYTES + 8;

/** Where the DATA frame in hand goes: on to the spliced VM, nowhere, to wait with its request, or to a mapped stream. */
type DataTarget = "pass" | "drop" | HeldRequest | MappedFrame;

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
  readonly #decoder: RequestDecoder;
  #target: DataTarget = "drop";
  #isGoodbyeSaid = false;
  /** Ids between these two were passed over last: they are closed, and nothing may come on them. */
  #skippedFrom = 0;
  #skippedTo = 0;

  constructor(splice: Splice, desk: RequestDesk, context: SpliceContext, port: ClientHalfPort) {
    this.#splice = splice;
    this.#desk = desk;
    this.#context = context;
    this.#port = port;
    this.#decoder = new RequestDecoder(context.limits.maxHeaderListBytes, context.scratch);
  }

  /** The client has said by GOAWAY that it goes away: a VM's end is then no failure. */
  get isGoodbyeSaid(): boolean {
    return this.#isGoodbyeSaid;
  }

  /** The spliced VM is gone: the rest of a frame that was on its way there goes nowhere. */
  stopPassing(): void {
    if (this.#target === "pass") {
      this.#target = "drop";
    }
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
    const { flow, streams } = this.#splice;
    flow.onClientData(payloadBytes);
    const open = streams.get(streamId);
    if (open !== undefined) {
      this.#onOpenData(open, flags, payloadBytes, buffer, start, end);
      return;
    }
    const held = this.#desk.held.get(streamId);
    if (held !== undefined) {
      this.#target = held;
      this.#desk.held.data(held, flags, payloadBytes, buffer.subarray(start + FRAME_HEADER_BYTES, end));
      return;
    }
    this.#requireNotDone(streamId);
    if (this.#passesClosed(streamId)) {
      this.#pass(payloadBytes, buffer, start, end);
      return;
    }
    this.#target = "drop";
    this.#port.countDropped();
    flow.refund(payloadBytes);
  }

  #onOpenData(
    open: OpenStream,
    flags: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { streams } = this.#splice;
    const isLast = (flags & Flag.END_STREAM) !== 0;
    if (open.mapped === undefined) {
      this.#pass(payloadBytes, buffer, start, end);
    } else {
      if (open.clientEnded) {
        throw new Http2ConnectionError(ErrorCode.STREAM_CLOSED, "DATA behind the end of a request");
      }
      open.clientEnded = isLast;
      const frame = new MappedFrame(open.mapped, flags, payloadBytes);
      this.#target = frame;
      frame.take(buffer, start + FRAME_HEADER_BYTES, end);
    }
    if (isLast) {
      streams.endByClient(open);
      streams.markClientDone(open.id);
    }
  }

  #pass(payloadBytes: number, buffer: Buffer, start: number, end: number): void {
    this.#target = "pass";
    this.#splice.flow.passToSpliced(payloadBytes);
    this.#splice.toUpstream.begin(payloadBytes, buffer, start, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    const target = this.#target;
    if (target === "pass") {
      this.#splice.toUpstream.part(buffer, start, end);
    } else if (target instanceof MappedFrame) {
      target.take(buffer, start, end);
    } else if (target !== "drop") {
      this.#onHeldPart(target, buffer, start, end);
    }
  }

  /** The request may have stopped waiting since its frame began: the rest then goes where the beginning went. */
  #onHeldPart(held: HeldRequest, buffer: Buffer, start: number, end: number): void {
    if (this.#desk.held.get(held.id) === held) {
      this.#desk.held.dataPart(held, buffer.subarray(start, end));
      return;
    }
    this.#target = held.passedTo === "spliced" ? this.#restOfSpliced() : (held.passedTo ?? "drop");
    this.onDataPart(buffer, start, end);
  }

  /** The spliced VM may be gone since it was given the beginning. */
  #restOfSpliced(): DataTarget {
    return this.#splice.toUpstream.isMidFrame ? "pass" : "drop";
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
      link.onClientSettings();
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

  #onRequest({ streamId, endStream, dependsOnItself }: HeaderBlock, block: RequestBlock): void {
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
    if (this.#desk.held.size >= this.#maxWaiting()) {
      splice.streams.markUnforwarded(streamId);
      splice.resetStream(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    this.#desk.request(streamId, block, endStream);
  }

  /** A client that has not read our SETTINGS yet may take any number for allowed (RFC 9113 §6.5.2). */
  #maxWaiting(): number {
    const { limits } = this.#context;
    const knowsLimit = this.#splice.state === "none" && this.#splice.settings.isOwnAcknowledged;
    return knowsLimit ? limits.maxHeldStreams : limits.maxWaitingRequests;
  }

  #onTrailers({ streamId, endStream }: HeaderBlock, block: RequestBlock): void {
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
        writeRequest(toUpstream.own, streamId, block, block.fields, open.admission.drop, endStream);
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
