import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { build } from "esbuild";

/** The guest service as files that lie in one folder of the guest. */
export type GuestProgram = ReadonlyMap<string, Uint8Array>;

/** Name of the file that Node.js starts. */
export const GUEST_ENTRY = "guest.cjs";

const GUEST_SOURCE = join(import.meta.dirname, "../../guest");

/**
 * Bundles the guest service into one file, with the .proto files that it reads beside it.
 *
 * @param source the guest's source folder
 */
export async function bundleGuestService(source: string = GUEST_SOURCE): Promise<GuestProgram> {
  const code = await bundle(join(source, "program.ts"));
  const files = new Map<string, Uint8Array>([[GUEST_ENTRY, code]]);
  for (const name of (await readdir(source)).filter((candidate) => candidate.endsWith(".proto"))) {
    files.set(name, await readFile(join(source, name)));
  }
  return files;
}

/** Bundles the program that serves instance metadata for one connection; QEMU starts it. */
export function bundleMetadataProgram(): Promise<Uint8Array> {
  return bundle(join(import.meta.dirname, "metadata-program.ts"));
}

/** Bundles the program that serves a file for one connection; QEMU starts it. */
export function bundleFileProgram(): Promise<Uint8Array> {
  return bundle(join(import.meta.dirname, "file-program.ts"));
}

async function bundle(entry: string): Promise<Uint8Array> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    platform: "node",
    // CommonJS starts faster than an ES module: no asynchronous loader is set up.
    format: "cjs",
    target: "node24",
    define: { "import.meta.dirname": "__dirname" },
    legalComments: "none",
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.contents ?? new Uint8Array();
}
