import { Http2ConnectionError } from "./errors.ts";
import { ErrorCode, MAX_31_BIT } from "./protocol.ts";

/** @throws Http2ConnectionError PROTOCOL_ERROR for a WINDOW_UPDATE that grants nothing (RFC 9113 §6.9) */
export function requireIncrement(incrementBytes: number): void {
  if (incrementBytes === 0) {
    throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0");
  }
}

/** @throws Http2ConnectionError FLOW_CONTROL_ERROR for a window that cannot be (RFC 9113 §6.9.1) */
export function requireWindow(windowBytes: number): void {
  if (windowBytes > MAX_31_BIT) {
    throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
  }
}
