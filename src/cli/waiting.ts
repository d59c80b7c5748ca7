import { sleep } from "../base/clock.ts";
import { connect, type ConnectFlags } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { follow, type SatelliteKey } from "./follow.ts";
import { wayAwake } from "./power.ts";
import { Progress } from "./progress.ts";

/** Milliseconds for which nobody at a terminal wonders what is being waited for. */
const PATIENCE_MS = 1_500;
/** The same for whoever reads a log: within it most satellites are awake, and nothing needs to be said. */
const LOG_PATIENCE_MS = 30_000;

/**
 * Says on standard error how a satellite gets there while a command waits for it: at a terminal after a moment, elsewhere only
 * where it takes long. Says nothing where the satellite cannot be read: no right to do so is needed to use one.
 *
 * @returns ends it; to be called before anything else is written
 */
export function showWaiting(satellite: SatelliteKey, flags: ConnectFlags, context: CliContext): () => void {
  const ending = new AbortController();
  let progress: Progress | undefined;
  const end = (): void => {
    ending.abort();
    progress?.end();
  };
  const show = async (): Promise<void> => {
    const patienceMs = context.err.isTTY === true ? PATIENCE_MS : LOG_PATIENCE_MS;
    await sleep(context.clock, patienceMs, ending.signal);
    const connection = connect(flags, context);
    try {
      for await (const seen of follow(satellite, connection, context, ending.signal)) {
        const way = seen === undefined ? undefined : wayAwake(seen);
        if (way === undefined || way.kind === "there") {
          break;
        }
        if (way.kind === "under way") {
          progress ??= new Progress(`${satellite.namespace}/${satellite.name}`, context);
          progress.show(way.text);
        }
      }
    } finally {
      end();
      await connection.close();
    }
  };
  show().catch(() => {});
  return end;
}
