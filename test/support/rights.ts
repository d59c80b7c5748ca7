import { readFileSync } from "node:fs";
import type { ApiClient } from "./api-client.ts";

/** One verb on one resource that a role grants. */
export interface Right {
  readonly verb: string;
  /** "group/plural" or "group/plural/subresource"; the core group is "". */
  readonly resource: string;
  /** Namespace to which a RoleBinding limits it; every one when absent. */
  readonly namespace?: string;
  /** Name of the one object to which it is limited. */
  readonly name?: string;
}

/** A request that somebody made, allowed or not. */
export interface AuditedRequest {
  readonly verb: string;
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  /** HTTP status of the answer. */
  readonly code: number;
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface Binding {
  readonly metadata: { readonly namespace?: string };
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
  }[];
}

/**
 * Requests about resources that `user` made, from kube-apiserver's audit log. Dry runs are left out: the programs
 * make none, so they are what a test tried in their name.
 */
export function auditedRequests(auditLog: string, user: string): AuditedRequest[] {
  return readFileSync(auditLog, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter((event) => event.user.username === user && !event.requestURI.includes("dryRun=All"))
    .flatMap(({ verb, objectRef, responseStatus }) => {
      if (objectRef === undefined) {
        return [];
      }
      const { apiGroup = "", resource, subresource, namespace, name } = objectRef;
      return {
        verb,
        resource: [apiGroup, resource, ...(subresource === undefined ? [] : [subresource])].join("/"),
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
        code: responseStatus?.code ?? 0,
      };
    });
}

/** Everything that the roles bound to a service account grant it, one verb on one resource each. */
export async function grantedRights(
  admin: ApiClient,
  account: { readonly namespace: string; readonly name: string },
): Promise<Right[]> {
  const base = "/apis/rbac.authorization.k8s.io/v1";
  const get = async <T>(path: string): Promise<T> =>
    (await admin.request("GET", `${base}/${path}`)).body as T;
  const lists = await Promise.all([
    get<{ items: Binding[] }>("clusterrolebindings"),
    get<{ items: Binding[] }>("rolebindings"),
  ]);
  const bindings = lists
    .flatMap(({ items }) => items)
    .filter(({ subjects = [] }) =>
      subjects.some(
        ({ kind, name, namespace }) =>
          kind === "ServiceAccount" && name === account.name && namespace === account.namespace,
      ),
    );
  const rights = bindings.map(async ({ metadata: { namespace }, roleRef: { kind, name } }) => {
    const path = kind === "Role" ? `namespaces/${namespace ?? ""}/roles/${name}` : `clusterroles/${name}`;
    const { rules } = await get<{ rules: Rule[] }>(path);
    return rules.flatMap((rule) => expand(rule, namespace));
  });
  return (await Promise.all(rights)).flat();
}

function expand(rule: Rule, namespace: string | undefined): Right[] {
  const names = rule.resourceNames ?? [undefined];
  return rule.apiGroups.flatMap((group) =>
    rule.resources.flatMap((resource) =>
      rule.verbs.flatMap((verb) =>
        names.map((name) => ({
          verb,
          resource: `${group}/${resource}`,
          ...(namespace === undefined ? {} : { namespace }),
          ...(name === undefined ? {} : { name }),
        })),
      ),
    ),
  );
}

function covers(right: Right, request: AuditedRequest): boolean {
  return (
    right.verb === request.verb &&
    right.resource === request.resource &&
    (right.namespace === undefined || right.namespace === request.namespace) &&
    (right.name === undefined || right.name === request.name)
  );
}

const describe = ({ verb, resource, namespace, name }: Right): string =>
  [verb, resource, name, namespace === undefined ? undefined : `in ${namespace}`]
    .filter((part) => part !== undefined)
    .join(" ");

/** Rights that no request used, and requests that no right covers; both empty where rights are just enough. */
export function compareRights(
  granted: readonly Right[],
  requests: readonly AuditedRequest[],
): { readonly unused: string[]; readonly missing: string[] } {
  const missing = requests.filter((request) => !granted.some((right) => covers(right, request)));
  return {
    unused: granted.filter((right) => !requests.some((request) => covers(right, request))).map(describe),
    missing: [...new Set(missing.map(describe))],
  };
}
