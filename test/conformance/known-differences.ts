/**
 * Cases that the embedded server answers otherwise, and why it may. Everything else has to be mended.
 * docs/conformance.md shows this list with the answers.
 */
export const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {
  "JSON patch of status: a number as 0.0":
    "kube-apiserver compares the literals, so that 0.0 is not 0. JavaScript reads both as one number and writes 0, " +
    "and no client of the product writes anything else.",
  "Namespace: nothing is created in one that is being deleted":
    "The embedded server itself deletes what lies in a namespace that is being deleted. In a cluster the " +
    "controller manager does, and none runs beside kube-apiserver here.",
};
