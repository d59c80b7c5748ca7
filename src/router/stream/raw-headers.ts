import { sensitiveHeaders, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";

import type { HeaderList } from "../engine.ts";

/** Pairs from node's raw list (name, value, name, value …), in the order in which they came. */
export function fromRaw(raw: readonly string[]): HeaderList {
  const headers: (readonly [string, string])[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    headers.push([raw[i] ?? "", raw[i + 1] ?? ""]);
  }
  return headers;
}

/**
 * Node's raw list from pairs. Fields of one name stay separate: joined by commas, BuildKit would not know its session's
 * methods again.
 *
 * @param received the headers as node parsed them, which say what the sender marked as never to be indexed
 */
export function toRaw(headers: HeaderList, received?: IncomingHttpHeaders): string[] {
  const raw: string[] = [];
  for (const [name, value] of headers) {
    raw.push(name, value);
  }
  return withSensitive(raw, received);
}

/** Marks what the sender marked as never to be indexed (RFC 7541 section 7.1.3: intermediaries must keep it). */
export function withSensitive<T extends object>(target: T, received: IncomingHttpHeaders | undefined): T {
  const sensitive: unknown = received === undefined ? undefined : Reflect.get(received, sensitiveHeaders);
  if (Array.isArray(sensitive) && sensitive.length > 0) {
    Reflect.set(target, sensitiveHeaders, sensitive);
  }
  return target;
}

/** Trailers in the form that node's `sendTrailers` takes: lists for fields that come more than once. */
export function toTrailers(headers: HeaderList): OutgoingHttpHeaders {
  const trailers: Record<string, string | string[]> = Object.create(null) as Record<
    string,
    string | string[]
  >;
  for (const [name, value] of headers) {
    const before = trailers[name];
    if (before === undefined) {
      trailers[name] = value;
    } else if (Array.isArray(before)) {
      before.push(value);
    } else {
      trailers[name] = [before, value];
    }
  }
  return trailers;
}
