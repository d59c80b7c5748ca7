import { hasReason } from "../../kube/errors.ts";
import { SATELLITE_CLASSES, SATELLITES } from "../../satellite/resource.ts";
import type { Doctor, Finding } from "./looking.ts";

interface Needed {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
}

const CRD = SATELLITES.group;
/** What charts/satellites gives to each account. */
const ROUTER: readonly Needed[] = [
  ...["list", "watch", "patch"].map((verb) => ({ verb, group: CRD, resource: SATELLITES.plural })),
  { verb: "patch", group: CRD, resource: SATELLITES.plural, subresource: "status" },
];
const ROUTER_REVIEWS: readonly Needed[] = [
  { verb: "create", group: "authentication.k8s.io", resource: "tokenreviews" },
  { verb: "create", group: "authorization.k8s.io", resource: "subjectaccessreviews" },
];
const OPERATOR: readonly Needed[] = [SATELLITES, SATELLITE_CLASSES].flatMap(({ group, plural }) => [
  ...["list", "watch", "patch"].map((verb) => ({ verb, group, resource: plural })),
  { verb: "patch", group, resource: plural, subresource: "status" },
]);

/** Whether the accounts of operator and routers have the rights that they work by. */
export async function accounts(looking: Doctor): Promise<Finding[]> {
  const [pod] = await looking.routerPods().catch(() => []);
  if (pod === undefined) {
    return []; // Another check says so.
  }
  const { watchNamespace, isAnonymous } = pod.settings;
  const router = [...ROUTER, ...(isAnonymous ? [] : ROUTER_REVIEWS)];
  const operator = await looking.operatorAccount(pod.namespace);
  return [
    ...(await missingRights(looking, "routers", `${pod.namespace}:${pod.account}`, watchNamespace, router)),
    ...(operator === undefined
      ? []
      : await missingRights(looking, "the operator", `${pod.namespace}:${operator}`, undefined, OPERATOR)),
  ];
}

/** @param namespace where the rights have to hold; everywhere when absent */
async function missingRights(
  looking: Doctor,
  who: string,
  account: string,
  namespace: string | undefined,
  needed: readonly Needed[],
): Promise<Finding[]> {
  const [home = "", name = ""] = account.split(":");
  const user = `system:serviceaccount:${home}:${name}`;
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${home}`, "system:authenticated"];
  const missing: string[] = [];
  for (const attributes of needed) {
    // Reviews are of no namespace.
    const where = namespace === undefined || attributes.group !== CRD ? {} : { namespace };
    try {
      const { status } = await looking.post<{ readonly status: { readonly allowed: boolean } }>(
        "authorization.k8s.io",
        "subjectaccessreviews",
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: { user, groups, resourceAttributes: { ...attributes, ...where } },
        },
      );
      if (!status.allowed) {
        const subresource = attributes.subresource === undefined ? "" : `/${attributes.subresource}`;
        missing.push(`${attributes.verb} ${attributes.resource}${subresource}`);
      }
    } catch (error) {
      if (hasReason(error, "Forbidden")) {
        return [
          {
            state: "unknown",
            what: `you may not ask for the rights of ${who} (create subjectaccessreviews)`,
          },
        ];
      }
      throw error;
    }
  }
  return missing.length === 0
    ? [{ state: "ok", what: `the account of ${who} has the rights that are needed (${user})` }]
    : [
        {
          state: "bad",
          what: `the account of ${who}, ${user}, may not ${missing.join(", ")}`,
          mend: "upgrade the release by the chart of this version, which has the roles",
        },
      ];
}
