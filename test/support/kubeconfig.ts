import { stringify } from "yaml";
import type { Credentials } from "./api-client.ts";

/** Text of a kubeconfig file with one cluster, one user and the namespace `default`. */
export function kubeconfig(url: string, caPem: string, credentials: Credentials): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const user =
    "token" in credentials
      ? { token: credentials.token }
      : {
          "client-certificate-data": base64(credentials.cert),
          "client-key-data": base64(credentials.key),
        };
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority-data": base64(caPem) } }],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace: "default" } }],
    "current-context": "test",
  });
}
