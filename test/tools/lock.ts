import { DatabaseSync } from "node:sqlite";

/** SQLite's result code for "somebody else holds the lock". */
const SQLITE_BUSY = 5;

/** A held lock. */
export interface FileLock {
  /** Lets the next one in. */
  release(): void;
}

/**
 * Takes a lock that lives as long as this process does: an exclusive SQLite transaction on a file. The kernel
 * drops it when the process dies in any way, so there are no stale locks to guess about. Node has no flock.
 *
 * @param path file to lock; made when missing, left behind empty
 * @returns undefined when another process holds it
 */
export function tryLock(path: string): FileLock | undefined {
  const database = new DatabaseSync(path);
  try {
    database.exec("BEGIN EXCLUSIVE");
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (error instanceof Error && Reflect.get(error, "errcode") === SQLITE_BUSY) {
      return undefined;
    }
    throw error;
  }
}
