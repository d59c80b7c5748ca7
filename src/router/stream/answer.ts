import { constants, type ServerHttp2Stream } from "node:http2";

import type { GrpcStatusCode, HeaderList } from "../engine.ts";
import { statusFields } from "../grpc-status.ts";
import { toRaw } from "./raw-headers.ts";

/** A status that the router gives itself. */
export interface RouterStatus {
  readonly status: GrpcStatusCode;
  readonly message: string;
  readonly metadata?: HeaderList;
}

/**
 * Answers a request with a gRPC status alone ("Trailers-Only" of gRPC over HTTP2), then lets the client know that the
 * rest of its request is not wanted. Does nothing when the client is gone.
 */
export function answerStatus(stream: ServerHttp2Stream, { status, message, metadata }: RouterStatus): void {
  if (stream.destroyed || stream.closed || stream.headersSent) {
    return;
  }
  const headers: HeaderList = [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ...statusFields(status, message, metadata),
  ];
  stream.respond(toRaw(headers), { endStream: true });
  // RFC 9113 section 8.1: RST_STREAM(NO_ERROR) after a complete response stops the request's body.
  stream.resume();
  stream.close(constants.NGHTTP2_NO_ERROR);
}
