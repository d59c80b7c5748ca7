import { SatelliteError } from "../base/errors.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { follow } from "./follow.ts";
import type { PowerFlags } from "./power.ts";
import { Progress } from "./progress.ts";
import { shortDuration } from "./style.ts";

/** Deletes satellites and waits until their machines are dealt with. @throws SatelliteError `TimedOut` */
export async function remove(
  names: readonly string[],
  flags: PowerFlags,
  connection: Connection,
  context: CliContext,
): Promise<void> {
  const { namespace, client } = connection;
  const each = new Set(names);
  for (const name of each) {
    const satellite = await client.get<Satellite>(SATELLITES, { namespace, name });
    await client.delete(SATELLITES, { namespace, name }, { uid: satellite.metadata.uid ?? "" });
    context.out.write(
      `satellite.satellites.dev "${name}" deleted from ${namespace} namespace${fate(satellite)}\n`,
    );
  }
  if (flags.wait) {
    await Promise.all([...each].map((name) => untilGone({ namespace, name }, flags, connection, context)));
  }
}

function fate({ spec, status }: Satellite): string {
  const { machine } = status;
  if (machine === undefined) {
    return "";
  }
  return spec.deletionPolicy === "Retain"
    ? `; its machine ${machine.id} is kept, stopped`
    : `; its machine ${machine.id} and what is on its disks go with it`;
}

async function untilGone(
  key: { readonly namespace: string; readonly name: string },
  { timeout }: PowerFlags,
  connection: Connection,
  context: CliContext,
): Promise<void> {
  const ending = new AbortController();
  const timer = context.clock.setTimer(timeout, () => ending.abort("timeout"));
  const progress = new Progress(`${key.namespace}/${key.name}`, context);
  try {
    const signal = AbortSignal.any([context.stop, ending.signal]);
    for await (const satellite of follow(key, connection, context, signal)) {
      progress.show(satellite === undefined ? "gone" : (satellite.status.phase ?? "Pending"));
    }
  } catch (error) {
    if (Reflect.get(Object(error), "reason") === "NotFound") {
      return;
    }
    if (ending.signal.aborted && !context.stop.aborted) {
      throw new SatelliteError(
        "TimedOut",
        `satellite ${key.name} is not gone after ${shortDuration(timeout / 1000)}: its machine is not dealt with yet. ` +
          `It goes on by itself; see kubectl satellite inspect ${key.name} -n ${key.namespace}`,
      );
    }
    throw error;
  } finally {
    progress.end();
    timer.cancel();
  }
}
