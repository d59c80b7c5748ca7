import { Http2ConnectionError } from "../../http2/errors.ts";
import { windowUpdateFrame } from "../../http2/frame-writer.ts";
import { DEFAULT_WINDOW_BYTES, ErrorCode } from "../../http2/protocol.ts";
import { requireIncrement, requireWindow } from "../../http2/windows.ts";

/** What all connections may give back for bytes that still wait in the router: it is the router's memory. */
export interface PrepaidBudget {
  leftBytes: number;
}

/** Most that one connection may take of that: as much as may wait on it. */
const MAX_PREPAID_BYTES = 32 * 1024 * 1024;

/** Flow control with the client, for the connection as a whole (RFC 9113 §5.2, §6.9). */
export class ClientFlow {
  /** What the client still takes. */
  #sendBytes = DEFAULT_WINDOW_BYTES;
  /** What the client may still send. */
  #receiveBytes = DEFAULT_WINDOW_BYTES;
  /** Windows to be granted to the client, by stream; 0 is the connection. Made when needed. */
  #refunds: Map<number, number> | undefined;
  readonly #prepaid: PrepaidBudget;
  /** How much of the budget this connection may still take: nobody gets all of it. */
  #prepaidLeftBytes = MAX_PREPAID_BYTES;
  #isWidened = false;

  constructor(prepaid: PrepaidBudget) {
    this.#prepaid = prepaid;
  }

  /**
   * The client grants connection window.
   *
   * @throws Http2ConnectionError for an increment of zero or an overflow (RFC 9113 §6.9, §6.9.1)
   */
  onClientGrant(incrementBytes: number): void {
    requireIncrement(incrementBytes);
    this.#sendBytes += incrementBytes;
    requireWindow(this.#sendBytes);
  }

  /** Takes up to `wantedBytes` of what the client still takes. */
  take(wantedBytes: number): number {
    const takenBytes = Math.min(wantedBytes, this.#sendBytes);
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

  /** Gives the client window back at the end of the turn. */
  refund(sizeBytes: number, streamId = 0): void {
    if (sizeBytes > 0) {
      const refunds = (this.#refunds ??= new Map());
      refunds.set(streamId, (refunds.get(streamId) ?? 0) + sizeBytes);
    }
  }

  /** Lets the client send more on the connection than it begins with, once. */
  widen(windowBytes: number): void {
    if (!this.#isWidened) {
      this.#isWidened = true;
      this.refund(windowBytes - DEFAULT_WINDOW_BYTES);
    }
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
    const prepaidBytes = Math.max(0, Math.min(sizeBytes, this.#prepaid.leftBytes, this.#prepaidLeftBytes));
    this.#prepaid.leftBytes -= prepaidBytes;
    this.#prepaidLeftBytes -= prepaidBytes;
    this.refund(prepaidBytes);
    return prepaidBytes;
  }

  /** Bytes that were prepaid are gone. */
  repay(sizeBytes: number): void {
    this.#prepaid.leftBytes += sizeBytes;
    this.#prepaidLeftBytes += sizeBytes;
  }

  /** Frames for what {@link refund} gathered. */
  takeRefunds(): Buffer[] {
    if (this.#refunds === undefined || this.#refunds.size === 0) {
      return [];
    }
    const frames = [...this.#refunds].map(([streamId, sizeBytes]) => windowUpdateFrame(streamId, sizeBytes));
    this.#receiveBytes += this.#refunds.get(0) ?? 0;
    this.#refunds.clear();
    return frames;
  }
}
