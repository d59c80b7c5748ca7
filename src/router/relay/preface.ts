import { CLIENT_PREFACE } from "../../http2/protocol.ts";

/** What the first bytes of a connection are. */
export type PrefaceVerdict = "incomplete" | "http2" | "http1" | "other";

/** A request line of HTTP/1 (RFC 9112 §3), and one that has not come whole. */
const REQUEST_LINE = /^[A-Z]+ [^ \r\n]+ HTTP\/1\.[01]\r?\n/;
const REQUEST_LINE_START = /^[A-Z]{1,16}(?: [^\r\n]*)?$/;
/** A longer request line gets no answer. */
const MAX_REQUEST_LINE_CHARS = 8192;

/** Judges the first bytes of a connection: the preface is exact (RFC 9113 §3.4). */
export function judgePreface(bytes: Buffer): PrefaceVerdict {
  const length = Math.min(bytes.length, CLIENT_PREFACE.length);
  if (CLIENT_PREFACE.compare(bytes, 0, length, 0, length) === 0) {
    return length === CLIENT_PREFACE.length ? "http2" : "incomplete";
  }
  const text = bytes.toString("latin1");
  if (REQUEST_LINE.test(text)) {
    return "http1";
  }
  return REQUEST_LINE_START.test(text) && text.length <= MAX_REQUEST_LINE_CHARS ? "incomplete" : "other";
}

const EXPLANATION = "This port speaks HTTP/2 only, without upgrade (gRPC).\n";

/**
 * The answer to HTTP/1 (RFC 9110 §15.5.22).
 *
 * @param protocol what to use instead: "h2" over TLS, "h2c" in the clear
 */
export function upgradeRequired(protocol: "h2" | "h2c"): Buffer {
  const lines = [
    "HTTP/1.1 426 Upgrade Required",
    `Upgrade: ${protocol}`,
    "Connection: Upgrade, close",
    "Content-Type: text/plain",
    `Content-Length: ${EXPLANATION.length}`,
    "",
    EXPLANATION,
  ];
  return Buffer.from(lines.join("\r\n"), "latin1");
}
