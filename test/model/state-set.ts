/**
 * A set of states of one length, numbered in the order of their arrival. States lie end to end in one array and
 * an open-addressing table points into it: about 4 bytes over the state itself for each.
 */
export class StateSet {
  readonly wordsPerState: number;
  size = 0;
  private words: Int32Array;
  private table: Int32Array;

  /** @param wordsPerState length of a state in 32-bit words */
  constructor(wordsPerState: number) {
    this.wordsPerState = wordsPerState;
    this.words = new Int32Array(wordsPerState * (1 << 14));
    this.table = new Int32Array(1 << 16).fill(-1);
  }

  /**
   * Adds a state.
   *
   * @returns its number when it is new; -1 - its number when it was there
   */
  add(state: Int32Array): number {
    if ((this.size + 1) * 2 > this.table.length) this.growTable();
    const { table, wordsPerState } = this;
    const mask = table.length - 1;
    let slot = hash(state, 0, wordsPerState) & mask;
    for (;;) {
      const found = table[slot] as number;
      if (found === -1) break;
      if (this.equals(found, state)) return -1 - found;
      slot = (slot + 1) & mask;
    }
    table[slot] = this.size;
    if ((this.size + 1) * wordsPerState > this.words.length) this.growWords();
    this.words.set(state, this.size * wordsPerState);
    this.size += 1;
    return this.size - 1;
  }

  /** Copies state number `index` into `target`. */
  read(index: number, target: Int32Array): void {
    const from = index * this.wordsPerState;
    for (let word = 0; word < this.wordsPerState; word += 1) target[word] = this.words[from + word] as number;
  }

  private equals(index: number, state: Int32Array): boolean {
    const from = index * this.wordsPerState;
    for (let word = 0; word < this.wordsPerState; word += 1) {
      if (this.words[from + word] !== state[word]) return false;
    }
    return true;
  }

  private growWords(): void {
    const larger = new Int32Array(this.words.length * 2);
    larger.set(this.words);
    this.words = larger;
  }

  private growTable(): void {
    const table = new Int32Array(this.table.length * 2).fill(-1);
    const mask = table.length - 1;
    for (let index = 0; index < this.size; index += 1) {
      let slot = hash(this.words, index * this.wordsPerState, this.wordsPerState) & mask;
      while (table[slot] !== -1) slot = (slot + 1) & mask;
      table[slot] = index;
    }
    this.table = table;
  }
}

/** MurmurHash3 over 32-bit words (Appleby, public domain algorithm). */
function hash(words: Int32Array, from: number, count: number): number {
  let h = count;
  for (let i = from; i < from + count; i += 1) {
    let k = Math.imul(words[i] as number, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, 0x1b873593);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
