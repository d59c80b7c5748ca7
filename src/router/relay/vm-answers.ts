import { SatelliteError } from "../../base/errors.ts";
import type { Upstream } from "../engine.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import { responseProblem } from "../../http2/header-rules.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES } from "../../http2/protocol.ts";
import type { Refusal } from "../refusal.ts";
import { kindOf, misplaced } from "./answer-rules.ts";
import { BlockDecoder } from "./block.ts";
import type { ClientSession } from "./client-session.ts";
import { RequestEnd, type RelayContext } from "./context.ts";
import { DataFrame } from "./data-frame.ts";
import type { HeaderBlock } from "./header-block.ts";
import { answerTooLarge, malformedAnswer } from "./refusals.ts";
import type { VmCall } from "./vm-call.ts";

/**
 * What a VM may send before it must wait for the client to take it. No memory of the router's: VMs are not read while the
 * client takes nothing.
 */
export const ANSWER_WINDOW_BYTES = 1024 * 1024;
/** The VM is granted window anew when it has used this much of it. */
const GRANT_BYTES = ANSWER_WINDOW_BYTES / 4;
/** What is gathered of a VM's answers for the client in one turn: few bytes of a header block can stand for many. */
const MAX_ANSWERED_BYTES = 32 * 1024 * 1024;
/** Room that a VM's header blocks may take, decoded. */
const MAX_RESPONSE_LIST_BYTES = 2 * 1024 * 1024;

/** The calls that a VM may answer. */
export interface LinkCalls {
  /**
   * The call of a stream, unless it is over.
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR for a stream that the VM was never given
   */
  require(linkId: number): VmCall | undefined;
}

/** What a VM answers: checked, and passed on to the client with the ids of its streams. */
export class VmAnswers {
  readonly #upstream: Upstream;
  readonly #session: ClientSession;
  readonly #calls: LinkCalls;
  readonly #decoder: BlockDecoder;
  /** The DATA frame in hand, where it does not pass whole. */
  #frame: DataFrame | undefined;
  /** What the VM has used of its window on the connection, and was not granted anew. */
  #dueBytes = 0;

  constructor(
    upstream: Upstream,
    session: ClientSession,
    scratch: RelayContext["scratch"],
    calls: LinkCalls,
  ) {
    this.#upstream = upstream;
    this.#session = session;
    this.#calls = calls;
    this.#decoder = new BlockDecoder({ maxListBytes: MAX_RESPONSE_LIST_BYTES }, scratch, responseProblem);
  }

  /** @returns by how many bytes the VM's window on the connection is to be raised now; 0: not yet */
  takeGrant(): number {
    const grantBytes = this.#dueBytes >= GRANT_BYTES ? this.#dueBytes : 0;
    this.#dueBytes -= grantBytes;
    return grantBytes;
  }

  onHeaderBlock(headerBlock: HeaderBlock): void {
    const { endStream, streamId: linkId } = headerBlock;
    const block = this.#decoder.decode(headerBlock);
    const call = this.#answering(linkId);
    if (call === undefined) {
      return;
    }
    if (block.tooLarge) {
      throw new SatelliteError(
        "MetadataTooLarge",
        `${this.#upstream.satellite} answers with too much metadata`,
      );
    }
    const { open } = call;
    const kind = kindOf(block.fields);
    const problem = block.problem ?? misplaced(kind, open.responseStarted, endStream);
    if (problem !== undefined) {
      this.#refuse(call, malformedAnswer(this.#upstream, problem));
      return;
    }
    const { settings, toClient } = this.#session;
    if (block.listBytes > settings.maxListBytes) {
      this.#refuse(call, answerTooLarge(this.#upstream, settings.maxListBytes));
      return;
    }
    toClient.block(call.id, block, endStream);
    if (toClient.gatheredBytes > MAX_ANSWERED_BYTES) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too much metadata at once");
    }
    open.responseStarted ||= kind === "final";
    if (endStream) {
      this.#end(call);
    }
  }

  onData(
    flags: number,
    linkId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const from = start + FRAME_HEADER_BYTES;
    const call = this.#answering(linkId);
    if (call !== undefined) {
      call.chargeClient(payloadBytes);
      if (!call.open.responseStarted) {
        this.#refuse(call, malformedAnswer(this.#upstream, "content before the headers of the answer"));
      } else if (end - from === payloadBytes && (flags & Flag.PADDED) === 0) {
        this.#onWholeData(call, (flags & Flag.END_STREAM) !== 0, buffer, start, end);
        return;
      }
    }
    this.#frame = new DataFrame(linkId, flags, payloadBytes);
    this.#onPart(this.#frame, buffer, from, end);
  }

  /** Passes a frame on with another stream id, in place where nothing waits: most of what comes. */
  #onWholeData(call: VmCall, endStream: boolean, buffer: Buffer, start: number, end: number): void {
    const { toClient } = this.#session;
    if (toClient.frame(call.id, endStream, buffer, start, end)) {
      this.#dueBytes += end - start - FRAME_HEADER_BYTES;
    } else {
      this.#passContent(call, buffer.subarray(start + FRAME_HEADER_BYTES, end), endStream);
    }
    if (endStream) {
      this.#end(call);
    }
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    if (this.#frame !== undefined) {
      this.#onPart(this.#frame, buffer, start, end);
    }
  }

  #onPart(frame: DataFrame, buffer: Buffer, start: number, end: number): void {
    const content = frame.take(buffer, start, end);
    const call = this.#answering(frame.streamId);
    if (call === undefined) {
      this.#dueBytes += end - start;
      return;
    }
    const paddingBytes = end - start - content.length;
    this.#dueBytes += paddingBytes;
    call.onVmPadding(paddingBytes);
    const endStream = frame.endStream && frame.isWhole;
    if (content.length > 0 || endStream) {
      this.#passContent(call, content, endStream);
    }
    if (endStream) {
      this.#end(call);
    }
  }

  #passContent(call: VmCall, content: Buffer, endStream: boolean): void {
    this.#session.toClient.content(call.id, content, endStream, (sizeBytes) => {
      this.#dueBytes += sizeBytes;
    });
  }

  /** Ends a call whose answer is none; the VM hears that nobody wants the rest. */
  #refuse(call: VmCall, refusal: Refusal): void {
    call.onReset(ErrorCode.PROTOCOL_ERROR);
    call.endByRouter(refusal);
  }

  #end(call: VmCall): void {
    this.#session.streams.endByUpstream(call.open, RequestEnd.PASSED);
    call.removeIfDone();
  }

  /**
   * The call of a stream, unless its answer has ended. What a VM says behind an end goes nowhere: a client may end its
   * whole connection for it.
   */
  #answering(linkId: number): VmCall | undefined {
    const call = this.#calls.require(linkId);
    return call?.open.upstreamEnded === true ? undefined : call;
  }
}
