import { join } from "node:path";
import type { ObjectCache } from "../../src/kube/cache.ts";
import { keyString, objectKey } from "../../src/kube/objects.ts";
import { readCrdFile } from "../../src/local/kubernetes/crd.ts";
import type { JsonObject } from "../../src/local/kubernetes/json.ts";
import { storageKey } from "../../src/local/kubernetes/resource.ts";
import { sameJson } from "../../src/satellite/status-patch.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { EmbeddedKube, type KubeCall } from "../support/embedded-kube.ts";

const CRD = readCrdFile(join(import.meta.dirname, "../../crds/satellites.satellites.dev.yaml"));
const SATELLITES = "satellites.dev/satellites";

/**
 * Satellites in the embedded API server, as a router finds them. Somebody else's writes go into the server's store at once, so
 * that spec and status change together; what the router writes goes through the API.
 */
export class SatelliteServer extends EmbeddedKube {
  constructor() {
    super({ crds: [CRD] });
  }

  /** Shows the cache every later change at once, as a watch without delay would. */
  connect(cache: ObjectCache<Satellite>): () => void {
    const { store } = this.server;
    cache.replaceAll(store.list(SATELLITES).map(toSatellite), String(store.revision));
    return store.onChange(({ collection, type, object }) => {
      if (collection === SATELLITES) {
        if (type === "DELETED") {
          cache.observeDeletion(toSatellite(object));
        } else {
          cache.observe(toSatellite(object));
        }
      }
    });
  }

  /** @throws Error when there is none of this key, `namespace/name` */
  read(key: string): Satellite {
    const object = this.#find(key);
    if (object === undefined) {
      throw new Error(`the test has no satellite ${key}`);
    }
    return object;
  }

  /** Creates or replaces a satellite as somebody else would. */
  put(satellite: Satellite): void {
    const { store } = this.server;
    const key = keyString(objectKey(satellite));
    const before = this.#find(key);
    const isOtherSpec = before === undefined || !sameJson(before.spec, satellite.spec);
    const generation = (before?.metadata.generation ?? 0) + (isOtherSpec ? 1 : 0);
    const object = { ...satellite, metadata: { ...satellite.metadata, generation } } as unknown as JsonObject;
    if (before === undefined) {
      store.create(SATELLITES, toStorageKey(key), object);
    } else {
      store.update(SATELLITES, toStorageKey(key), object);
    }
  }

  /** Changes a satellite as the operator or a person would. */
  change(key: string, change: (satellite: Satellite) => void): void {
    const satellite = this.read(key);
    change(satellite);
    this.put(satellite);
  }

  /** Deletes a satellite at once. */
  deleteNow(key: string): void {
    this.server.store.remove(SATELLITES, toStorageKey(key));
  }

  /** Patches of `spec.desiredPower` that arrived. */
  get wakeCalls(): KubeCall[] {
    return this.calls.filter(({ verb, subresource }) => verb === "patch" && subresource === undefined);
  }

  /** Patches of the status that arrived. */
  get statusCalls(): KubeCall[] {
    return this.calls.filter(({ subresource }) => subresource === "status");
  }

  #find(key: string): Satellite | undefined {
    const object = this.server.store.get(SATELLITES, toStorageKey(key))?.object;
    return object === undefined ? undefined : toSatellite(object);
  }
}

function toStorageKey(key: string): string {
  const [namespace = "", name = ""] = key.split("/");
  return storageKey(namespace, name);
}

function toSatellite(object: JsonObject): Satellite {
  return structuredClone(object) as unknown as Satellite;
}
