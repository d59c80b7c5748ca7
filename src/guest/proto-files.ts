import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The guest's .proto files, imports before what imports them. */
export const PROTO_FILES = ["execution.proto", "agent.proto", "health.proto"] as const;

export type ProtoFile = (typeof PROTO_FILES)[number];

/** JSON of the texts by name, for a program without files; build/bundle.ts puts it in place of this name. */
declare const BUNDLED_PROTO_FILES: string;

/** Text of a .proto file: from the bundle that this module is part of, else from `directory`. */
export function readProtoFile(name: ProtoFile, directory: string): string {
  return typeof BUNDLED_PROTO_FILES === "undefined"
    ? readFileSync(join(directory, name), "utf8")
    : (JSON.parse(BUNDLED_PROTO_FILES) as Record<ProtoFile, string>)[name];
}
