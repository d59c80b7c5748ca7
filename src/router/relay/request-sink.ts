import type { Block } from "./block.ts";

/** Takes what the client sends on a stream whose request was let through. */
export interface RequestSink {
  /**
   * A whole DATA frame without padding, buffer[start, end), whose header may be rewritten in place.
   *
   * @returns whether it was taken; if not, its content is to come by {@link onContent}
   */
  onFrame(buffer: Buffer, start: number, end: number, isLast: boolean): boolean;
  /**
   * Content of the request's DATA, perhaps none; what is kept must be copied. Its window is the callee's to give back.
   *
   * @param isLast the client has ended its side with it
   */
  onContent(content: Buffer, isLast: boolean): void;
  /** Padding of the request's DATA, which used window like content. */
  onPadding(sizeBytes: number): void;
  /** Trailers end the request. */
  onTrailers(block: Block): void;
  /** The client takes more of the answer. */
  onGrant(incrementBytes: number): void;
  /** The client has reset the stream, or is gone. */
  onReset(errorCode: number): void;
}
