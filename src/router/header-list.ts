import type { HeaderList } from "./engine.ts";

/** Every value of a header field, in order. `name` in lower case. */
export function valuesOf(headers: HeaderList, name: string): string[] {
  const values: string[] = [];
  for (const [candidate, value] of headers) {
    if (candidate === name) {
      values.push(value);
    }
  }
  return values;
}

/** The first value of a header field. `name` in lower case. */
export function firstValue(headers: HeaderList, name: string): string | undefined {
  for (const [candidate, value] of headers) {
    if (candidate === name) {
      return value;
    }
  }
  return undefined;
}
