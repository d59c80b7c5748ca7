import { SatelliteError } from "../base/errors.ts";
import { ErrorCode, type ErrorCodeValue } from "./protocol.ts";

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ErrorCode).map(([name, value]) => [value, name]),
);

/** A peer broke the protocol (or a bound) so that the whole connection must end (RFC 9113 §5.4.1). */
export class Http2ConnectionError extends SatelliteError {
  /** Code for the GOAWAY frame. */
  readonly errorCode: ErrorCodeValue;

  constructor(errorCode: ErrorCodeValue, message: string) {
    super(`Http2.${NAMES.get(errorCode) ?? errorCode}`, message);
    this.name = "Http2ConnectionError";
    this.errorCode = errorCode;
  }
}
