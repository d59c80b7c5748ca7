/**
 * Percent-encodes a `grpc-message`: every byte of its UTF-8 form outside 0x20-0x7e, and the percent sign (gRPC over
 * HTTP2, "Responses", Status-Message).
 */
export function encodeGrpcMessage(message: string): string {
  let encoded = "";
  for (const byte of Buffer.from(message, "utf8")) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
