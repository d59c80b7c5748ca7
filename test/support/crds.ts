import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import type { ApiClient } from "./api-client.ts";

const CRD_FOLDER = join(import.meta.dirname, "..", "..", "crds");
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ESTABLISH_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

interface CrdManifest {
  readonly metadata: { readonly name: string };
}

interface CrdStatus {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The product's CustomResourceDefinitions, as they lie in crds/. */
export function readCrds(): CrdManifest[] {
  return readdirSync(CRD_FOLDER)
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => parse(readFileSync(join(CRD_FOLDER, file), "utf8")) as CrdManifest);
}

/**
 * Creates the product's CRDs and waits until the server serves them.
 *
 * @throws Error when the server refuses one, with its answer
 */
export async function installCrds(admin: ApiClient): Promise<void> {
  for (const crd of readCrds()) {
    const answer = await admin.request("POST", CRDS, crd);
    if (answer.status !== 201 && answer.status !== 409) {
      throw new Error(`the API server refused ${crd.metadata.name}: ${JSON.stringify(answer.body)}`);
    }
  }
  const deadlineMs = performance.now() + ESTABLISH_TIMEOUT_MS;
  for (const { metadata } of readCrds()) {
    while (!(await isEstablished(admin, metadata.name))) {
      if (performance.now() > deadlineMs) {
        throw new Error(`the API server did not establish ${metadata.name} in time`);
      }
      await delay(POLL_MS);
    }
  }
  await waitForCustomResources(admin);
}

/**
 * Waits until custom resources are served. After a restart kube-apiserver is ready earlier than that: until its
 * caches are filled it answers 429 with reason TooManyRequests.
 */
export async function waitForCustomResources(admin: ApiClient): Promise<void> {
  const deadlineMs = performance.now() + ESTABLISH_TIMEOUT_MS;
  for (const plural of ["satellites", "satelliteclasses"]) {
    const path = `/apis/satellites.dev/v1alpha1/${plural}`;
    while ((await admin.request("GET", path)).status !== 200) {
      if (performance.now() > deadlineMs) {
        throw new Error(`the API server did not serve ${path} in time`);
      }
      await delay(POLL_MS);
    }
  }
}

async function isEstablished(admin: ApiClient, name: string): Promise<boolean> {
  const { body } = await admin.request("GET", `${CRDS}/${name}`);
  const conditions = (body as CrdStatus).status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === "Established" && status === "True");
}
