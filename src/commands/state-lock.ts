import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SatelliteError, toError } from "../base/errors.ts";

/** A state folder that belongs to this process. */
export interface StateLock {
  /** Gives the folder back; harmless when repeated. */
  release(): void;
}

/** SQLITE_BUSY: somebody else has the lock (sqlite.org/rescode.html#busy). */
const BUSY = 5;

/**
 * Takes a state folder for this process alone. It uses SQLite's file lock: Node has no other, and this one ends with
 * the process, however that ends, so that no old lock is left to be removed.
 *
 * @throws SatelliteError `StateDirInUse` with the other process's ID
 */
export function lockStateDir(directory: string): StateLock {
  const pidFile = join(directory, "pid");
  const database = new DatabaseSync(join(directory, "lock.sqlite"));
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (Reflect.get(toError(error), "errcode") !== BUSY) {
      throw error;
    }
    const pid = existsSync(pidFile) ? readFileSync(pidFile, "utf8").trim() : "that is just starting";
    throw new SatelliteError(
      "StateDirInUse",
      `${directory} is in use by the satellites process ${pid}: use that one, or stop it, ` +
        "or give this one another folder with --state-dir",
      { cause: error },
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return {
    release: () => {
      if (database.isOpen) {
        database.close();
      }
    },
  };
}
