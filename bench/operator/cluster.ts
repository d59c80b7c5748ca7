import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Satellite } from "../../src/satellite/types.ts";
import { type ApiClient } from "../../test/support/api-client.ts";
import { installCrds } from "../../test/support/crds.ts";
import { type KubeApiServer, onLoopback, startKubeApiServer } from "../../test/support/kube-apiserver.ts";
import { cloneInstance, type Fleet } from "./fleet.ts";

const CLASS_FILE = join(import.meta.dirname, "../../examples/local/class.yaml");
const GROUP = "/apis/satellites.dev/v1alpha1";
export const SYSTEM_NAMESPACE = "satellites";
const NAMESPACE = "team-a";
const SATELLITES = `${GROUP}/satellites`;
const SHARD = "satellites.dev/shard";
/** Requests of the preparation at the same time. */
const CONCURRENCY = 24;

/**
 * Starts kube-apiserver with the product's kinds and the default class.
 *
 * @param flags of kube-apiserver, beside those of the tests
 */
export async function startCluster(...flags: readonly string[]): Promise<KubeApiServer> {
  const server = await startKubeApiServer(onLoopback(...flags));
  await installCrds(server.admin);
  for (const name of [SYSTEM_NAMESPACE, NAMESPACE]) {
    await send(server.admin, "POST", "/api/v1/namespaces", { metadata: { name } });
  }
  await send(server.admin, "POST", `${GROUP}/satelliteclasses`, parse(readFileSync(CLASS_FILE, "utf8")));
  return server;
}

/** Name of a shard, the first of which has none; and its namespace. */
const nameOfShard = (shard: number): string => `s${shard}`;
const namespaceOf = (shard: number): string => (shard === 0 ? NAMESPACE : `${NAMESPACE}-${shard}`);

/**
 * Makes a namespace for each operator that is to share the cluster.
 *
 * @returns each one's flags
 */
export async function addShards(admin: ApiClient, shards: number): Promise<string[][]> {
  const others = Array.from({ length: shards - 1 }, (_, index) => index + 1);
  for (const shard of others) {
    const metadata = { name: namespaceOf(shard), labels: { [SHARD]: nameOfShard(shard) } };
    await send(admin, "POST", "/api/v1/namespaces", { metadata });
  }
  const names = others.map(nameOfShard);
  const first = names.length === 0 ? [] : ["--namespace-selector", `${SHARD} notin (${names.join(",")})`];
  return [first, ...names.map((name) => ["--shard", name, "--namespace-selector", `${SHARD}=${name}`])];
}

/** @throws Error with the answer when it is none of success */
export async function send(
  admin: ApiClient,
  method: "GET" | "POST" | "PATCH",
  path: string,
  body?: unknown,
): Promise<unknown> {
  const contentType = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const answer = await admin.request(method, path, body, { contentType });
  if (answer.status >= 300) {
    throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

/** Does something for each number below `count`, a few at a time. */
export async function forEachIndex(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await act(next - 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, worker));
}

/** Name of the satellite of that number. */
export const nameOf = (index: number): string => `satellite-${String(index).padStart(5, "0")}`;

/** Path of the satellites of a shard. */
const collectionOf = (shard: number): string => `${GROUP}/namespaces/${namespaceOf(shard)}/satellites`;

/** Path of the satellite of that name. */
export const pathOf = (name: string, shard = 0): string => `${collectionOf(shard)}/${name}`;

/** Creates the first satellite, whose life the operator under preparation leads. */
export async function createSatellite(admin: ApiClient, port: number): Promise<void> {
  await send(admin, "POST", collectionOf(0), {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: { name: nameOf(0) },
    spec: { idleTimeout: "0s", port },
  });
}

/** The satellite of that number as it is. */
export async function readSatellite(admin: ApiClient, index: number): Promise<Satellite> {
  return (await send(admin, "GET", pathOf(nameOf(index)))) as Satellite;
}

/** Wishes the satellites of the numbers below `count` on or off. */
export async function wish(
  admin: ApiClient,
  count: number,
  desiredPower: "on" | "off",
  shards = 1,
): Promise<void> {
  await forEachIndex(count, (index) =>
    send(admin, "PATCH", pathOf(nameOf(index), index % shards), { spec: { desiredPower } }),
  );
}

/** How many satellites have that phase. */
export async function countInPhase(admin: ApiClient, phase: string): Promise<number> {
  let count = 0;
  let next = "";
  do {
    const page = (await send(admin, "GET", `${SATELLITES}?limit=1000&continue=${next}`)) as {
      items: readonly Satellite[];
      metadata: { continue?: string };
    };
    count += page.items.filter(({ status }) => status?.phase === phase).length;
    next = encodeURIComponent(page.metadata.continue ?? "");
  } while (next !== "");
  return count;
}

/**
 * Adds satellites that sleep as the first one does, each with an instance of its own, up to `count` in all. EC2's
 * limits would let 10,000 real launches take more than an hour. Shards get them by turns.
 */
export async function addSleepers(admin: ApiClient, fleet: Fleet, count: number, shards = 1): Promise<void> {
  const template = await readSatellite(admin, 0);
  const templateInstance = fleet.model.instances.truth(template.status.machine?.id ?? "");
  await forEachIndex(count - 1, async (zeroBased) => {
    const index = zeroBased + 1;
    const shard = index % shards;
    const created = (await send(admin, "POST", collectionOf(shard), {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name: nameOf(index), finalizers: template.metadata.finalizers },
      spec: template.spec,
    })) as Satellite;
    const owner = { namespace: namespaceOf(shard), name: nameOf(index), uid: created.metadata.uid ?? "" };
    const instance = cloneInstance(fleet.model, templateInstance, owner, index);
    const { machine, endpoint, conditions, ...status } = template.status;
    const observedGeneration = created.metadata.generation ?? 1;
    await send(admin, "PATCH", `${pathOf(nameOf(index), shard)}/status`, {
      status: {
        ...status,
        observedGeneration,
        conditions: conditions?.map((condition) => ({
          ...condition,
          message: condition.message.replace(templateInstance.id, instance.id),
          observedGeneration,
        })),
        machine: { ...machine, id: instance.id },
        ...(endpoint === undefined ? {} : { endpoint: { ...endpoint, host: instance.privateAddress } }),
      },
    });
  });
}
