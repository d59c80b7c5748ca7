/**
 * Reads which shared libraries a program names, without running it: it may be for another processor, which ldd cannot
 * tell. From the ELF specification (64 bits, least significant byte first), as elf(5) describes it.
 */

import { basename } from "node:path/posix";

const SEGMENT_LOAD = 1;
const SEGMENT_DYNAMIC = 2;
const SEGMENT_INTERPRETER = 3;
const TAG_NEEDED = 1;
const TAG_STRING_TABLE = 5;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

function segmentsOf(file: Buffer): Segment[] {
  const start = Number(file.readBigUInt64LE(32));
  const entrySize = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      size: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

function stringAt(file: Buffer, offset: number): string {
  return file.toString("latin1", offset, file.indexOf(0, offset));
}

function loaderAmong(segments: readonly Segment[], file: Buffer): string | undefined {
  const segment = segments.find(({ type }) => type === SEGMENT_INTERPRETER);
  return segment === undefined ? undefined : stringAt(file, segment.offset);
}

/** Path at which the kernel looks for a program's loader, such as "/lib64/ld-linux-x86-64.so.2"; libraries name none. */
export function loaderOf(file: Buffer): string | undefined {
  return loaderAmong(segmentsOf(file), file);
}

/**
 * Names of the libraries that a program or library is linked with, its loader among them.
 *
 * @throws Error when the file is no 64-bit little-endian ELF file
 */
export function neededLibraries(file: Buffer): string[] {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error("this is no ELF file of 64 bits in little-endian order");
  }
  const segments = segmentsOf(file);
  const loader = loaderAmong(segments, file);
  const interpreter = loader === undefined ? [] : [basename(loader)];
  const dynamic = segments.find(({ type }) => type === SEGMENT_DYNAMIC);
  if (dynamic === undefined) {
    return interpreter;
  }
  const entries = Array.from({ length: dynamic.size / 16 }, (_, index) => ({
    tag: Number(file.readBigInt64LE(dynamic.offset + index * 16)),
    value: Number(file.readBigUInt64LE(dynamic.offset + index * 16 + 8)),
  }));
  const address = entries.find(({ tag }) => tag === TAG_STRING_TABLE)?.value ?? 0;
  const segment = segments.find(
    (each) => each.type === SEGMENT_LOAD && address >= each.address && address < each.address + each.size,
  );
  if (segment === undefined) {
    return interpreter;
  }
  const strings = address - segment.address + segment.offset;
  const needed = entries.filter(({ tag }) => tag === TAG_NEEDED);
  return [...interpreter, ...needed.map(({ value }) => stringAt(file, strings + value))];
}
