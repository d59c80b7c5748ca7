import type { HeaderList } from "../engine.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import type { HpackEncoder } from "../../http2/hpack-encoder.ts";
import { rstStreamFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  FRAME_HEADER_BYTES,
  MAX_31_BIT,
  type ErrorCodeValue,
} from "../../http2/protocol.ts";
import { requireWindow } from "../../http2/windows.ts";
import type { Refusal } from "../refusal.ts";
import { RequestEnd } from "./context.ts";
import { HeldBody } from "./held-body.ts";
import { passData, writeData } from "./data-frame.ts";
import type { RequestSink } from "./request-sink.ts";
import type { Outbox } from "./outbox.ts";
import { writeBlock, type Block } from "./block.ts";
import type { ClientSession } from "./client-session.ts";
import type { Forward, OpenStream } from "./stream-table.ts";

/** A request as it is passed on. */
export interface VmRequest {
  readonly id: number;
  readonly admission: Forward;
  readonly block: Block;
  /** The block's fields with a shortened grpc-timeout; the block's own where absent. */
  readonly fields?: HeaderList;
  /** The client has ended its side, and no content or trailers follow. */
  readonly isWhole: boolean;
  /** Bytes of it that the client was given connection window back for already. */
  readonly prepaidBytes?: number;
}

/** What a client may send on one stream, and on a connection, before it must wait. */
const REQUEST_WINDOW_BYTES = 256 * 1024;
const NOTHING: Buffer = Buffer.alloc(0);

/** The connection to a VM, as far as one call on it needs it. */
export interface CallLink {
  /** Frames for the VM go here. */
  readonly out: Outbox;
  /** The VM does not take what it was sent: what comes waits here. */
  readonly isFull: boolean;
  /** What the VM still takes on the connection. */
  readonly sendWindowBytes: number;
  /** Window that each new stream takes requests with. */
  readonly streamWindowBytes: number;
  /** Writes the header blocks to the VM. */
  readonly encoder: HpackEncoder;
  /** Gives a new stream its id; its HEADERS are to follow at once. */
  add(call: VmCall): number;
  /** Nothing more will be sent on a stream, and nothing that comes is wanted. */
  remove(linkId: number): void;
  /** Takes note of DATA that was sent. */
  charge(sizeBytes: number): void;
  /** {@link VmCall.pump} is to be called when the VM takes more. */
  noteWaiting(call: VmCall): void;
}

/** A stream of the client's connection that goes to a VM. */
export class VmCall implements RequestSink {
  readonly id: number;
  readonly open: OpenStream;
  readonly #session: ClientSession;
  readonly #link: CallLink;
  readonly #linkId: number;
  /** Content that the VM has no window for yet. */
  readonly #queue: HeldBody;
  /** How much of the queue, and of what is still to come, the client was given connection window back for already. */
  #prepaidBytes: number;
  #windowBytes: number;
  #trailers: Block | undefined;
  /** How far the end of the request has come: not here, behind the queue, or sent. */
  #end: "open" | "queued" | "sent";
  #isForgotten = false;

  readonly #contentLength: number | undefined;
  #contentBytes = 0;
  /** What the client still takes of the answer. */
  #clientWindowBytes: number;
  /** What the VM may send beyond that: it may not have heard yet that the client has made its windows smaller. */
  #leewayBytes = 0;
  /** How much of that the VM has not heard of. */
  #dueGrantBytes = 0;

  constructor(request: VmRequest, link: CallLink, session: ClientSession) {
    const { id, admission, block, isWhole } = request;
    this.#prepaidBytes = request.prepaidBytes ?? 0;
    this.id = id;
    this.#session = session;
    this.#link = link;
    this.#queue = new HeldBody(link.out);
    this.#windowBytes = link.streamWindowBytes;
    this.#clientWindowBytes = session.settings.clientWindowBytes;
    this.#end = isWhole ? "sent" : "open";
    this.#contentLength = block.contentLength;
    this.open = session.streams.open(id, admission, isWhole, this);
    this.#linkId = link.add(this);
    const { drop } = admission;
    writeBlock(link.out, link.encoder, this.#linkId, block, isWhole, { fields: request.fields, drop });
    if (!isWhole) {
      session.flow.refund(REQUEST_WINDOW_BYTES - DEFAULT_WINDOW_BYTES, id);
      session.flow.widen(REQUEST_WINDOW_BYTES);
    }
  }

  /** Whether nothing that the VM still says of it is wanted. */
  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  /** Passes a frame on with another stream id, in place where nothing waits: most of what comes. */
  onFrame(buffer: Buffer, start: number, end: number, isLast: boolean): boolean {
    const sizeBytes = end - start - FRAME_HEADER_BYTES;
    const isNext = !this.#isForgotten && this.#queue.sizeBytes === 0 && (sizeBytes > 0 || isLast);
    if (!isNext || sizeBytes > this.#takesBytes() || !this.#fitsLength(sizeBytes, isLast)) {
      return false;
    }
    passData(this.#link.out, this.#linkId, isLast, buffer, start, end);
    this.#contentBytes += sizeBytes;
    this.#noteSent(sizeBytes, isLast);
    return true;
  }

  onContent(content: Buffer, isLast: boolean): void {
    if (this.#isForgotten) {
      this.#refundConnection(content.length);
      return;
    }
    if (!this.#fitsLength(content.length, isLast)) {
      this.#refundConnection(content.length);
      this.#resetForClient(ErrorCode.PROTOCOL_ERROR);
      return;
    }
    this.#contentBytes += content.length;
    const sentBytes = this.#queue.sizeBytes === 0 ? this.#send(content, isLast) : 0;
    if (sentBytes < content.length) {
      this.#queue.add(content.subarray(sentBytes));
      this.#prepaidBytes += this.#session.flow.prepay(this.#queue.sizeBytes - this.#prepaidBytes);
      this.#link.noteWaiting(this);
    }
    if (isLast && this.#end === "open") {
      this.#end = "queued";
      this.#link.noteWaiting(this);
    }
  }

  /** Content must be as long as it was announced (RFC 9113 §8.1.1): a peer behind may take the rest for something else. */
  #fitsLength(sizeBytes: number, isLast: boolean): boolean {
    const contentBytes = this.#contentBytes + sizeBytes;
    const length = this.#contentLength ?? contentBytes;
    return isLast ? contentBytes === length : contentBytes <= length;
  }

  /** Ends a call for an error of the client's. */
  #resetForClient(errorCode: ErrorCodeValue): void {
    this.onReset(ErrorCode.CANCEL);
    this.#session.streams.reset(this.open, RequestEnd.CANCELLED);
    this.#session.resetStream(this.id, errorCode);
  }

  onPadding(sizeBytes: number): void {
    this.#refund(sizeBytes);
  }

  onTrailers(block: Block): void {
    if (!this.#fitsLength(0, true)) {
      this.#resetForClient(ErrorCode.PROTOCOL_ERROR);
    } else if (!this.#isForgotten) {
      this.#trailers = block;
      this.#end = "queued";
      this.#link.noteWaiting(this);
    }
  }

  onGrant(incrementBytes: number): void {
    this.#grant(incrementBytes);
    if (this.#clientWindowBytes > MAX_31_BIT) {
      this.#resetForClient(ErrorCode.FLOW_CONTROL_ERROR);
    }
  }

  /** The VM has used window for padding, which the client does not see. */
  onVmPadding(sizeBytes: number): void {
    if (sizeBytes > 0) {
      this.#grant(sizeBytes);
    }
  }

  /** However many grants come in a turn, the VM hears of them once, and of none while it does not read. */
  #grant(incrementBytes: number): void {
    this.#clientWindowBytes += incrementBytes;
    this.#dueGrantBytes += incrementBytes;
    this.#link.noteWaiting(this);
  }

  #sendGrant(): void {
    if (this.#dueGrantBytes > 0) {
      this.#link.out.add(windowUpdateFrame(this.#linkId, this.#dueGrantBytes));
      this.#dueGrantBytes = 0;
    }
  }

  onReset(errorCode: number): void {
    if (!this.#isForgotten) {
      this.#link.out.add(rstStreamFrame(this.#linkId, errorCode));
      this.#forget();
    }
  }

  /** The VM has reset the stream, or will not serve it. */
  endByVm(errorCode: number): void {
    this.#session.toClient.answer(this.id, rstStreamFrame(this.id, errorCode));
    this.#forget();
    this.#session.streams.reset(this.open, RequestEnd.PASSED);
  }

  /** The VM is gone: the router answers in its place what was not answered. */
  endByRouter(refusal: Refusal): void {
    this.#session.answerOpen(this.open, refusal);
    this.#forget();
    this.#session.streams.endByClient(this.open);
  }

  /**
   * The client has changed the window that its streams begin with; what it still takes may become less than nothing.
   *
   * @throws Http2ConnectionError FLOW_CONTROL_ERROR for a window that cannot be (RFC 9113 §6.9.2)
   */
  widenClient(deltaBytes: number): void {
    this.#clientWindowBytes += deltaBytes;
    this.#leewayBytes = Math.max(0, this.#leewayBytes - deltaBytes);
    requireWindow(this.#clientWindowBytes);
  }

  /**
   * The VM sends DATA.
   *
   * @throws Http2ConnectionError FLOW_CONTROL_ERROR for more than the client takes (RFC 9113 §6.9.1)
   */
  chargeClient(payloadBytes: number): void {
    this.#clientWindowBytes -= payloadBytes;
    if (this.#clientWindowBytes + this.#leewayBytes < 0) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than a stream's window");
    }
  }

  /** The VM grants the stream window, or takes some back by its SETTINGS (RFC 9113 §6.9.2). */
  widen(deltaBytes: number): void {
    this.#windowBytes += deltaBytes;
    requireWindow(this.#windowBytes);
  }

  /**
   * Sends what waits, as far as the VM's windows go.
   *
   * @returns whether nothing waits any more
   */
  pump(): boolean {
    if (this.#link.isFull) {
      return false;
    }
    this.#sendGrant();
    for (let content = this.#queue.first(); content !== undefined; content = this.#queue.first()) {
      const isLast = content.length === this.#queue.sizeBytes;
      const sentBytes = this.#send(content, isLast && this.#end === "queued" && this.#trailers === undefined);
      this.#queue.skip(sentBytes);
      if (sentBytes < content.length) {
        return false;
      }
    }
    if (this.#end === "queued") {
      this.#sendEnd();
    }
    return true;
  }

  /** Both sides have ended: the link may forget the stream. */
  removeIfDone(): void {
    if (this.open.upstreamEnded && this.#end === "sent") {
      this.#link.remove(this.#linkId);
    }
  }

  #sendEnd(): void {
    const { out } = this.#link;
    this.#end = "sent";
    if (this.#trailers === undefined) {
      writeData(out, this.#linkId, NOTHING, true);
    } else {
      const { encoder } = this.#link;
      const { drop } = this.open.admission;
      writeBlock(out, encoder, this.#linkId, this.#trailers, true, { drop });
    }
    this.removeIfDone();
  }

  /** How much of what comes next the VM takes now. */
  #takesBytes(): number {
    const { isFull, sendWindowBytes } = this.#link;
    return isFull ? 0 : Math.max(0, Math.min(this.#windowBytes, sendWindowBytes));
  }

  /** Sends the beginning of `content` that the VM takes now. */
  #send(content: Buffer, isLast: boolean): number {
    const sizeBytes = Math.min(content.length, this.#takesBytes());
    const isWhole = sizeBytes === content.length;
    for (let from = 0; from < sizeBytes;) {
      const to = Math.min(sizeBytes, from + DEFAULT_MAX_FRAME_BYTES);
      writeData(this.#link.out, this.#linkId, content.subarray(from, to), isLast && to === content.length);
      from = to;
    }
    this.#noteSent(sizeBytes, isLast && isWhole && sizeBytes > 0);
    return sizeBytes;
  }

  /** Takes note of content that was sent, and gives the client as much window back. */
  #noteSent(sizeBytes: number, hasEnded: boolean): void {
    this.#windowBytes -= sizeBytes;
    this.#link.charge(sizeBytes);
    this.#refund(sizeBytes);
    if (hasEnded) {
      this.#end = "sent";
      this.removeIfDone();
    }
  }

  #refund(sizeBytes: number): void {
    this.#refundConnection(sizeBytes);
    if (!this.open.clientEnded) {
      this.#session.flow.refund(sizeBytes, this.id);
    }
  }

  #refundConnection(sizeBytes: number): void {
    const repaidBytes = Math.min(sizeBytes, this.#prepaidBytes);
    this.#prepaidBytes -= repaidBytes;
    this.#session.flow.repay(repaidBytes);
    this.#session.flow.refund(sizeBytes - repaidBytes);
  }

  #forget(): void {
    this.#isForgotten = true;
    this.#link.remove(this.#linkId);
    this.#refundConnection(this.#queue.sizeBytes);
    this.#queue.clear();
  }
}
