import { writeFileSync } from "node:fs";
import { stringify } from "yaml";

/** What a kubeconfig says. */
export interface KubeconfigOptions {
  /** `https://host:port`. */
  readonly url: string;
  readonly caPem: string;
  readonly user: { readonly name: string; readonly token: string };
  /** Name of cluster and context. Default "satellites". */
  readonly cluster?: string;
  /** Default namespace of the context. Default "default". */
  readonly namespace?: string;
  /** What the context says to other programs than kubectl, by name (client-go, clientcmd/api/v1, NamedExtension). */
  readonly extensions?: Readonly<Record<string, object>>;
}

/** A kubeconfig (Kubernetes documentation, "Organizing Cluster Access") for one user, as YAML. */
export function kubeconfig(options: KubeconfigOptions): string {
  const cluster = options.cluster ?? "satellites";
  const { user } = options;
  const extensions = Object.entries(options.extensions ?? {}).map(([name, extension]) => ({
    name,
    extension,
  }));
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: cluster,
        cluster: {
          server: options.url,
          "certificate-authority-data": Buffer.from(options.caPem).toString("base64"),
        },
      },
    ],
    users: [{ name: user.name, user: { token: user.token } }],
    contexts: [
      {
        name: cluster,
        context: {
          cluster,
          user: user.name,
          namespace: options.namespace ?? "default",
          ...(extensions.length === 0 ? {} : { extensions }),
        },
      },
    ],
    "current-context": cluster,
  });
}

/** Writes {@link kubeconfig} to `path`, readable by its owner alone: it holds the token. */
export function writeKubeconfig(path: string, options: KubeconfigOptions): void {
  writeFileSync(path, kubeconfig(options), { mode: 0o600 });
}
