import { backoffMs, type BackoffOptions } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { KubeError } from "../kube/errors.ts";
import { NAMESPACE } from "../kube/resources.ts";
import type { ProcessContext } from "./process-context.ts";

/** Pauses between attempts, as long as those of the caches while the API server is away. */
const BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 5_000, jitter: 0.5 };

/**
 * The cluster's identity in tags: the UID of its kube-system namespace (docs/ec2.md). While the API server is away or
 * refuses, as it does before it has loaded its roles, it is asked again: a process that ended instead would be started
 * again after longer and longer pauses (Kubernetes, "Pod Lifecycle", CrashLoopBackOff).
 *
 * @returns undefined when the process was told to stop first
 * @throws SatelliteError `NoClusterUID`
 */
export async function clusterUID(
  client: KubeClient,
  { clock, random, logger, stop }: Omit<ProcessContext, "faults">,
): Promise<string | undefined> {
  for (let attempt = 0; !stop.aborted; attempt += 1) {
    try {
      const { metadata } = await client.get(NAMESPACE, { name: "kube-system" }, { signal: stop });
      if (metadata.uid === undefined) {
        throw new SatelliteError("NoClusterUID", "the namespace kube-system has no UID");
      }
      return metadata.uid;
    } catch (error) {
      if (stop.aborted) {
        return undefined;
      }
      if (!(error instanceof KubeError)) {
        throw error;
      }
      const delayMs = Math.max((error.retryAfterSeconds ?? 0) * 1000, backoffMs(attempt, BACKOFF, random));
      logger.warn("The API server does not say which cluster this is; asking again", { delayMs, error });
      await sleep(clock, delayMs, stop).catch(() => undefined);
    }
  }
  return undefined;
}
