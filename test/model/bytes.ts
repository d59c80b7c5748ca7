/** A view of one stretch of a byte array under field names; each field is one byte, 0 to 255. */
export type Fields<Name extends string> = { -readonly [K in Name]: number } & { readonly at: number };

/** A layout of named bytes, and the constructor of its views. */
export interface Layout<Name extends string> {
  /** Length of one record in bytes. */
  readonly size: number;
  /** The field names, in the order of their bytes. */
  readonly names: readonly Name[];
  /** Lays the names over `bytes`, beginning at offset `at`. */
  view(bytes: Uint8Array, at: number): Fields<Name>;
}

/**
 * Names the bytes of a record, so that a model state is one flat byte array (cheap to copy, hash and
 * compare) and still reads as `router.held`.
 *
 * @param names field names in byte order
 */
export function layout<const Names extends readonly string[]>(names: Names): Layout<Names[number]> {
  class View {
    readonly bytes: Uint8Array;
    readonly at: number;
    constructor(bytes: Uint8Array, at: number) {
      this.bytes = bytes;
      this.at = at;
    }
  }
  for (const [offset, name] of names.entries()) {
    Object.defineProperty(View.prototype, name, {
      get(this: View): number {
        return this.bytes[this.at + offset] as number;
      },
      set(this: View, value: number) {
        this.bytes[this.at + offset] = value;
      },
    });
  }
  return {
    size: names.length,
    names,
    view: (bytes, at) => new View(bytes, at) as unknown as Fields<Names[number]>,
  };
}
