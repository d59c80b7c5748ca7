import type { MachineOwner } from "../cloud.ts";

/** Tag that holds the UID of the cluster's kube-system namespace. */
export const CLUSTER_TAG = "satellites.dev/cluster";

/** Tags that say whose a machine is; on the instance and its volumes from the moment they exist. */
export function ownerTags(cluster: string, owner: MachineOwner): Record<string, string> {
  return {
    [CLUSTER_TAG]: cluster,
    "satellites.dev/namespace": owner.namespace,
    "satellites.dev/name": owner.name,
    "satellites.dev/uid": owner.uid,
    Name: `${owner.namespace}/${owner.name}`,
  };
}

/** Tags as the API wants them. */
export function toTagList(tags: Readonly<Record<string, string>>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
