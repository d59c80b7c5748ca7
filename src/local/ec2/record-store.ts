import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SatelliteError } from "../../base/errors.ts";

/** Where the model keeps its instances, or its volumes. */
export interface RecordStore<T extends { readonly id: string }> {
  /** All that are kept. */
  load(): T[];
  save(record: T): void;
  remove(id: string): void;
}

/** Keeps nothing: for tests and simulations that never restart. */
export function volatileStore<T extends { readonly id: string }>(): RecordStore<T> {
  return { load: () => [], save: () => {}, remove: () => {} };
}

/**
 * One JSON file per instance or volume. A file is written beside its place and renamed into it, so that a process
 * killed at any moment leaves the old state or the new one, never half of it.
 *
 * @param directory created when it is missing
 */
export function fileStore<T extends { readonly id: string }>(directory: string): RecordStore<T> {
  mkdirSync(directory, { recursive: true });
  return {
    load: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith(".json"))
        .map((name) => readRecord(join(directory, name)) as T),
    save: (record) => {
      const path = join(directory, `${record.id}.json`);
      writeFileSync(`${path}.new`, JSON.stringify(record, undefined, 2));
      renameSync(`${path}.new`, path);
    },
    remove: (id) => {
      rmSync(join(directory, `${id}.json`), { force: true });
    },
  };
}

function readRecord(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new SatelliteError(
      "InstanceStateUnreadable",
      `${path} cannot be read as the state of an instance or volume; remove the file if it is not needed`,
      { cause: error },
    );
  }
}
