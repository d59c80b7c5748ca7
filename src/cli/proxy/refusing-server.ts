import type { Duplex } from "node:stream";
import { headerFrames, pingFrame, settingsAckFrame, settingsFrame } from "../../http2/frame-writer.ts";
import { encodeGrpcMessage } from "../../http2/grpc-message.ts";
import { CLIENT_PREFACE, Flag, FRAME_HEADER_BYTES, FrameType, MAX_31_BIT } from "../../http2/protocol.ts";
import { encodeFields } from "./header-injector.ts";

/** `:status: 200` of the static table (RFC 7541, appendix A, index 8). */
const STATUS_200 = 0x88;
const UNAVAILABLE = "14";
/** Most bytes of a frame that is not over yet: a client that sends more is no gRPC client that waits for an answer. */
const MAX_PENDING = 1024 * 1024;

/**
 * Answers each gRPC call on a connection with UNAVAILABLE and a reason, so that a client's user reads why, and not that a
 * connection was reset.
 *
 * @param received what the client has sent so far
 */
export function refuseCalls(client: Duplex, received: readonly Buffer[], message: string): void {
  client.write(settingsFrame([]));
  let newest = 0;
  let pending = Buffer.concat(received).subarray(CLIENT_PREFACE.length);
  const answer = (): void => {
    for (;;) {
      if (pending.length < FRAME_HEADER_BYTES) {
        return;
      }
      const end = FRAME_HEADER_BYTES + pending.readUIntBE(0, 3);
      if (pending.length < end) {
        if (pending.length > MAX_PENDING) {
          client.destroy();
        }
        return;
      }
      const [type, flags] = [pending[3], pending[4] ?? 0];
      const stream = pending.readUInt32BE(5) & MAX_31_BIT;
      if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) {
        client.write(settingsAckFrame());
      } else if (type === FrameType.PING && (flags & Flag.ACK) === 0) {
        client.write(pingFrame(pending.subarray(FRAME_HEADER_BYTES, end), true));
      } else if (type === FrameType.HEADERS && stream > newest) {
        newest = stream;
        client.write(refusal(stream, message));
      }
      pending = pending.subarray(end);
    }
  };
  client.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    answer();
  });
  client.once("end", () => client.end());
  answer();
}

/** "Trailers-Only" of gRPC over HTTP/2. */
function refusal(stream: number, message: string): Buffer {
  const block = Buffer.concat([
    Buffer.of(STATUS_200),
    encodeFields([
      ["content-type", "application/grpc"],
      ["grpc-status", UNAVAILABLE],
      ["grpc-message", encodeGrpcMessage(message)],
    ]),
  ]);
  return headerFrames(stream, block, true);
}
