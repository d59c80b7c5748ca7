import { SatelliteError } from "../base/errors.ts";

/**
 * Loads a command that runs from the source tree alone: it builds the guest image from src/guest, applies
 * examples/, and starts src/main.ts again. The bundle leaves such modules out (build/bundle.ts).
 *
 * @param name of the command, for the message
 * @param load imports its module
 * @throws SatelliteError `SourceTreeNeeded` when the bundle runs
 */
export function fromSourceTree<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  if (!import.meta.filename.endsWith(".ts")) {
    throw new SatelliteError(
      "SourceTreeNeeded",
      `"satellites ${name}" runs from the source tree alone, and this is the bundle for clusters; ` +
        `check the sources out and run: npm ci && npm exec -- node src/main.ts ${name}`,
    );
  }
  return load();
}
