import type { JsonPatchOperation } from "../kube/client.ts";
import { set, test } from "../satellite/json-patch.ts";

interface Finalized {
  readonly metadata: { readonly resourceVersion?: string; readonly finalizers?: readonly string[] };
}

/** The patch that adds a finalizer, unless somebody has changed the object since it was read. */
export function addFinalizer({ metadata }: Finalized, finalizer: string): JsonPatchOperation[] {
  return [
    test("/metadata/resourceVersion", metadata.resourceVersion),
    metadata.finalizers === undefined
      ? set("/metadata/finalizers", [finalizer])
      : set("/metadata/finalizers/-", finalizer),
  ];
}

/** The patch that removes a finalizer, unless it is not where it was when the object was read. */
export function removeFinalizer({ metadata }: Finalized, finalizer: string): JsonPatchOperation[] {
  const path = `/metadata/finalizers/${metadata.finalizers?.indexOf(finalizer) ?? 0}`;
  return [test(path, finalizer), { op: "remove", path }];
}
