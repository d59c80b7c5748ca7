/**
 * How many bytes of the router's own, which a peer causes and need no window, that peer has not taken yet. What was sent is known of
 * the whole connection alone, and in order: so they are counted in two parts, those before a place in what was written and
 * those behind it, and forgotten when the peer has taken all up to that place. It is never less than the true number.
 */
export class UntakenBytes {
  #writtenBytes = 0;
  /** A place in what was written. */
  #mark = 0;
  #beforeMark = 0;
  #behindMark = 0;

  /** How many of those that were noted the peer has not taken, at most. */
  get atMost(): number {
    return this.#beforeMark + this.#behindMark;
  }

  /** Bytes that the next write is going to hold. */
  note(sizeBytes: number): void {
    this.#behindMark += sizeBytes;
  }

  /**
   * To be called behind each write; nothing that was noted may still wait for another one.
   *
   * @param writtenBytes what was written since the last call, everything counted
   * @param unsentBytes what the peer has not taken of all that was written
   */
  settle(writtenBytes: number, unsentBytes: number): void {
    this.#writtenBytes += writtenBytes;
    if (unsentBytes === 0) {
      this.#behindMark = 0;
    }
    if (this.#writtenBytes - unsentBytes >= this.#mark) {
      this.#mark = this.#writtenBytes;
      this.#beforeMark = this.#behindMark;
      this.#behindMark = 0;
    }
  }
}
