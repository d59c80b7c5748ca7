import { DEFAULT_HEADER_TABLE_BYTES } from "../../http2/protocol.ts";

/**
 * The size that a peer allows for the dynamic table of the header blocks that it is sent. The router puts nothing into that
 * table; yet after a reduction was acknowledged the peer waits to hear of it (RFC 7541 §4.2).
 */
export class TableSize {
  #sizeBytes: number = DEFAULT_HEADER_TABLE_BYTES;
  #announceBytes: number | undefined;

  /** Takes the peer's HEADER_TABLE_SIZE. */
  adopt(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      this.#announceBytes = Math.min(sizeBytes, this.#announceBytes ?? sizeBytes);
    }
    this.#sizeBytes = sizeBytes;
  }

  /** The size that the next header block to the peer must begin with, if there is one. */
  takeAnnouncement(): number | undefined {
    const announceBytes = this.#announceBytes;
    this.#announceBytes = undefined;
    return announceBytes;
  }
}
