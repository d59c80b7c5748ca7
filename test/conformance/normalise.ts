/** JSON as it comes over the wire. */
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

const TIMESTAMPS: ReadonlySet<string> = new Set(["creationTimestamp", "deletionTimestamp"]);
const AGE = /^(?:\d+[smhdy])+$/;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Makes answers of two servers comparable: what each server chooses for itself gets a placeholder, prose is
 * left out. One instance serves one case, so that the same UID or version gets the same placeholder and a
 * write that should not move the version shows.
 */
export class Normaliser {
  readonly #names = new Map<string, string>();

  /** The comparable form of a body. */
  body(value: unknown): Json {
    if (Array.isArray(value)) {
      return value.map((each) => this.body(each));
    }
    if (!isObject(value)) {
      return (value ?? null) as Json;
    }
    if (value["kind"] === "Status" && value["apiVersion"] === "v1") {
      return this.#status(value);
    }
    if (value["kind"] === "Table") {
      return this.#table(value);
    }
    const isCollection = typeof value["kind"] === "string" && value["kind"].endsWith("List");
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [
        key,
        key === "metadata" && isObject(child) ? this.#metadata(child, isCollection) : this.body(child),
      ]),
    );
  }

  #placeholder(kind: string, value: string): string {
    const known = this.#names.get(`${kind} ${value}`);
    if (known !== undefined) {
      return known;
    }
    const count = [...this.#names.keys()].filter((key) => key.startsWith(`${kind} `)).length;
    const name = `${kind}-${count + 1}`;
    this.#names.set(`${kind} ${value}`, name);
    return name;
  }

  /** A list's own version counts writes to other objects too, so only its presence compares. */
  #metadata(metadata: JsonObject, isCollection: boolean): Json {
    const entries = Object.entries(metadata).flatMap(([key, value]): [string, Json][] => {
      if (key === "managedFields") {
        return []; // Bookkeeping of server-side apply; nothing of ours reads it.
      }
      if (TIMESTAMPS.has(key) && typeof value === "string") {
        return [[key, "time"]];
      }
      if (key === "uid" && typeof value === "string") {
        return [[key, this.#placeholder("uid", value)]];
      }
      if (key === "resourceVersion" && typeof value === "string") {
        return [[key, isCollection ? "version" : this.#placeholder("version", value)]];
      }
      if (key === "continue" && typeof value === "string" && value !== "") {
        return [[key, "token"]];
      }
      return [[key, this.body(value)]];
    });
    return Object.fromEntries(entries);
  }

  /** Code, reason, what it is about and the set of its causes; no prose. */
  #status(status: JsonObject): Json {
    const { message: _prose, metadata, details, ...rest } = status;
    return {
      ...rest,
      metadata: isObject(metadata) ? this.#metadata(metadata, true) : (metadata ?? null),
      ...(isObject(details) ? { details: this.#details(details) } : {}),
    };
  }

  #details(details: JsonObject): Json {
    const { causes, uid, ...rest } = details;
    return {
      ...rest,
      ...(typeof uid === "string" ? { uid: this.#placeholder("uid", uid) } : {}),
      ...(Array.isArray(causes)
        ? { causes: [...new Set(causes.map((cause) => this.#cause(cause)))].toSorted() }
        : {}),
    };
  }

  #cause(cause: Json): string {
    const { field, reason } = isObject(cause) ? cause : {};
    return [field, reason].map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" ");
  }

  /** Column texts are documentation; cells of ages depend on the moment. */
  #table(table: JsonObject): Json {
    const columns = (table["columnDefinitions"] as JsonObject[] | undefined) ?? [];
    const rows = (table["rows"] as JsonObject[] | undefined) ?? [];
    return {
      ...table,
      metadata: isObject(table["metadata"]) ? this.#metadata(table["metadata"], true) : null,
      columnDefinitions: columns.map(({ description: _text, ...column }) => column),
      rows: rows.map((row) => ({
        ...row,
        cells: ((row["cells"] as Json[] | undefined) ?? []).map((cell) =>
          typeof cell === "string" && AGE.test(cell) ? "age" : cell,
        ),
        object: this.body(row["object"]),
      })),
    };
  }
}

/**
 * Where two normalised values differ, one line each, such as `metadata.generation: 1 and 2`.
 *
 * @param path of the values themselves
 */
export function differences(left: unknown, right: unknown, path = ""): string[] {
  if (Array.isArray(left) && Array.isArray(right) && left.length === right.length) {
    return left.flatMap((each, index) => differences(each, right[index], `${path}[${index}]`));
  }
  if (isObject(left) && isObject(right)) {
    const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
    return keys.flatMap((key) => differences(left[key], right[key], path === "" ? key : `${path}.${key}`));
  }
  const [a, b] = [JSON.stringify(left), JSON.stringify(right)];
  return a === b ? [] : [`${path}: ${a ?? "absent"} and ${b ?? "absent"}`];
}
