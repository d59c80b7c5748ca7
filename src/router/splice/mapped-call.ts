import type { HeaderList } from "../engine.ts";
import { rstStreamFrame, windowUpdateFrame, writeFrameHeader } from "../http2/frame-writer.ts";
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
} from "../http2/protocol.ts";
import type { Refusal } from "./answers.ts";
import { RequestEnd } from "./context.ts";
import type { MappedStream } from "./mapped-stream.ts";
import type { Outbox } from "./outbox.ts";
import { writeRequest, type RequestBlock } from "./request-block.ts";
import type { Splice } from "./splice.ts";
import type { Forward, OpenStream } from "./stream-table.ts";

/** A request as it is passed on. */
export interface MappedRequest {
  readonly id: number;
  readonly admission: Forward;
  readonly block: RequestBlock;
  /** The block's fields, or those fields with a shortened grpc-timeout. */
  readonly fields: HeaderList;
  /** The client has ended its side, and no content or trailers follow. */
  readonly isWhole: boolean;
  /** Bytes of it that the client was given connection window back for already. */
  readonly prepaidBytes: number;
}

/** The connection to a VM, as far as one call on it needs it. */
export interface CallLink {
  /** Frames for the VM go here. */
  readonly out: Outbox;
  /** Bytes that the VM has not taken yet. */
  readonly unsentBytes: number;
  /** What the VM still takes on the connection. */
  readonly sendWindowBytes: number;
  /** Window that each new stream takes requests with. */
  readonly streamWindowBytes: number;
  /** Gives a new stream its id; its HEADERS are to follow at once. */
  add(call: MappedCall): number;
  /** Nothing more will be sent on a stream, and nothing that comes is wanted. */
  remove(linkId: number): void;
  /** Takes note of DATA that was sent. */
  charge(sizeBytes: number): void;
}

/** A stream of the client's connection that goes to a VM beside the spliced one. */
export class MappedCall implements MappedStream {
  readonly id: number;
  readonly open: OpenStream;
  readonly #splice: Splice;
  readonly #link: CallLink;
  readonly #linkId: number;
  readonly #maxUnsentBytes: number;
  /** Content that the VM has no window for yet. */
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** How much of the queue, and of what is still to come, the client was given connection window back for already. */
  #prepaidBytes: number;
  #windowBytes: number;
  #trailers: RequestBlock | undefined;
  /** How far the end of the request has come: not here, behind the queue, or sent. */
  #end: "open" | "queued" | "sent";
  #isForgotten = false;

  constructor(request: MappedRequest, link: CallLink, splice: Splice, maxUnsentBytes: number) {
    const { id, admission, block, fields, isWhole } = request;
    this.#prepaidBytes = request.prepaidBytes;
    this.id = id;
    this.#splice = splice;
    this.#link = link;
    this.#maxUnsentBytes = maxUnsentBytes;
    this.#windowBytes = link.streamWindowBytes;
    this.#end = isWhole ? "sent" : "open";
    this.open = splice.streams.openMapped(id, admission, isWhole, this);
    this.#linkId = link.add(this);
    writeRequest(link.out, this.#linkId, block, fields, admission.drop, isWhole);
    if (!isWhole) {
      // The client's window for requests is the spliced VM's to say, and may be too small to ever begin.
      splice.flow.refund(DEFAULT_WINDOW_BYTES - splice.settings.requestWindowBytes, id);
    }
  }

  /** Whether nothing that the VM still says of it is wanted. */
  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  onContent(content: Buffer): void {
    if (this.#isForgotten) {
      this.#refundConnection(content.length);
      return;
    }
    const sentBytes = this.#queue.length === 0 ? this.#send(content) : 0;
    if (sentBytes < content.length) {
      this.#queue.push(Buffer.from(content.subarray(sentBytes)));
      this.#queuedBytes += content.length - sentBytes;
      this.#prepaidBytes += this.#splice.flow.prepay(this.#queuedBytes - this.#prepaidBytes);
    }
  }

  onPadding(sizeBytes: number): void {
    this.#refund(sizeBytes);
  }

  onClientEnd(): void {
    this.#end = "queued";
    this.pump();
  }

  onTrailers(block: RequestBlock): void {
    this.#trailers = block;
    this.onClientEnd();
  }

  onGrant(incrementBytes: number): void {
    this.#link.out.add(windowUpdateFrame(this.#linkId, incrementBytes));
  }

  onReset(errorCode: number): void {
    if (!this.#isForgotten) {
      this.#link.out.add(rstStreamFrame(this.#linkId, errorCode));
      this.#forget();
    }
  }

  /** The VM has reset the stream, or will not serve it. */
  endByVm(errorCode: number): void {
    this.#splice.toClient.answer(this.id, rstStreamFrame(this.id, errorCode));
    if (!this.open.upstreamEnded) {
      this.#splice.onRequestEnd(RequestEnd.PASSED);
    }
    this.#forget();
    this.#splice.streams.reset(this.open);
  }

  /** The VM is gone: the router answers in its place what was not answered. */
  endByRouter(refusal: Refusal): void {
    const { clientEnded, responseStarted, upstreamEnded } = this.open;
    if (!upstreamEnded) {
      this.#splice.answer(this.id, refusal, !clientEnded, responseStarted);
    }
    this.#forget();
    this.#splice.streams.reset(this.open);
  }

  /** The VM grants the stream window, or takes some back by its SETTINGS (RFC 9113 §6.9.2). */
  widen(deltaBytes: number): void {
    this.#windowBytes += deltaBytes;
  }

  /** Sends what waits, as far as the VM's windows go. */
  pump(): void {
    for (let content = this.#queue[0]; content !== undefined; content = this.#queue[0]) {
      const sentBytes = this.#send(content);
      this.#queuedBytes -= sentBytes;
      if (sentBytes < content.length) {
        this.#queue[0] = content.subarray(sentBytes);
        return;
      }
      this.#queue.shift();
    }
    if (this.#end === "queued") {
      this.#sendEnd();
    }
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
      const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      writeFrameHeader(frame, 0, 0, FrameType.DATA, Flag.END_STREAM, this.#linkId);
      out.add(frame);
    } else {
      const { fields } = this.#trailers;
      writeRequest(out, this.#linkId, this.#trailers, fields, this.open.admission.drop, true);
    }
    this.removeIfDone();
  }

  /** Sends the beginning of `content` that the VM takes now, and gives the client as much window back. */
  #send(content: Buffer): number {
    const { out, sendWindowBytes, unsentBytes } = this.#link;
    if (unsentBytes > this.#maxUnsentBytes) {
      return 0;
    }
    const sizeBytes = Math.max(0, Math.min(content.length, this.#windowBytes, sendWindowBytes));
    for (let from = 0; from < sizeBytes;) {
      const to = Math.min(sizeBytes, from + DEFAULT_MAX_FRAME_BYTES);
      const slabs = out.reserve(FRAME_HEADER_BYTES);
      writeFrameHeader(slabs.slab, slabs.used, to - from, FrameType.DATA, 0, this.#linkId);
      out.commit(slabs.used + FRAME_HEADER_BYTES);
      out.pass(content, from, to);
      from = to;
    }
    this.#windowBytes -= sizeBytes;
    this.#link.charge(sizeBytes);
    this.#refund(sizeBytes);
    return sizeBytes;
  }

  #refund(sizeBytes: number): void {
    this.#refundConnection(sizeBytes);
    if (!this.open.clientEnded) {
      this.#splice.flow.refund(sizeBytes, this.id);
    }
  }

  #refundConnection(sizeBytes: number): void {
    const repaidBytes = Math.min(sizeBytes, this.#prepaidBytes);
    this.#prepaidBytes -= repaidBytes;
    this.#splice.flow.repay(repaidBytes);
    this.#splice.flow.refund(sizeBytes - repaidBytes);
  }

  #forget(): void {
    this.#isForgotten = true;
    this.#link.remove(this.#linkId);
    this.#queue.length = 0;
    this.#refundConnection(this.#queuedBytes);
    this.#queuedBytes = 0;
  }
}
