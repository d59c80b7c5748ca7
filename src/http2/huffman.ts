import { Http2ConnectionError } from "./errors.ts";
import { ErrorCode } from "./protocol.ts";

/** The end-of-string symbol, which must never occur in a string (RFC 7541 §5.2). */
const EOS = 256;

/**
 * The symbols of each code length (RFC 7541 Appendix B). The code is canonical: within a length the codes
 * count up in the order of the symbols, so the lengths say everything.
 */
const SYMBOLS_BY_LENGTH: readonly (readonly [bits: number, symbols: readonly number[]])[] = [
  [5, [48, 49, 50, 97, 99, 101, 105, 111, 115, 116]],
  [
    6,
    [
      32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112,
      114, 117,
    ],
  ],
  [7, [58, ...range(66, 87), 89, 106, 107, 113, 118, 119, 120, 121, 122]],
  [8, [38, 42, 44, 59, 88, 90]],
  [10, [33, 34, 40, 41, 63]],
  [11, [39, 43, 124]],
  [12, [35, 62]],
  [13, [0, 36, 64, 91, 93, 126]],
  [14, [94, 125]],
  [15, [60, 96, 123]],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190,
      196, 198, 228, 232, 233,
    ],
  ],
  [
    23,
    [
      1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175,
      180, 182, 183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, [203, 204, 211, 212, 214, 221, 222, 223, 241, ...range(244, 248), ...range(250, 254)]],
  [28, [...range(2, 8), 11, 12, ...range(14, 21), ...range(23, 31), 127, 220, 249]],
  [30, [10, 13, 22, EOS]],
];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_unused, index) => first + index);
}

/**
 * The decoder walks the code tree four bits at a time. A transition is packed into 32 bits: the next state,
 * whether a symbol came out (at most one: no code is shorter than five bits) and which, whether the string
 * may end here, and whether the bits were those of EOS.
 */
const STATE_MASK = 0xffff;
const SYMBOL_SHIFT = 16;
const EMITS = 1 << 24;
const MAY_END = 1 << 25;
const IS_EOS = 1 << 26;

interface TreeNode {
  readonly children: [TreeNode | undefined, TreeNode | undefined];
  symbol: number;
  state: number;
  mayEnd: boolean;
}

function newNode(): TreeNode {
  return { children: [undefined, undefined], symbol: -1, state: -1, mayEnd: false };
}

/** Calls `take` with every symbol, its code and the code's length. */
function forEachCode(take: (symbol: number, code: number, bits: number) => void): void {
  let code = 0;
  let previousBits = 0;
  for (const [bits, symbols] of SYMBOLS_BY_LENGTH) {
    code <<= bits - previousBits;
    previousBits = bits;
    for (const symbol of symbols) {
      take(symbol, code, bits);
      code += 1;
    }
  }
}

function addSymbol(root: TreeNode, symbol: number, code: number, bits: number): void {
  let node = root;
  for (let bit = bits - 1; bit >= 0; bit -= 1) {
    const side = ((code >>> bit) & 1) as 0 | 1;
    const next = node.children[side] ?? newNode();
    node.children[side] = next;
    node = next;
  }
  node.symbol = symbol;
}

function buildTree(): TreeNode {
  const root = newNode();
  forEachCode((symbol, code, bits) => addSymbol(root, symbol, code, bits));
  return root;
}

/** Numbers the inner nodes, and marks those after at most seven one-bits: padding ends there (§5.2). */
function numberStates(root: TreeNode): TreeNode[] {
  const inner: TreeNode[] = [];
  const queue = [root];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    if (node.symbol < 0) {
      node.state = inner.length;
      inner.push(node);
      queue.push(...node.children.filter((child) => child !== undefined));
    }
  }
  let padding: TreeNode | undefined = root;
  for (let ones = 0; ones <= 7 && padding !== undefined; ones += 1) {
    padding.mayEnd = true;
    padding = padding.children[1];
  }
  return inner;
}

function transition(root: TreeNode, from: TreeNode, nibble: number): number {
  let node = from;
  let packed = 0;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const next = node.children[((nibble >>> bit) & 1) as 0 | 1];
    if (next === undefined || next.symbol === EOS) {
      return IS_EOS;
    }
    node = next;
    if (node.symbol >= 0) {
      packed |= EMITS | (node.symbol << SYMBOL_SHIFT);
      node = root;
    }
  }
  return packed | node.state | (node.mayEnd ? MAY_END : 0);
}

function buildTransitions(): Int32Array {
  const root = buildTree();
  const states = numberStates(root);
  const table = new Int32Array(states.length * 16);
  for (const node of states) {
    for (let nibble = 0; nibble < 16; nibble += 1) {
      table[node.state * 16 + nibble] = transition(root, node, nibble);
    }
  }
  return table;
}

const TRANSITIONS = buildTransitions();

/** Most bytes that `encodedBytes` of Huffman code can stand for: the shortest code has five bits. */
export function maxDecodedBytes(encodedBytes: number): number {
  return Math.floor((encodedBytes * 8) / 5);
}

/**
 * Decodes a Huffman-coded string (RFC 7541 §5.2).
 *
 * @param target must have room for {@link maxDecodedBytes} of the length
 * @returns the number of bytes written from the start of `target`
 * @throws Http2ConnectionError COMPRESSION_ERROR for EOS in the string, or padding that is longer than seven
 *   bits or not all ones
 */
export function decodeHuffman(source: Uint8Array, from: number, to: number, target: Uint8Array): number {
  let state = 0;
  let written = 0;
  let last = MAY_END;
  for (let at = from; at < to; at += 1) {
    const byte = source[at] ?? 0;
    const high = TRANSITIONS[(state << 4) | (byte >>> 4)] ?? IS_EOS;
    if ((high & EMITS) !== 0) {
      target[written] = (high >>> SYMBOL_SHIFT) & 0xff;
      written += 1;
    }
    last = TRANSITIONS[((high & STATE_MASK) << 4) | (byte & 0xf)] ?? IS_EOS;
    if ((last & EMITS) !== 0) {
      target[written] = (last >>> SYMBOL_SHIFT) & 0xff;
      written += 1;
    }
    if (((high | last) & IS_EOS) !== 0) {
      throw new Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, "the end-of-string symbol in a string");
    }
    state = last & STATE_MASK;
  }
  if ((last & MAY_END) === 0) {
    throw new Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, "a Huffman-coded string with wrong padding");
  }
  return written;
}

const CODES = new Uint32Array(EOS + 1);
const CODE_BITS = new Uint8Array(EOS + 1);
forEachCode((symbol, code, bits) => {
  CODES[symbol] = code;
  CODE_BITS[symbol] = bits;
});

/** How many octets {@link encodeHuffman} writes for a string of octets. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index += 1) {
    bits += CODE_BITS[text.charCodeAt(index) & 0xff] ?? 0;
  }
  return Math.ceil(bits / 8);
}

/**
 * Huffman-codes a string of octets (RFC 7541 §5.2), padded with the beginning of EOS.
 *
 * @param target must have room for {@link huffmanBytes} from `at` on
 * @returns the place behind the string
 */
export function encodeHuffman(text: string, target: Uint8Array, at: number): number {
  let next = at;
  // At most 7 bits that are left and a code of 30: exact as a number, too long for operators on 32 bits.
  let pending = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index += 1) {
    const symbol = text.charCodeAt(index) & 0xff;
    pending = pending * 2 ** (CODE_BITS[symbol] ?? 0) + (CODES[symbol] ?? 0);
    bits += CODE_BITS[symbol] ?? 0;
    while (bits >= 8) {
      bits -= 8;
      target[next] = Math.floor(pending / 2 ** bits);
      next += 1;
      pending %= 2 ** bits;
    }
  }
  if (bits > 0) {
    target[next] = ((pending + 1) << (8 - bits)) - 1;
    next += 1;
  }
  return next;
}
