import type { KubeClient } from "../kube/client.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";

const PAGE_SIZE = 500;

/**
 * All satellites as the API server has them now; for decisions in which a cache that lags would do harm.
 *
 * @throws KubeError
 */
export async function listSatellites(client: KubeClient): Promise<Satellite[]> {
  const satellites: Satellite[] = [];
  let next: string | undefined;
  do {
    const page = await client.list<Satellite>(SATELLITES, {
      limit: PAGE_SIZE,
      ...(next === undefined ? {} : { continue: next }),
    });
    satellites.push(...page.items);
    next = page.continue;
  } while (next !== undefined);
  return satellites;
}
