import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { SatelliteError } from "../base/errors.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";

/** What was chosen, by context of the kubeconfig. */
type Choices = Readonly<Record<string, { readonly namespace: string; readonly name: string }>>;

/** Chooses the satellite that commands without a name mean, shows it, or forgets it. */
export async function use(
  name: string | undefined,
  { clear = false }: { readonly clear?: boolean },
  connection: Connection,
  context: CliContext,
): Promise<void> {
  const { [connection.context]: current, ...others } = read(context);
  if (clear) {
    if (name !== undefined) {
      throw new SatelliteError(
        "InvalidOption",
        `--clear forgets what was chosen; leave ${name} out, or --clear`,
      );
    }
    write(others, context);
    context.out.write(`no satellite is chosen for context ${connection.context} any more\n`);
    return;
  }
  if (name === undefined) {
    const shown = current === undefined ? undefined : `${current.namespace}/${current.name}`;
    context.out.write(`${shown ?? `no satellite is chosen for context ${connection.context}`}\n`);
    return;
  }
  const { namespace } = connection;
  await connection.client.get(SATELLITES, { namespace, name });
  write({ ...others, [connection.context]: { namespace, name } }, context);
  context.out.write(
    `satellite ${namespace}/${name} is what commands without a name mean in context ${connection.context}\n`,
  );
}

/**
 * The satellite that is meant: by name in the connection's namespace, or the one that was chosen.
 *
 * @throws SatelliteError `SatelliteNotNamed` where neither says one
 */
export function chosenSatellite(
  name: string | undefined,
  {
    context: kubeContext,
    namespace,
    isNamespaceNamed,
  }: Pick<Connection, "context" | "namespace" | "isNamespaceNamed">,
  context: CliContext,
): { readonly namespace: string; readonly name: string } {
  if (name !== undefined) {
    return { namespace, name };
  }
  const chosen = read(context)[kubeContext];
  if (chosen === undefined) {
    throw new SatelliteError(
      "SatelliteNotNamed",
      "no satellite is named; add its name, or choose one for this context: kubectl satellite use NAME",
    );
  }
  if (isNamespaceNamed && chosen.namespace !== namespace) {
    throw new SatelliteError(
      "SatelliteNotNamed",
      `the satellite that use chose is ${chosen.namespace}/${chosen.name}, and not in namespace ${namespace}; add a name, or ` +
        "leave -n out",
    );
  }
  return chosen;
}

function fileOf({ environment }: CliContext): string {
  const folder = environment["XDG_CONFIG_HOME"] ?? join(environment["HOME"] ?? homedir(), ".config");
  return join(folder, "satellites", "chosen.json");
}

function read(context: CliContext): Choices {
  try {
    return JSON.parse(readFileSync(fileOf(context), "utf8")) as Choices;
  } catch {
    // Nothing was chosen yet; a file that cannot be read is written anew by the next choice.
    return {};
  }
}

function write(choices: Choices, context: CliContext): void {
  const file = fileOf(context);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(choices, undefined, 2)}\n`);
}
