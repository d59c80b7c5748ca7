import { DataContent } from "./data-content.ts";
import type { RequestBlock } from "./request-block.ts";

/** Where the frames of a stream go that are not passed to the spliced VM as they are. */
export interface MappedStream {
  /** Content of the request's DATA; what is kept must be copied. Its window is the callee's to give back. */
  onContent(content: Buffer): void;
  /** Padding of the request's DATA, which used window like content. */
  onPadding(sizeBytes: number): void;
  /** The client has ended its side by END_STREAM on DATA. */
  onClientEnd(): void;
  /** Trailers end the request. */
  onTrailers(block: RequestBlock): void;
  /** The client takes more of the answer. */
  onGrant(incrementBytes: number): void;
  /** The client has reset the stream, or is gone. */
  onReset(errorCode: number): void;
}

/** A DATA frame of the client on its way to a mapped stream, part by part. */
export class MappedFrame {
  readonly #stream: MappedStream;
  readonly #content: DataContent;

  constructor(stream: MappedStream, flags: number, payloadBytes: number) {
    this.#stream = stream;
    this.#content = new DataContent(flags, payloadBytes);
  }

  /**
   * Takes the next part of the payload: buffer[start, end).
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR for more padding than payload
   */
  take(buffer: Buffer, start: number, end: number): void {
    const content = this.#content.take(buffer, start, end);
    const paddingBytes = end - start - content.length;
    if (paddingBytes > 0) {
      this.#stream.onPadding(paddingBytes);
    }
    if (content.length > 0) {
      this.#stream.onContent(content);
    }
    if (this.#content.isWhole && this.#content.endStream) {
      this.#stream.onClientEnd();
    }
  }
}
