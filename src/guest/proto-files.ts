import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The guest's .proto files, imports before what imports them. */
export const PROTO_FILES = ["execution.proto", "agent.proto", "health.proto"] as const;

export type ProtoFile = (typeof PROTO_FILES)[number];

/** Texts of the .proto files in a program that is one file; build/bundle.ts puts them in place of this name. */
declare const BUNDLED_PROTO_FILES: Readonly<Record<ProtoFile, string>>;

/** Text of a .proto file: from the bundle that this module is part of, else from `directory`. */
export function readProtoFile(name: ProtoFile, directory: string): string {
  return typeof BUNDLED_PROTO_FILES === "undefined"
    ? readFileSync(join(directory, name), "utf8")
    : BUNDLED_PROTO_FILES[name];
}
