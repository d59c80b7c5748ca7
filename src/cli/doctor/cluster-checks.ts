import { hasReason, isNotFound, KubeError } from "../../kube/errors.ts";
import { LEASE, type Lease } from "../../kube/resources.ts";
import { SATELLITE_CLASSES, SATELLITES } from "../../satellite/resource.ts";
import { plainMessage } from "../error-line.ts";
import { shortDuration } from "../style.ts";
import { CRD_FIELDS } from "./crd-fields.ts";
import { fieldPaths, type Schema } from "./definition-fields.ts";
import type { Doctor, Finding } from "./looking.ts";

/** Tokens and leases suffer from clocks that differ by more, in seconds. */
const MAX_SKEW_SECONDS = 10;
/** So many fields that a CRD lacks are named. */
const NAMED_FIELDS = 5;
const LEADER = "satellites-operator";

/** Whether it answers, and what its clock says. */
export async function apiServer(looking: Doctor): Promise<Finding[]> {
  const { connection, context } = looking;
  let version: { readonly gitVersion: string };
  try {
    version = (await connection.call({ method: "GET", path: "/version" })) as typeof version;
  } catch (error) {
    if (!(error instanceof KubeError)) {
      throw error;
    }
    return [
      {
        state: "bad",
        what: `API server ${connection.server}, context ${connection.context}: ${plainMessage(error)}`,
        mend: "kubectl config view shows what the kubeconfig says: server, certificate-authority and credential of that context",
        isTheEnd: true,
      },
    ];
  }
  const findings: Finding[] = [
    {
      state: "ok",
      what: `API server ${connection.server} answers (${version.gitVersion}), context ${connection.context}`,
    },
  ];
  const serverTime = await connection.transport.serverTime(context.stop);
  if (serverTime !== undefined) {
    const skew = (context.clock.now().getTime() - serverTime.getTime()) / 1000;
    findings.push(
      Math.abs(skew) > MAX_SKEW_SECONDS
        ? {
            state: "bad",
            what: `this machine's clock is ${shortDuration(Math.abs(skew))} ${skew > 0 ? "ahead of" : "behind"} the API server's`,
            mend: "set it by NTP: tokens and certificates are judged by it",
          }
        : { state: "ok", what: "this machine's clock agrees with the API server's" },
    );
  }
  return findings;
}

/** Whether the CRDs are served. */
export async function definitions(looking: Doctor): Promise<Finding[]> {
  const { connection } = looking;
  const path = `/apis/${SATELLITES.group}/${SATELLITES.version}`;
  try {
    const { resources } = (await connection.call({ method: "GET", path })) as {
      readonly resources: readonly { readonly name: string }[];
    };
    const missing = [SATELLITES, SATELLITE_CLASSES].filter(
      ({ plural }) => !resources.some(({ name }) => name === plural),
    );
    return missing.length === 0
      ? [
          { state: "ok", what: `CRDs of ${SATELLITES.group}/${SATELLITES.version} are served` },
          ...(await age(looking)),
        ]
      : [
          {
            state: "bad",
            what: `the API server does not serve ${missing.map(({ plural }) => plural).join(", ")}`,
            mend: "apply the CRDs of this version: kubectl apply --server-side -f crds/",
          },
        ];
  } catch (error) {
    if (!isNotFound(error)) {
      throw error;
    }
    return [
      {
        state: "bad",
        what: `the API server knows no ${SATELLITES.group}/${SATELLITES.version}`,
        mend: "install the chart, or the CRDs of this version: kubectl apply --server-side -f crds/",
      },
    ];
  }
}

/** A CustomResourceDefinition, as far as it says which fields there are. */
export interface Definition {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly schema?: { readonly openAPIV3Schema?: Schema };
    }[];
  };
}

/**
 * The fields of this version that a definition lacks: the API server drops what is written to them. What lies below a field
 * that is lacking is not named.
 *
 * @param name of the definition
 */
export function lacking(name: string, { spec }: Definition): string[] {
  const served = spec.versions.find((version) => version.name === SATELLITES.version)?.schema
    ?.openAPIV3Schema;
  const has = new Set(fieldPaths(served));
  const isThere = (holder: string): boolean =>
    holder === "" || has.has(holder.replace(/(\[\]|\.<key>)+$/, ""));
  return Object.entries(CRD_FIELDS[name] ?? {}).flatMap(([holder, fields]) =>
    isThere(holder)
      ? fields
          .split(" ")
          .map((field) => (holder === "" ? field : `${holder}.${field}`))
          .filter((path) => !has.has(path))
      : [],
  );
}

/** The first of some fields, and how many more there are. */
function listed(fields: readonly string[]): string {
  const more = fields.length - NAMED_FIELDS;
  return `${fields.slice(0, NAMED_FIELDS).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Whether the CRDs are of this version. */
async function age({ connection }: Doctor): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of Object.keys(CRD_FIELDS)) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
    let definition: Definition;
    try {
      definition = (await connection.call({ method: "GET", path })) as Definition;
    } catch (error) {
      if (hasReason(error, "Forbidden") || isNotFound(error)) {
        return [{ state: "unknown", what: "you may not read the CRDs, so nothing is said of their version" }];
      }
      throw error;
    }
    const fields = lacking(name, definition);
    if (fields.length > 0) {
      findings.push({
        state: "bad",
        what: `CRD ${name} is older than this command: it lacks ${listed(fields)}`,
        mend: "apply those of this version: kubectl apply --server-side -f crds/",
      });
    }
  }
  return findings.length > 0 ? findings : [{ state: "ok", what: "CRDs have all fields of this version" }];
}

interface Wanted {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace: string;
  /** What one cannot do without it. */
  readonly loss: string;
}

/** What the caller may do. */
export async function rights(looking: Doctor): Promise<Finding[]> {
  const { connection, flags } = looking;
  const { namespace } = connection;
  const satellites = { group: SATELLITES.group, resource: SATELLITES.plural, namespace };
  const pods = await looking.routerPods().catch(() => []);
  const home = pods[0]?.namespace ?? flags.routerNamespace ?? "satellites";
  const wanted: readonly Wanted[] = [
    { ...satellites, verb: "list", loss: "ls, inspect" },
    { ...satellites, verb: "watch", loss: "ls -w, wake, sleep" },
    { ...satellites, verb: "patch", loss: "wake, sleep" },
    { ...satellites, verb: "delete", loss: "rm" },
    {
      verb: "create",
      group: "",
      resource: "serviceaccounts",
      subresource: "token",
      namespace,
      loss: "proxy and run with an account's token",
    },
    { verb: "list", group: "", resource: "pods", namespace: home, loss: "proxy and run without --router" },
    {
      verb: "create",
      group: "",
      resource: "pods",
      subresource: "portforward",
      namespace: home,
      loss: "proxy and run by port-forward",
    },
  ];
  return await Promise.all(
    wanted.map(async ({ loss, ...attributes }): Promise<Finding> => {
      const { status } = await looking.post<{ readonly status: { readonly allowed: boolean } }>(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SelfSubjectAccessReview",
          spec: { resourceAttributes: attributes },
        },
      );
      const name = [attributes.resource, attributes.subresource]
        .filter((part) => part !== undefined)
        .join("/");
      const what = `you may ${attributes.verb} ${name} in namespace ${attributes.namespace}`;
      return status.allowed
        ? { state: "ok", what }
        : {
            state: "unknown",
            what: what.replace("you may", "you may not"),
            mend: `${loss} will not work; ask for a Role with the verb ${attributes.verb} on ${name}${attributes.group === "" ? "" : ` (${attributes.group})`}`,
          };
    }),
  );
}

/** Whether an operator leads, and one of each shard. */
export async function operator(looking: Doctor): Promise<Finding[]> {
  const { lease, namespace } = await leaseOf(looking);
  if (lease === undefined || namespace === undefined) {
    return [
      {
        state: "bad",
        what: `no operator has ever led in ${namespace === undefined ? "this cluster" : `namespace ${namespace}`}: there is no Lease ${LEADER}`,
        mend: "install the chart; name its namespace with --router-namespace where it is another",
      },
    ];
  }
  const now = looking.context.clock.now();
  return [lease, ...(await shardLeases(looking, namespace))].map((each) => led(each, namespace, now));
}

/** Whether a Lease is held. */
function led({ metadata, spec }: Lease, namespace: string, now: Date): Finding {
  const { holderIdentity = "", renewTime = "", leaseDurationSeconds = 15 } = spec ?? {};
  const shard = metadata.name.slice(LEADER.length + 1);
  const where = `${shard === "" ? "" : ` shard ${shard}`} in namespace ${namespace}`;
  const agoSeconds = (now.getTime() - Date.parse(renewTime)) / 1000;
  return holderIdentity !== "" && agoSeconds < leaseDurationSeconds + MAX_SKEW_SECONDS
    ? { state: "ok", what: `operator ${holderIdentity} leads${where}` }
    : {
        state: "bad",
        what: `no operator leads${where}: the lease of ${holderIdentity || "nobody"} was renewed ${shortDuration(agoSeconds)} ago`,
        mend: `look at its pods: kubectl get pods -n ${namespace}; kubectl logs -n ${namespace} -l app.kubernetes.io/component=operator${shard === "" ? "" : `-shard,satellites.dev/shard=${shard}`}`,
      };
}

/** The Leases of shards in a namespace; none where one may not look. */
async function shardLeases({ connection }: Doctor, namespace: string): Promise<Lease[]> {
  try {
    const { items } = await connection.client.list<Lease>(LEASE, { namespace });
    return items.filter(({ metadata }) => metadata.name.startsWith(`${LEADER}-`));
  } catch (error) {
    if (!hasReason(error, "Forbidden")) {
      throw error;
    }
    return [];
  }
}

/** The operator's lease, wherever it is; where one may not look everywhere, in the namespace that is meant. */
async function leaseOf(
  looking: Doctor,
): Promise<{ readonly lease: Lease | undefined; readonly namespace: string | undefined }> {
  const { client } = looking.connection;
  const namespace = looking.flags.routerNamespace;
  if (namespace === undefined) {
    try {
      const { items } = await client.list<Lease>(LEASE, { fieldSelector: `metadata.name=${LEADER}` });
      const [newest] = items.toSorted(
        (left, right) => Date.parse(right.spec?.renewTime ?? "") - Date.parse(left.spec?.renewTime ?? ""),
      );
      return { lease: newest, namespace: newest?.metadata.namespace };
    } catch (error) {
      if (!hasReason(error, "Forbidden")) {
        throw error;
      }
    }
  }
  const [pod] = await looking.routerPods().catch(() => []);
  const where = namespace ?? pod?.namespace ?? "satellites";
  try {
    return { lease: await client.get<Lease>(LEASE, { namespace: where, name: LEADER }), namespace: where };
  } catch (error) {
    if (isNotFound(error)) {
      return { lease: undefined, namespace: where };
    }
    throw error;
  }
}
