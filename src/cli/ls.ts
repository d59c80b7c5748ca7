import { SatelliteError } from "../base/errors.ts";
import { hasReason, isExpired } from "../kube/errors.ts";
import { jsonLines } from "../kube/json-lines.ts";
import type { KubeObject } from "../kube/objects.ts";
import { collectionPath, objectPath, withQuery } from "../kube/paths.ts";
import { apiVersion } from "../kube/resources.ts";
import { statusError } from "../kube/status.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import {
  cellsOf,
  Columns,
  headerOf,
  TABLE_ACCEPT,
  type Table,
  type TableColumn,
  type TableView,
} from "./table.ts";

/** How objects are written; a table when absent. */
export type OutputFormat = "wide" | "json" | "yaml" | "name";

/** Flags of `ls`. */
export interface ListFlags {
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly output?: OutputFormat;
  readonly watch?: boolean;
  /** Leave the names of columns out. */
  readonly headers: boolean;
}

/** How long a watch of the server lasts, in seconds; then another one goes on where it ended. */
const WATCH_SECONDS = 300;

/**
 * Shows satellites as `kubectl get satellites` does.
 *
 * @param names only these; all when empty
 * @throws KubeError as the API server refuses
 */
export async function list(
  names: readonly string[],
  flags: ListFlags,
  connection: Connection,
  context: CliContext,
): Promise<void> {
  if (names.length > 0 && flags.allNamespaces === true) {
    throw new SatelliteError(
      "InvalidOption",
      "a name is looked for in one namespace: leave -A out, or the name",
    );
  }
  const listing = new Listing(names, flags, connection, context);
  if (flags.output === "json" || flags.output === "yaml") {
    await listing.objects(flags.output);
  } else {
    await listing.table();
  }
}

class Listing {
  readonly #names: readonly string[];
  readonly #flags: ListFlags;
  readonly #connection: Connection;
  readonly #context: CliContext;
  readonly #view: TableView;
  readonly #columns = new Columns();
  #definitions: readonly TableColumn[] = [];
  #hasHeader = false;

  constructor(names: readonly string[], flags: ListFlags, connection: Connection, context: CliContext) {
    this.#names = names;
    this.#flags = flags;
    this.#connection = connection;
    this.#context = context;
    this.#view = { isWide: flags.output === "wide", hasNamespace: flags.allNamespaces === true };
  }

  get #namespace(): string | undefined {
    return this.#flags.allNamespaces === true ? undefined : this.#connection.namespace;
  }

  async objects(format: "json" | "yaml"): Promise<void> {
    const write = await this.#writer(format);
    if (this.#flags.watch === true) {
      // One after the other, as kubectl does.
      await this.#follow(
        async () => {
          const { items, resourceVersion } = await this.#items();
          items.forEach(write);
          return resourceVersion;
        },
        undefined,
        (object) => {
          const { metadata } = object as KubeObject;
          if (this.#isNamed(metadata.name)) {
            write(object as KubeObject);
          }
          return metadata.resourceVersion;
        },
      );
      return;
    }
    const { items } = await this.#items();
    const [first] = items;
    write(
      this.#names.length === 1 && first !== undefined
        ? first
        : { apiVersion: "v1", kind: "List", metadata: { resourceVersion: "" }, items },
    );
  }

  /** Writes objects, each after the one before. */
  async #writer(format: "json" | "yaml"): Promise<(object: object) => void> {
    const { out } = this.#context;
    if (format === "json") {
      return (object) => out.write(`${JSON.stringify(object, undefined, 4)}\n`);
    }
    const { stringify } = await import("yaml");
    let separator = "";
    return (object) => {
      out.write(separator + stringify(object, { lineWidth: 0 }));
      separator = "---\n";
    };
  }

  /** Those that are asked for, and the version to watch from. */
  async #items(): Promise<{ items: readonly KubeObject[]; resourceVersion: string }> {
    const { client, namespace } = this.#connection;
    if (this.#names.length > 0) {
      const items = await Promise.all(
        this.#names.map((name) => client.get<Satellite>(SATELLITES, { namespace, name })),
      );
      return { items, resourceVersion: items.at(-1)?.metadata.resourceVersion ?? "" };
    }
    const items: KubeObject[] = [];
    let resourceVersion = "";
    let next: string | undefined;
    do {
      const page = await client.list<Satellite>(SATELLITES, {
        ...(this.#namespace === undefined ? {} : { namespace: this.#namespace }),
        ...(this.#flags.selector === undefined ? {} : { labelSelector: this.#flags.selector }),
        limit: 500,
        ...(next === undefined ? {} : { continue: next }),
      });
      const type = { apiVersion: apiVersion(SATELLITES), kind: SATELLITES.kind };
      items.push(...page.items.map((item) => ({ ...item, ...type })));
      ({ resourceVersion, continue: next } = page);
    } while (next !== undefined);
    return { items, resourceVersion };
  }

  async table(): Promise<void> {
    const first = (): Promise<string> => this.#first();
    if (this.#flags.watch === true) {
      await this.#follow(first, TABLE_ACCEPT, (object) => {
        this.#print(object as Table);
        const last = (object as Table).rows?.at(-1)?.object as KubeObject | undefined;
        return last?.metadata.resourceVersion;
      });
    } else {
      await first();
    }
  }

  /**
   * Goes on with each change until it is stopped.
   *
   * @param first shows what is there now and returns the version to watch from
   * @param show shows a change, as `accept` asks for it, and returns its version
   */
  async #follow(
    first: () => Promise<string>,
    accept: string | undefined,
    show: (object: unknown) => string | undefined,
  ): Promise<void> {
    let version = await first();
    while (!this.#context.stop.aborted) {
      try {
        version = await this.#watch(version, accept, show);
      } catch (error) {
        if (this.#context.stop.aborted || !isExpired(error)) {
          throw error;
        }
        version = await first();
      }
    }
  }

  /** Prints what is there now; returns the version to watch from. */
  async #first(): Promise<string> {
    const tables = this.#names.length === 0 ? [await this.#get(this.#collection())] : await this.#byName();
    const rows = tables.flatMap((table) => this.#print(table));
    if (rows.length === 0 && this.#names.length === 0) {
      const where = this.#namespace === undefined ? "" : ` in ${this.#namespace} namespace`;
      // Programs are told what kubectl tells them.
      const isForPeople = this.#context.err.isTTY === true && this.#namespace !== undefined;
      const next = isForPeople ? " kubectl satellite ls -A shows those of all namespaces." : "";
      this.#context.err.write(`No resources found${where}.${next}\n`);
    }
    return tables.at(-1)?.metadata?.resourceVersion ?? "";
  }

  /** Those that are there are shown before the first that is not is complained of, as kubectl does. */
  async #byName(): Promise<Table[]> {
    const tables: Table[] = [];
    let missing: unknown;
    for (const name of this.#names) {
      try {
        tables.push(await this.#get(objectPath(SATELLITES, { namespace: this.#connection.namespace, name })));
      } catch (error) {
        if (!hasReason(error, "NotFound")) {
          throw error;
        }
        missing ??= error;
      }
    }
    if (missing !== undefined) {
      for (const table of tables) {
        this.#print(table);
      }
      throw missing;
    }
    return tables;
  }

  #collection(watchFrom?: string): string {
    const [name] = this.#names;
    return withQuery(collectionPath(SATELLITES, this.#namespace), {
      labelSelector: this.#flags.selector,
      ...(watchFrom === undefined
        ? {}
        : {
            watch: true,
            resourceVersion: watchFrom,
            timeoutSeconds: WATCH_SECONDS,
            fieldSelector: this.#names.length === 1 ? `metadata.name=${name ?? ""}` : undefined,
          }),
    });
  }

  async #get(path: string): Promise<Table> {
    return (await this.#connection.call({ method: "GET", path, accept: TABLE_ACCEPT })) as Table;
  }

  /** Shows each change until the server ends the watch; returns the version that it got to. */
  async #watch(
    from: string,
    accept: string | undefined,
    show: (object: unknown) => string | undefined,
  ): Promise<string> {
    const path = this.#collection(from);
    const body = await this.#connection.transport.open(
      { method: "GET", path, ...(accept === undefined ? {} : { accept }) },
      this.#context.stop,
    );
    let version = from;
    try {
      for await (const line of jsonLines(body)) {
        const { type, object } = line as { readonly type: string; readonly object: unknown };
        if (type === "ERROR") {
          throw statusError(object, { code: 500, request: "watch satellites" });
        }
        version = show(object) ?? version;
      }
    } finally {
      body.destroy();
    }
    return version;
  }

  #isNamed(name: string): boolean {
    return this.#names.length === 0 || this.#names.includes(name);
  }

  #print(table: Table): readonly unknown[] {
    const rows = (table.rows ?? []).filter(({ object }) => this.#isNamed(object?.metadata?.name ?? ""));
    if (this.#flags.output === "name") {
      const type = `${SATELLITES.kind.toLowerCase()}.${SATELLITES.group}`;
      this.#context.out.write(rows.map(({ object }) => `${type}/${object?.metadata?.name ?? ""}\n`).join(""));
      return rows;
    }
    // Later tables of a watch leave the columns out.
    this.#definitions = table.columnDefinitions ?? this.#definitions;
    const lines = rows.map((row) => cellsOf(row, this.#definitions, this.#view));
    const isFirst = !this.#hasHeader && rows.length > 0;
    this.#hasHeader ||= rows.length > 0;
    const header = isFirst && this.#flags.headers ? [headerOf(this.#definitions, this.#view)] : [];
    this.#context.out.write(this.#columns.render([...header, ...lines]));
    return rows;
  }
}
