import type { HeaderField } from "./static-table.ts";

/** Fields that speak about an HTTP/1 connection and must not occur in HTTP/2 (RFC 9113 §8.2.2). */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** RFC 9110 §5.6.2 token characters, without upper case (RFC 9113 §8.2.1). */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Forbidden anywhere in a value, or at either end (RFC 9113 §8.2.1). */
// oxlint-disable-next-line no-control-regex -- these are the characters that must not occur
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** RFC 9110 §15: three digits, the first of which says the class. */
const STATUS = /^[1-5]\d\d$/;

const REQUIRED_PSEUDO: readonly string[] = [":method", ":scheme", ":path"];
const REQUEST_PSEUDO: ReadonlySet<string> = new Set([...REQUIRED_PSEUDO, ":authority"]);

/**
 * Checks the fields of a request (RFC 9113 §8.2, §8.3.1). CONNECT is refused: the router forwards requests
 * to one port of one machine and is no tunnel; extended CONNECT (RFC 8441) was not offered.
 *
 * @returns what is wrong, or undefined
 */
export function requestProblem(fields: readonly HeaderField[]): string | undefined {
  const seen = new Map<string, string>();
  let place = 0;
  for (; place < fields.length; place += 1) {
    const [name, value] = fields[place] ?? ["", ""];
    if (!name.startsWith(":")) {
      break;
    }
    if (!REQUEST_PSEUDO.has(name)) {
      return `${printable(name)} is not a pseudo-header of requests`;
    }
    if (seen.has(name)) {
      return `${name} occurs twice`;
    }
    if (BAD_VALUE.test(value)) {
      return `${name} has a forbidden character`;
    }
    seen.set(name, value);
  }
  const missing = REQUIRED_PSEUDO.find((name) => !seen.has(name));
  if (seen.get(":method") === "CONNECT") {
    return "CONNECT is not supported";
  }
  if (missing !== undefined) {
    return `${missing} is missing`;
  }
  if (seen.get(":path") === "") {
    return ":path is empty";
  }
  return regularFieldsProblem(fields, place);
}

/**
 * Checks the fields of a request's trailers, which have no pseudo-headers (RFC 9113 §8.1).
 *
 * @returns what is wrong, or undefined
 */
export function trailersProblem(fields: readonly HeaderField[]): string | undefined {
  return regularFieldsProblem(fields, 0);
}

/**
 * Checks the fields of an answer, or of its trailers, which have no status (RFC 9113 §8.2, §8.3.2).
 *
 * @returns what is wrong, or undefined
 */
export function responseProblem(fields: readonly HeaderField[]): string | undefined {
  const [name, value = ""] = fields[0] ?? [];
  if (name !== ":status") {
    return regularFieldsProblem(fields, 0);
  }
  return STATUS.test(value) ? regularFieldsProblem(fields, 1) : ":status is no status";
}

function regularFieldsProblem(fields: readonly HeaderField[], from: number): string | undefined {
  for (let place = from; place < fields.length; place += 1) {
    const [name, value] = fields[place] ?? ["", ""];
    if (!FIELD_NAME.test(name)) {
      return `${printable(name)} is not a field name, or stands behind regular fields`;
    }
    if (CONNECTION_SPECIFIC.has(name) || (name === "te" && value !== "trailers")) {
      return `${name} is specific to an HTTP/1 connection`;
    }
    if (BAD_VALUE.test(value)) {
      return `${name} has a forbidden character in its value`;
    }
  }
  return undefined;
}

function printable(name: string): string {
  return JSON.stringify(name.slice(0, 64));
}
