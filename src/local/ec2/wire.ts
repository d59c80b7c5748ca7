import { SatelliteError } from "../../base/errors.ts";

/** An HTTP request, whole. */
export interface WireRequest {
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An HTTP response, whole. */
export interface WireResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers one request; rejects with {@link ConnectionDropped} where the caller must get no answer. */
export type WireHandler = (request: WireRequest) => Promise<WireResponse>;

/** The connection was closed without an answer, as a scripted fault. */
export class ConnectionDropped extends SatelliteError {
  constructor() {
    super("ECONNRESET", "the connection was closed before an answer came");
    this.name = "ConnectionDropped";
  }
}

/** A response with a JSON body. */
export function jsonResponse(status: number, body: unknown, contentType = "application/json"): WireResponse {
  return { status, headers: { "content-type": contentType }, body: JSON.stringify(body) };
}
