/** One entry of an archive. Paths are relative and have no leading slash. */
export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Uint8Array };

const TYPE_BITS = { directory: 0o040000, file: 0o100000 } as const;
const TRAILER = "TRAILER!!!";

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

function record(fields: readonly number[], name: string, content: Uint8Array): Buffer[] {
  const header = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
  const head = Buffer.from(`${header}${name}\0`);
  return [head, padding(head.length), Buffer.from(content), padding(content.length)];
}

/**
 * Writes an archive in the "newc" format, which is what the Linux kernel unpacks as an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root, and times are
 * zero, so that equal entries give equal bytes.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [index, entry] of entries.entries()) {
    const content = entry.kind === "file" ? entry.content : new Uint8Array();
    const links = entry.kind === "directory" ? 2 : 1;
    parts.push(
      ...record(
        [index + 1, TYPE_BITS[entry.kind] | entry.mode, 0, 0, links, 0, content.length]
          .concat([0, 0, 0, 0])
          .concat([Buffer.byteLength(entry.path) + 1, 0]),
        entry.path,
        content,
      ),
    );
  }
  parts.push(...record([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, TRAILER.length + 1, 0], TRAILER, new Uint8Array()));
  return Buffer.concat(parts);
}
