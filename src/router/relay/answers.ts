import type { HeaderList } from "../engine.ts";
import type { OwnStatus } from "../own-service.ts";
import { statusFields } from "../grpc-status.ts";
import { headerFrames, rstStreamFrame } from "../../http2/frame-writer.ts";
import type { HpackEncoder } from "../../http2/hpack-encoder.ts";
import { ErrorCode } from "../../http2/protocol.ts";

/** Characters of a message that reach the client; it must fit beside all other metadata. */
const MAX_MESSAGE_CHARS = 1024;

/** Begins every answer of the router. */
export const RESPONSE_START: HeaderList = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** How an answer must be written so that it fits where it is put. */
export interface AnswerPlace {
  readonly streamId: number;
  /** The VM's response headers have passed already: only trailers may follow (RFC 9113 §8.1). */
  readonly responseStarted: boolean;
  /** The client still sends: it is told to stop (RFC 9113 §8.1, RST_STREAM with NO_ERROR). */
  readonly clientSends: boolean;
  /** Writes the header blocks to the client. */
  readonly encoder: HpackEncoder;
}

/** A gRPC answer without content ("Trailers-Only" of gRPC over HTTP2), to be sent at once: it is encoded for its place among others. */
export function answerFrames(answer: OwnStatus, place: AnswerPlace): Buffer {
  const status = statusFields(answer.status, answer.message.slice(0, MAX_MESSAGE_CHARS), answer.metadata);
  const fields = place.responseStarted ? status : [...RESPONSE_START, ...status];
  const frames = headerFrames(place.streamId, place.encoder.encode(fields), true);
  return place.clientSends
    ? Buffer.concat([frames, rstStreamFrame(place.streamId, ErrorCode.NO_ERROR)])
    : frames;
}
