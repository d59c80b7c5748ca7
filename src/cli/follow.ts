import { sleep } from "../base/clock.ts";
import { hasReason, isExpired, KubeError } from "../kube/errors.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";

const WATCH_SECONDS = 300;
/** Pause before an API server that went away is asked again. */
const RETRY_MS = 500;

/** One satellite by name. */
export interface SatelliteKey {
  readonly namespace: string;
  readonly name: string;
}

/**
 * The satellite as it is, and then after each change, until the caller stops. An API server that goes away and comes
 * back is waited for.
 *
 * @returns `undefined` once it is deleted, and then nothing more
 * @throws KubeError `NotFound` when it is not there to begin with, and other refusals
 */
export async function* follow(
  { namespace, name }: SatelliteKey,
  { client }: Connection,
  { clock }: CliContext,
  signal: AbortSignal,
): AsyncGenerator<Satellite | undefined> {
  let uid: string | undefined;
  for (;;) {
    try {
      const satellite = await client.get<Satellite>(SATELLITES, { namespace, name }, { signal });
      uid ??= satellite.metadata.uid;
      if (satellite.metadata.uid !== uid) {
        yield undefined;
        return;
      }
      yield satellite;
      const watch = client.watch<Satellite>(SATELLITES, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: satellite.metadata.resourceVersion ?? "",
        timeoutSeconds: WATCH_SECONDS,
        signal,
      });
      for await (const { type, object } of watch) {
        if (type === "DELETED") {
          yield undefined;
          return;
        }
        if (type !== "BOOKMARK") {
          yield object;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (uid !== undefined && hasReason(error, "NotFound")) {
        yield undefined;
        return;
      }
      const isPassing = error instanceof KubeError && (error.status === 0 || error.status >= 500);
      if (uid === undefined || !(isPassing || isExpired(error))) {
        throw error;
      }
      await sleep(clock, RETRY_MS, signal);
    }
  }
}
