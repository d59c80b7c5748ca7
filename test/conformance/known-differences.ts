/**
 * Cases that the embedded server answers otherwise, and why it may. Everything else has to be mended.
 * docs/conformance.md shows this list with the answers.
 */
export const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {
  "Namespace: nothing is created in one that is being deleted":
    "The embedded server itself deletes what lies in a namespace that is being deleted. In a cluster the " +
    "controller manager does, and none runs beside kube-apiserver here.",
};
