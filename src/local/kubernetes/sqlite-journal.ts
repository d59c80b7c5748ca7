import { DatabaseSync, type StatementSync } from "node:sqlite";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Change, ChangeType } from "./history.ts";
import type { Journal, JournalContents, JournalEntry, JournalWrite } from "./journal.ts";
import type { JsonObject } from "./json.ts";

const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS objects (
    collection TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, stored TEXT NOT NULL,
    PRIMARY KEY (collection, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (
    revision INTEGER PRIMARY KEY, type TEXT NOT NULL, collection TEXT NOT NULL, key TEXT NOT NULL,
    object TEXT NOT NULL, previous TEXT
  );
  CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
`;

const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

/**
 * A journal in one SQLite file. Each change is a transaction in write-ahead mode with `synchronous=FULL`, so
 * a commit returns after fsync (sqlite.org/pragma.html#pragma_synchronous): kill -9 and power loss lose nothing
 * that was acknowledged.
 *
 * @throws SatelliteError `StateUnreadable` when the file cannot be opened, belongs to another process or was
 *   written by a newer version
 */
export function openSqliteJournal(path: string): Journal {
  try {
    return new SqliteJournal(path);
  } catch (error) {
    if (error instanceof SatelliteError) {
      throw error;
    }
    throw new SatelliteError(
      "StateUnreadable",
      `cannot open the API server's state in ${path}: ${toError(error).message}; ${adviceFor(error)}`,
      { cause: error },
    );
  }
}

/** What to do, by SQLite's primary result code (sqlite.org/rescode.html). */
export function adviceFor(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, "errcode") : undefined;
  switch (typeof code === "number" ? code & 0xff : -1) {
    case SQLITE_BUSY:
      return "stop the other process that uses it";
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return "free some space on that disk, or mend it, and try again; the state is kept, so leave the file where it is";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "bring back a copy of the file; moving it away starts empty, and loses all objects";
    default:
      return "check that its folder exists and may be written to, and that no other process uses the file";
  }
}

class SqliteJournal implements Journal {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #putObject: StatementSync;
  readonly #dropObject: StatementSync;
  readonly #addChange: StatementSync;
  readonly #putCounter: StatementSync;

  constructor(path: string) {
    this.#path = path;
    this.#database = new DatabaseSync(path);
    // An exclusive lock: two API servers on one file would hand out the same revisions.
    this.#database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
    );
    this.#checkVersion(path);
    this.#database.exec(SCHEMA);
    this.#putObject = this.#database.prepare(
      "INSERT INTO objects VALUES (?, ?, ?, ?) " +
        "ON CONFLICT (collection, key) DO UPDATE SET revision = excluded.revision, stored = excluded.stored",
    );
    this.#dropObject = this.#database.prepare("DELETE FROM objects WHERE collection = ? AND key = ?");
    this.#addChange = this.#database.prepare("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)");
    this.#putCounter = this.#database.prepare(
      "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
  }

  load(): JournalContents {
    const entries = this.#database.prepare("SELECT * FROM objects ORDER BY collection, key").all();
    const changes = this.#database.prepare("SELECT * FROM changes ORDER BY revision").all();
    return {
      revision: this.#counter("revision"),
      compactedRevision: this.#counter("compacted"),
      entries: entries.map((row): JournalEntry => ({
        collection: String(row["collection"]),
        key: String(row["key"]),
        revision: Number(row["revision"]),
        stored: parse(row["stored"]),
      })),
      changes: changes.map((row): Change => ({
        revision: Number(row["revision"]),
        type: String(row["type"]) as ChangeType,
        collection: String(row["collection"]),
        key: String(row["key"]),
        object: parse(row["object"]),
        ...(row["previous"] === null ? {} : { previous: parse(row["previous"]) }),
      })),
    };
  }

  commit({ change, stored }: JournalWrite): void {
    this.#transaction(() => {
      if (stored === undefined) {
        this.#dropObject.run(change.collection, change.key);
      } else {
        this.#putObject.run(change.collection, change.key, change.revision, JSON.stringify(stored));
      }
      this.#addChange.run(
        change.revision,
        change.type,
        change.collection,
        change.key,
        JSON.stringify(change.object),
        change.previous === undefined ? null : JSON.stringify(change.previous),
      );
      this.#putCounter.run("revision", change.revision);
    });
  }

  compact(revision: number): void {
    this.#transaction(() => {
      this.#database.prepare("DELETE FROM changes WHERE revision <= ?").run(revision);
      this.#putCounter.run("compacted", revision);
    });
  }

  close(): void {
    this.#database.close();
  }

  /** @throws SatelliteError `StateNotWritten` when the file does not take it; then nothing of it is in the file */
  #transaction(body: () => void): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      body();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) {
        this.#database.exec("ROLLBACK");
      }
      throw new SatelliteError(
        "StateNotWritten",
        `nothing was changed, since ${this.#path} cannot be written: ${toError(error).message}; ${adviceFor(error)}`,
        { cause: error },
      );
    }
  }

  #counter(name: string): number {
    const row = this.#database.prepare("SELECT value FROM counters WHERE name = ?").get(name);
    return Number(row?.["value"] ?? 0);
  }

  #checkVersion(path: string): void {
    const version = Number(this.#database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
    if (version > SCHEMA_VERSION) {
      throw new SatelliteError(
        "StateUnreadable",
        `${path} was written by a newer version (format ${version}, this one reads ${SCHEMA_VERSION}) and is left as it is; ` +
          "use that version, or keep the file for it and give this one another folder with --state-dir",
      );
    }
    // Only where it differs: a server whose disk is full must start.
    if (version < SCHEMA_VERSION) {
      this.#database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }
  }
}

function parse(text: unknown): JsonObject {
  return JSON.parse(String(text)) as JsonObject;
}
