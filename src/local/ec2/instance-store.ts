import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SatelliteError } from "../../base/errors.ts";
import type { Instance } from "./instance.ts";

/** Where the model keeps its instances. */
export interface InstanceStore {
  /** All that are kept. */
  load(): Instance[];
  save(instance: Instance): void;
  remove(id: string): void;
}

/** Keeps nothing: for tests and simulations that never restart. */
export const volatileStore: InstanceStore = {
  load: () => [],
  save: () => {},
  remove: () => {},
};

/**
 * One JSON file per instance. A file is written beside its place and renamed into it, so that a process
 * killed at any moment leaves the old state or the new one, never half of it.
 *
 * @param directory created when it is missing
 */
export function fileStore(directory: string): InstanceStore {
  mkdirSync(directory, { recursive: true });
  return {
    load: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith(".json"))
        .map((name) => readInstance(join(directory, name))),
    save: (instance) => {
      const path = join(directory, `${instance.id}.json`);
      writeFileSync(`${path}.new`, JSON.stringify(instance, undefined, 2));
      renameSync(`${path}.new`, path);
    },
    remove: (id) => {
      rmSync(join(directory, `${id}.json`), { force: true });
    },
  };
}

function readInstance(path: string): Instance {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Instance;
  } catch (error) {
    throw new SatelliteError(
      "InstanceStateUnreadable",
      `${path} cannot be read as the state of an instance; remove the file if the instance is not needed`,
      { cause: error },
    );
  }
}
