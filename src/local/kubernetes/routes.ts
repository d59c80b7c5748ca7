import type { Resource } from "./resource.ts";

/** A parsed path below /api/v1 or /apis/GROUP/VERSION. */
export interface ObjectPath {
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly plural: string;
  readonly name: string;
  readonly subresource: string;
  /** Whether it has the old form for watches, with `watch` after the version. */
  readonly isWatch: boolean;
}

const NAMESPACE_SUBRESOURCES = new Set(["status", "finalize"]);

/**
 * Parses a path: `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE` and its shorter forms,
 * and the deprecated `/apis/GROUP/VERSION/watch/…`, which old clients still ask for.
 *
 * @returns undefined when it does not lead to objects
 */
export function parseObjectPath(path: string): ObjectPath | undefined {
  const [root, ...parts] = path
    .split("/")
    .filter((part) => part !== "")
    .map(decodePart);
  if (root !== "api" && root !== "apis") {
    return undefined;
  }
  const group = root === "api" ? "" : (parts.shift() ?? "");
  const version = parts.shift() ?? "";
  const isWatch = parts[0] === "watch" && parts.length > 1;
  if (isWatch) {
    parts.shift();
  }
  const isNamespaced =
    parts[0] === "namespaces" && parts.length > 2 && !NAMESPACE_SUBRESOURCES.has(parts[2] ?? "");
  const namespace = isNamespaced ? (parts[1] ?? "") : "";
  const [plural, name = "", subresource = "", ...rest] = isNamespaced ? parts.slice(2) : parts;
  if (plural === undefined || rest.length > 0) {
    return undefined;
  }
  return { group, version, namespace, plural, name, subresource, isWatch };
}

/** A part that is not valid percent-encoding stays as it is, and matches no object. */
function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The resource that a path means. */
export function findResource(resources: readonly Resource[], path: ObjectPath): Resource | undefined {
  return resources.find(
    ({ group, version, plural }) =>
      group === path.group && version === path.version && plural === path.plural,
  );
}
