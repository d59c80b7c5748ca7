/** One operation of a JSON patch (RFC 6902). */
export type PatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** Asserts that the stored object has `value` at `path`; the whole patch is refused otherwise (HTTP 422). */
export function test(path: string, value: unknown): PatchOperation {
  return { op: "test", path, value };
}

/** Sets a member of an object, there or not (RFC 6902 section 4.1). */
export function set(path: string, value: unknown): PatchOperation {
  return { op: "add", path, value };
}

/** A member name as a JSON pointer token (RFC 6901 section 3). */
export function pointerToken(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
