import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { ApiClient } from "../../support/api-client.ts";
import { eventually } from "../../support/eventually.ts";
import type { KubeObject } from "../../../src/kube/objects.ts";

const MANIFESTS = join(import.meta.dirname, "dns.yaml");
const NAMESPACE = "kube-system";

/** Paths of the collections that hold the kinds of dns.yaml. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  ServiceAccount: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
  ConfigMap: `/api/v1/namespaces/${NAMESPACE}/configmaps`,
  Deployment: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
  Service: `/api/v1/namespaces/${NAMESPACE}/services`,
};

/** Starts CoreDNS as a pod, behind the address that every pod asks, and waits until it answers. */
export async function startDns(admin: ApiClient): Promise<void> {
  for (const document of parseAllDocuments(readFileSync(MANIFESTS, "utf8"))) {
    const object = document.toJS() as KubeObject & { kind: string };
    const { status, body } = await admin.request("POST", COLLECTIONS[object.kind] ?? "", object);
    if (status !== 201) {
      throw new Error(`${object.kind} ${object.metadata.name} was not made: ${JSON.stringify(body)}`);
    }
  }
  await eventually("CoreDNS is ready", async () => {
    const { body } = await admin.request("GET", `${COLLECTIONS["Deployment"] ?? ""}/coredns`);
    return (body as { status?: { readyReplicas?: number } }).status?.readyReplicas === 1;
  });
}
