import { parseArgs } from "node:util";
import { SatelliteError } from "../../base/errors.ts";
import { hasReason, isNotFound } from "../../kube/errors.ts";
import type { KubeObject } from "../../kube/objects.ts";
import { POD, SERVICE } from "../../kube/resources.ts";
import type { Connection } from "../connect.ts";

/** A core/v1 Pod, as far as it tells of its router. */
export interface Pod extends KubeObject {
  readonly spec?: {
    readonly serviceAccountName?: string;
    readonly containers?: readonly { readonly name: string; readonly args?: readonly string[] }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface Service extends KubeObject {
  readonly spec?: { readonly ports?: readonly { readonly name?: string; readonly port: number }[] };
}

/** What a router was started with, as far as its clients need to know. */
export interface RouterSettings {
  readonly port: number;
  readonly isTls: boolean;
  /** Asks nobody for a credential. */
  readonly isAnonymous: boolean;
  readonly domain: string | undefined;
  /** For whom a token has to be. */
  readonly audience: string;
  /** The only namespace that it serves, if it does not serve all. */
  readonly watchNamespace: string | undefined;
}

/** A pod with a router in it. */
export interface RouterPod {
  readonly namespace: string;
  readonly name: string;
  readonly isReady: boolean;
  /** Its service account. */
  readonly account: string;
  readonly settings: RouterSettings;
}

/** Labels that the chart gives its pods and Services. */
const PART_OF = "app.kubernetes.io/part-of=satellites";
const CONTAINER = "router";
const DEFAULT_PORT = 8372;
const DEFAULT_AUDIENCE = "satellites.dev";
/** Where the product is installed by its documents. */
const USUAL_NAMESPACE = "satellites";

/** Reads a router's own command line. @param args those of its container */
export function routerSettings(args: readonly string[]): RouterSettings {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    options: {
      listen: { type: "string" },
      anonymous: { type: "boolean" },
      "insecure-anonymous": { type: "boolean" },
      "tls-cert": { type: "string" },
      domain: { type: "string" },
      "token-audience": { type: "string", multiple: true },
      "watch-namespace": { type: "string" },
    },
  });
  const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
  const audiences: unknown = values["token-audience"];
  const [audience]: unknown[] = Array.isArray(audiences) ? audiences : [];
  return {
    port: Number(/:(\d+)$/.exec(text(values.listen) ?? "")?.[1] ?? DEFAULT_PORT),
    isTls: values["tls-cert"] !== undefined,
    isAnonymous: values.anonymous === true || values["insecure-anonymous"] === true,
    domain: text(values.domain),
    audience: text(audience) ?? DEFAULT_AUDIENCE,
    watchNamespace: text(values["watch-namespace"]),
  };
}

/**
 * Pods with a router that serves the namespace, those that are ready first.
 *
 * @param where namespace to look in; all, or the usual one where that is not allowed, when absent
 * @throws SatelliteError `NoRouter` that says what to do, KubeError
 */
export async function findRouterPods(
  connection: Pick<Connection, "client">,
  satelliteNamespace: string,
  where: string | undefined,
): Promise<RouterPod[]> {
  const pods = await listPods(connection, where);
  const routers = pods.flatMap((pod): RouterPod[] => {
    const args = pod.spec?.containers?.find(({ name }) => name === CONTAINER)?.args;
    const isGone = pod.metadata.deletionTimestamp !== undefined || pod.status?.phase !== "Running";
    if (args === undefined || isGone) {
      return [];
    }
    const isReady =
      pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
    const { namespace = "", name } = pod.metadata;
    const account = pod.spec?.serviceAccountName ?? "default";
    return [{ namespace, name, isReady, account, settings: routerSettings(args) }];
  });
  const serving = routers.filter(
    ({ settings: { watchNamespace } }) =>
      watchNamespace === undefined || watchNamespace === satelliteNamespace,
  );
  if (serving.length === 0) {
    const place = where === undefined ? "the cluster" : `namespace ${where}`;
    throw new SatelliteError(
      "NoRouter",
      routers.length > 0
        ? `no router in ${place} serves namespace ${satelliteNamespace}: each watches another one (router.watchNamespace)`
        : `no running router is found in ${place} (pods with the label ${PART_OF} and a container "${CONTAINER}"). Is the ` +
            "chart installed? kubectl satellite doctor looks; --router HOST:PORT names one that runs elsewhere",
    );
  }
  return serving.toSorted((left, right) => Number(right.isReady) - Number(left.isReady));
}

async function listPods({ client }: Pick<Connection, "client">, where: string | undefined): Promise<Pod[]> {
  try {
    const { items } = await client.list<Pod>(POD, {
      ...(where === undefined ? {} : { namespace: where }),
      labelSelector: PART_OF,
    });
    return items;
  } catch (error) {
    if (isNotFound(error)) {
      throw new SatelliteError(
        "NoRouter",
        "this API server knows no pods, so no router is found in it: name one with --router HOST:PORT, or use a kubeconfig " +
          "that names it, as satellites local prints",
        { cause: error },
      );
    }
    if (!hasReason(error, "Forbidden")) {
      throw error;
    }
    if (where === undefined) {
      return await listPods({ client }, USUAL_NAMESPACE);
    }
    throw new SatelliteError(
      "NoRouter",
      `you may not list pods in namespace ${where}, where a router is looked for; ask for the verbs get and list on pods ` +
        "and create on pods/portforward there, or name a router that you reach with --router HOST:PORT",
      { cause: error },
    );
  }
}

/** The Service before the routers of a namespace. @throws SatelliteError `NoRouter` */
export async function findRouterService(
  { client }: Pick<Connection, "client">,
  namespace: string,
): Promise<{ readonly host: string; readonly port: number }> {
  const { items } = await client.list<Service>(SERVICE, {
    namespace,
    labelSelector: `${PART_OF},app.kubernetes.io/component=router`,
  });
  const [service] = items;
  const port = service?.spec?.ports?.find(({ name }) => name === "grpc")?.port;
  if (service === undefined || port === undefined) {
    throw new SatelliteError(
      "NoRouter",
      `namespace ${namespace} has no Service of a router: its access mode is loopback, so it is reached by ` +
        "port-forward alone (--via port-forward)",
    );
  }
  return { host: `${service.metadata.name}.${namespace}.svc`, port };
}
