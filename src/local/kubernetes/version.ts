import type { JsonObject } from "./json.ts";

/** The Kubernetes release whose behaviour this server follows. */
export const KUBERNETES_MAJOR = "1";
/** @see KUBERNETES_MAJOR */
export const KUBERNETES_MINOR = "34";

/** The body of /version. The build metadata tells people that it is not kube-apiserver. */
export function versionInfo(): JsonObject {
  return {
    major: KUBERNETES_MAJOR,
    minor: KUBERNETES_MINOR,
    gitVersion: `v${KUBERNETES_MAJOR}.${KUBERNETES_MINOR}.0+satellites`,
    gitCommit: "",
    gitTreeState: "",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "",
    compiler: "",
    platform: "linux/amd64",
  };
}
