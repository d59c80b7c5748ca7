import { findManifest, type Manifest } from "../support/helm.ts";

/** Values of an install whose router serves other pods, with an account of its own. */
export const EXPOSED = { router: { mode: "deployment", access: { mode: "insecureAnonymous" } } };

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle?: unknown;
  readonly securityContext: unknown;
  readonly [field: string]: unknown;
}

export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly terminationGracePeriodSeconds: number;
    readonly securityContext: unknown;
    readonly containers: readonly Container[];
    readonly topologySpreadConstraints: readonly {
      readonly topologyKey: string;
      readonly labelSelector: { readonly matchLabels: Readonly<Record<string, string>> };
    }[];
    readonly [field: string]: unknown;
  };
}

/** The pod template of a Deployment. */
export function podTemplate(manifests: readonly Manifest[], deployment: string): PodTemplate {
  return (findManifest(manifests, "Deployment", deployment)["spec"] as { template: PodTemplate }).template;
}

/** A container of a pod template. */
export function container(template: PodTemplate, name: string): Container {
  const found = template.spec.containers.find((each) => each.name === name);
  if (found === undefined) {
    throw new Error(`the pod has no container ${name}`);
  }
  return found;
}

/** Flags of a container's arguments: "--listen=:1" is `{listen: ":1"}`, "--verbose" is `{verbose: ""}`. */
export function flags({ args }: Container): Record<string, string> {
  return Object.fromEntries(
    args.slice(1).map((argument) => {
      const [, name = "", value = ""] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
      return [name, value];
    }),
  );
}
