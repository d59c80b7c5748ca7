import type { KubeClient, WriteOptions } from "../kube/client.ts";
import { KubeError } from "../kube/errors.ts";
import { parseKey } from "../kube/objects.ts";
import type { PatchOperation } from "../satellite/json-patch.ts";
import { activityPatch, leasePatch, removeActivityPatch, wakePatch } from "../satellite/power.ts";
import { ROUTER_FIELD_MANAGER, SATELLITES, type Lease } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";

/**
 * Everything that a router asks of the API server: one read, and the power protocol's four writes. Each rejects with a
 * KubeError; a write whose tests failed comes as reason `Invalid` (HTTP 422), as do other invalid patches, so the caller
 * reads the object and decides from it.
 */
export class SatelliteApi {
  readonly #client: KubeClient;
  readonly #router: string;

  /** @param router key of this router in `status.activity` */
  constructor(client: KubeClient, router: string) {
    this.#client = client;
    this.#router = router;
  }

  get(key: string): Promise<Satellite> {
    return this.#client.get<Satellite>(SATELLITES, parseKey(key));
  }

  wake(key: string, satellite: Satellite): Promise<Satellite> {
    return this.#patch(key, wakePatch(satellite), {});
  }

  lease(key: string, satellite: Satellite, lease: Lease): Promise<Satellite> {
    return this.#patch(key, leasePatch(satellite, this.#router, lease), { subresource: "status" });
  }

  reportActivity(key: string, satellite: Satellite, lease: Lease): Promise<Satellite> {
    return this.#patch(key, activityPatch(satellite, this.#router, lease), { subresource: "status" });
  }

  /** Removes this router's entry, if it is still the one that is known. */
  withdraw(key: string, satellite: Satellite, signal: AbortSignal): Promise<Satellite> {
    const operations = removeActivityPatch(satellite, this.#router);
    return this.#patch(key, operations, { subresource: "status", signal });
  }

  #patch(
    key: string,
    operations: readonly PatchOperation[],
    options: Pick<WriteOptions, "subresource" | "signal">,
  ): Promise<Satellite> {
    return this.#client.patch<Satellite>(
      SATELLITES,
      parseKey(key),
      { type: "json", operations },
      { ...options, fieldManager: ROUTER_FIELD_MANAGER },
    );
  }
}

/** Whether a write was refused for what the object is now: read it and decide anew. */
export function isStale(error: unknown): boolean {
  return error instanceof KubeError && [404, 409, 422].includes(error.status);
}

/** Whether trying again cannot help: the API server understood and will not have it (RBAC, admission). */
export function isPermanent(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    error.status >= 400 &&
    error.status < 500 &&
    ![408, 429].includes(error.status) &&
    !isStale(error)
  );
}
