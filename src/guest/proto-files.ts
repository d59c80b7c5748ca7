import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The .proto files of the guest's own service, imports before what imports them. */
export const PROTO_FILES = ["execution.proto", "agent.proto", "health.proto"] as const;

/** The one of a guest of kind buildkit. */
export const BUILDKIT_PROTO_FILE = "buildkit.proto";

export type ProtoFile = (typeof PROTO_FILES)[number] | typeof BUILDKIT_PROTO_FILE;

/** JSON of the texts by name, for a program without files; build/bundle.ts puts it in place of this name. */
declare const BUNDLED_PROTO_FILES: string;

/** Text of a .proto file: from the bundle that this module is part of, else from `directory`. */
export function readProtoFile(name: ProtoFile, directory: string): string {
  return typeof BUNDLED_PROTO_FILES === "undefined"
    ? readFileSync(join(directory, name), "utf8")
    : (JSON.parse(BUNDLED_PROTO_FILES) as Record<ProtoFile, string>)[name];
}
