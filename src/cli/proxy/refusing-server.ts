import type { Duplex } from "node:stream";
import { encodeFields, frameHeader, PREFACE } from "./header-injector.ts";

const HEADERS = 0x1;
const SETTINGS = 0x4;
const PING = 0x6;
const ACK = 0x1;
const END_HEADERS_AND_STREAM = 0x5;
const FRAME_HEADER_BYTES = 9;
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
  client.write(frameHeader(0, SETTINGS, 0, 0));
  let newest = 0;
  let pending = Buffer.concat(received).subarray(PREFACE.length);
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
      const stream = pending.readUInt32BE(5) & 0x7fff_ffff;
      if (type === SETTINGS && (flags & ACK) === 0) {
        client.write(frameHeader(0, SETTINGS, ACK, 0));
      } else if (type === PING && (flags & ACK) === 0) {
        client.write(
          Buffer.concat([frameHeader(8, PING, ACK, 0), pending.subarray(FRAME_HEADER_BYTES, end)]),
        );
      } else if (type === HEADERS && stream > newest) {
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
      ["grpc-message", percentEncode(message)],
    ]),
  ]);
  return Buffer.concat([frameHeader(block.length, HEADERS, END_HEADERS_AND_STREAM, stream), block]);
}

/** "Percent-Byte-Unencoded" of gRPC over HTTP/2: printable ASCII but for the percent sign. */
function percentEncode(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCodePoint(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");
}
