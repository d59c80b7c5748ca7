import { Http2ConnectionError } from "../../http2/errors.ts";
import { windowUpdateFrame } from "../../http2/frame-writer.ts";
import { DEFAULT_WINDOW_BYTES, ErrorCode, MAX_31_BIT } from "../../http2/protocol.ts";

/** A window is granted anew when this part of it was used: often enough to keep a sender going, seldom enough to cost nothing. */
const GRANT_PART = 4;

/**
 * Most that a client may send on the connection ahead of the spliced VM's reading, whatever that VM grants: it is the router's
 * memory if the VM stalls and others are to go on. As much as grpc-go grants at most.
 */
const MAX_RECEIVE_BYTES = 16 * 1024 * 1024;

/** What all connections may give back for bytes that still wait in the router: it is the router's memory. */
export interface PrepaidBudget {
  leftBytes: number;
}

/**
 * Flow control with the client, for the connection as a whole (RFC 9113 §5.2, §6.9).
 *
 * As long as the spliced VM alone sends to the client, the two grant each other windows and the router only counts along.
 * Once others send as well (the router itself, a second VM), the spliced VM's idea of the client's window is no longer true.
 * The connection is then *shared*: the router charges what each of them sends, and grants the VMs windows of its own.
 */
export class ClientFlow {
  /** What the client still takes, from whomever. */
  #sendBytes = DEFAULT_WINDOW_BYTES;
  /** What the spliced VM believes that the client still takes. */
  #splicedBytes = 0;
  /** The spliced VM's window on a shared connection, and how much of it may be granted anew. */
  #splicedWindowBytes = 0;
  #splicedDueBytes = 0;
  /** What the client may still send. */
  #receiveBytes = DEFAULT_WINDOW_BYTES;
  /** Client's DATA that the spliced VM was given and has not granted anew. */
  #splicedUngrantedBytes = 0;
  /** Windows to be granted to the client, by stream; 0 is the connection. Made when needed. */
  #refunds: Map<number, number> | undefined;
  /** Window that the spliced VM has granted the client, and of which the client has not heard yet. */
  #withheldBytes = 0;
  #coveredBytes = 0;
  readonly #prepaid: PrepaidBudget;
  #isSpliced = false;
  #isShared = false;
  #isWidened = false;

  constructor(prepaid: PrepaidBudget) {
    this.#prepaid = prepaid;
  }

  /** Whether others than the spliced VM send to the client. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /**
   * A VM is spliced: it starts from the initial window.
   *
   * @returns connection window to grant it in the client's name
   */
  splice(): number {
    const grantedBytes = Math.max(0, this.#sendBytes - DEFAULT_WINDOW_BYTES);
    this.#isSpliced = true;
    this.#splicedBytes = DEFAULT_WINDOW_BYTES + grantedBytes;
    if (this.#isShared || this.#splicedBytes > this.#sendBytes) {
      this.#isShared = false;
      this.share();
    }
    return grantedBytes;
  }

  /** The spliced VM is gone. What it did not grant anew of the client's window, the router does. */
  unsplice(): void {
    this.cover(0);
    this.#withheldBytes = 0;
    this.refund(Math.max(0, this.#splicedUngrantedBytes));
    this.refund(Math.max(0, DEFAULT_WINDOW_BYTES - this.#receiveBytes - (this.#refunds?.get(0) ?? 0)));
    this.#splicedUngrantedBytes = 0;
    this.#isSpliced = false;
    this.#isShared = true;
  }

  /** From now on others send to the client, too. */
  share(): void {
    if (!this.#isShared) {
      this.#isShared = true;
      this.#splicedWindowBytes = Math.max(this.#splicedBytes, DEFAULT_WINDOW_BYTES);
      this.#splicedDueBytes = this.#splicedWindowBytes - this.#splicedBytes;
    }
  }

  /**
   * The others have ended: client and spliced VM agree again, if the client takes all that the VM believes.
   *
   * @returns connection window to grant the VM then; undefined if the connection stays shared
   */
  unshare(): number | undefined {
    if (!this.#isSpliced || this.#sendBytes < this.#splicedBytes) {
      return undefined;
    }
    const grantBytes = this.#sendBytes - this.#splicedBytes;
    this.#splicedBytes = this.#sendBytes;
    this.#isShared = false;
    return grantBytes;
  }

  /**
   * The client grants connection window.
   *
   * @returns whether the spliced VM is to hear of it
   * @throws Http2ConnectionError for an increment of zero or an overflow (RFC 9113 §6.9, §6.9.1)
   */
  onClientGrant(incrementBytes: number): boolean {
    if (incrementBytes === 0) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0");
    }
    this.#sendBytes += incrementBytes;
    if (this.#sendBytes > MAX_31_BIT) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
    }
    if (this.#isShared || !this.#isSpliced) {
      return false;
    }
    this.#splicedBytes += incrementBytes;
    return true;
  }

  /** The spliced VM sends a DATA frame with this payload; on a shared connection {@link take} follows for its content. */
  onSplicedData(payloadBytes: number): void {
    this.#splicedBytes -= payloadBytes;
    if (!this.#isShared) {
      this.#sendBytes -= payloadBytes;
    }
  }

  /** Takes up to `wantedBytes` of what the client still takes. */
  take(wantedBytes: number): number {
    const takenBytes = Math.max(0, Math.min(wantedBytes, this.#sendBytes));
    this.#sendBytes -= takenBytes;
    return takenBytes;
  }

  /** Takes as much of what the client still takes, or nothing. */
  takeAll(sizeBytes: number): boolean {
    if (sizeBytes > this.#sendBytes) {
      return false;
    }
    this.#sendBytes -= sizeBytes;
    return true;
  }

  /** Content of the spliced VM has gone out, or never will: on a shared connection it may send as much again. */
  settleSpliced(sizeBytes: number): void {
    this.#splicedDueBytes += sizeBytes;
  }

  /** Connection window to grant the spliced VM on a shared connection; 0 if it is not time yet. */
  takeSplicedDue(): number {
    const dueBytes = this.#splicedDueBytes;
    if (!this.#isShared || !this.#isSpliced || dueBytes * GRANT_PART < this.#splicedWindowBytes) {
      return 0;
    }
    this.#splicedDueBytes = 0;
    this.#splicedBytes += dueBytes;
    return dueBytes;
  }

  /**
   * The client sends DATA with this payload.
   *
   * @throws Http2ConnectionError FLOW_CONTROL_ERROR (RFC 9113 §6.9.1)
   */
  onClientData(payloadBytes: number): void {
    this.#receiveBytes -= payloadBytes;
    if (this.#receiveBytes < 0) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window");
    }
  }

  /** DATA of the client goes to the spliced VM, which will grant as much anew. */
  passToSpliced(payloadBytes: number): void {
    this.#splicedUngrantedBytes += payloadBytes;
  }

  /**
   * The spliced VM grants the client connection window.
   *
   * @returns whether the client is to hear of it now; else it will by and by
   */
  onSplicedGrant(incrementBytes: number): boolean {
    this.#splicedUngrantedBytes -= incrementBytes;
    if (this.#withheldBytes > 0 || this.#receiveBytes + incrementBytes > MAX_RECEIVE_BYTES) {
      this.#withheldBytes += incrementBytes;
      return false;
    }
    this.#receiveBytes += incrementBytes;
    return true;
  }

  /** Gives the client window back at the end of the turn, for DATA that the spliced VM never sees. */
  refund(sizeBytes: number, streamId = 0): void {
    if (sizeBytes > 0) {
      const refunds = (this.#refunds ??= new Map());
      refunds.set(streamId, (refunds.get(streamId) ?? 0) + sizeBytes);
    }
  }

  /** Lets the client send more on the connection than it begins with, once. */
  widen(windowBytes: number): void {
    if (!this.#isWidened && windowBytes > this.#receiveBytes) {
      this.refund(windowBytes - DEFAULT_WINDOW_BYTES);
    }
    this.#isWidened = true;
  }

  /** What the client may still send on the connection. */
  get receiveBytes(): number {
    return this.#receiveBytes;
  }

  /**
   * Gives connection window back for bytes that wait here: a stream that waits must not stop the others.
   *
   * @returns for how many; {@link repay} is due when they have left, and {@link refund} for the rest
   */
  prepay(sizeBytes: number): number {
    const prepaidBytes = Math.max(0, Math.min(sizeBytes, this.#prepaid.leftBytes));
    this.#prepaid.leftBytes -= prepaidBytes;
    this.refund(prepaidBytes);
    return prepaidBytes;
  }

  /**
   * Takes what the spliced VM leaves unread into the router's memory, so that the client can be read on.
   *
   * @param sizeBytes of all that it leaves
   * @returns whether there is room for it
   */
  cover(sizeBytes: number): boolean {
    const moreBytes = sizeBytes - this.#coveredBytes;
    if (moreBytes > this.#prepaid.leftBytes) {
      return false;
    }
    this.#prepaid.leftBytes -= moreBytes;
    this.#coveredBytes = sizeBytes;
    return true;
  }

  /** Bytes that were prepaid are gone. */
  repay(sizeBytes: number): void {
    this.#prepaid.leftBytes += sizeBytes;
  }

  #grantWithheld(): void {
    const roomBytes = MAX_RECEIVE_BYTES - this.#receiveBytes;
    const grantBytes = Math.min(roomBytes, this.#withheldBytes);
    if (roomBytes * GRANT_PART >= MAX_RECEIVE_BYTES) {
      this.#withheldBytes -= grantBytes;
      this.refund(grantBytes);
    }
  }

  /** Frames for what {@link refund} gathered. */
  takeRefunds(): Buffer[] {
    if (this.#withheldBytes > 0) {
      this.#grantWithheld();
    }
    if (this.#refunds === undefined || this.#refunds.size === 0) {
      return [];
    }
    const frames = [...this.#refunds].map(([streamId, sizeBytes]) => windowUpdateFrame(streamId, sizeBytes));
    this.#receiveBytes += this.#refunds.get(0) ?? 0;
    this.#refunds.clear();
    return frames;
  }
}
