/** What the final stage of the Dockerfile says of the image, so that it is said once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The part of an image's configuration that programs are started by (OCI image specification, "Image Configuration"). */
export interface ImageConfig {
  readonly Env: readonly string[];
  readonly User: string;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
}

/** Words of an instruction such as `ENV A=1 B="two words"`, by name. */
function pairsOf(text: string): [string, string][] {
  return [...text.matchAll(/(?<name>[\w.]+)=(?:"(?<quoted>[^"]*)"|(?<plain>\S+))/g)].map(({ groups }) => [
    groups?.["name"] ?? "",
    groups?.["quoted"] ?? groups?.["plain"] ?? "",
  ]);
}

/**
 * Reads the final stage. It may hold what is read here, COPY, and nothing else.
 *
 * @throws Error on any other instruction
 */
export function imageConfigOf(dockerfile: string): ImageConfig {
  const [, final = ""] = dockerfile.replaceAll("\\\n", "").split(/^FROM scratch$/m);
  const found = new Map<string, string[]>();
  for (const line of final.split("\n").filter((each) => each !== "" && !each.startsWith("#"))) {
    const [, name = "", rest = ""] = /^(\w+) (.*)$/.exec(line) ?? [];
    found.set(name, [...(found.get(name) ?? []), rest]);
  }
  const known = new Set(["COPY", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD", "LABEL"]);
  const strange = [...found.keys()].find((name) => !known.has(name));
  if (strange !== undefined) {
    throw new Error(
      `releases do not know ${strange} in the Dockerfile; add it to build/release/dockerfile.ts`,
    );
  }
  const last = (name: string): string => found.get(name)?.at(-1) ?? "";
  const pairs = (name: string): [string, string][] => (found.get(name) ?? []).flatMap(pairsOf);
  return {
    Env: pairs("ENV").map(([name, value]) => `${name}=${value}`),
    User: last("USER"),
    ExposedPorts: Object.fromEntries(
      last("EXPOSE")
        .split(" ")
        .map((port) => [`${port}/tcp`, {}]),
    ),
    Entrypoint: JSON.parse(last("ENTRYPOINT")) as string[],
    Cmd: JSON.parse(last("CMD")) as string[],
    Labels: Object.fromEntries(pairs("LABEL")),
  };
}

export const readImageConfig = (root: string): ImageConfig =>
  imageConfigOf(readFileSync(join(root, "Dockerfile"), "utf8"));
