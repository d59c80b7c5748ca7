import type { HeaderField } from "./static-table.ts";

/** What HPACK adds to the octets of a field for its bookkeeping (RFC 7541 §4.1). */
export const FIELD_OVERHEAD_BYTES = 32;

const FIRST_CAPACITY = 16;

/** Size of a field as HPACK and MAX_HEADER_LIST_SIZE count it (RFC 7541 §4.1, RFC 9113 §6.5.2). */
export function fieldSizeBytes(field: HeaderField): number {
  return field[0].length + field[1].length + FIELD_OVERHEAD_BYTES;
}

/**
 * The HPACK dynamic table (RFC 7541 §2.3.2): a flat ring of fields, newest first by index. Fields are
 * strings and not slices of receive buffers: a small slice would keep its whole buffer alive.
 */
export class DynamicTable {
  #ring: (HeaderField | undefined)[] = [];
  /** Place of the newest field. */
  #newest = 0;
  #count = 0;
  #sizeBytes = 0;
  #maxBytes: number;
  #generation = 0;
  readonly #onEvict: ((field: HeaderField) => void) | undefined;

  /**
   * @param maxBytes size at the start, before any size update
   * @param onEvict called for each field that leaves the table, oldest first
   */
  constructor(maxBytes: number, onEvict?: (field: HeaderField) => void) {
    this.#maxBytes = maxBytes;
    this.#onEvict = onEvict;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Rises with every change of the table: a block of the same bytes means the same fields until it does. */
  get generation(): number {
    return this.#generation;
  }

  /** @param place 0 is the newest field */
  get(place: number): HeaderField | undefined {
    return place < this.#count ? this.#ring[(this.#newest + place) & (this.#ring.length - 1)] : undefined;
  }

  /** Adds a field and evicts what no longer fits; a field larger than the table empties it (§4.4). */
  insert(field: HeaderField): void {
    this.#generation += 1;
    const sizeBytes = fieldSizeBytes(field);
    this.#evictTo(this.#maxBytes - sizeBytes);
    if (sizeBytes > this.#maxBytes) {
      return;
    }
    if (this.#count === this.#ring.length) {
      this.#grow();
    }
    this.#newest = (this.#newest - 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count += 1;
    this.#sizeBytes += sizeBytes;
  }

  /** Sets the size that the peer's encoder uses from here on (§4.3). */
  resize(maxBytes: number): void {
    this.#generation += 1;
    this.#maxBytes = maxBytes;
    this.#evictTo(maxBytes);
  }

  #evictTo(sizeBytes: number): void {
    while (this.#count > 0 && this.#sizeBytes > sizeBytes) {
      const oldest = (this.#newest + this.#count - 1) & (this.#ring.length - 1);
      const field = this.#ring[oldest];
      this.#ring[oldest] = undefined;
      this.#count -= 1;
      if (field !== undefined) {
        this.#sizeBytes -= fieldSizeBytes(field);
        this.#onEvict?.(field);
      }
    }
  }

  /** The ring starts empty and doubles: an idle connection that indexes little costs little. */
  #grow(): void {
    const grown: (HeaderField | undefined)[] = Array.from({
      length: Math.max(FIRST_CAPACITY, this.#ring.length * 2),
    });
    for (let place = 0; place < this.#count; place += 1) {
      grown[place] = this.get(place);
    }
    this.#ring = grown;
    this.#newest = 0;
  }
}
