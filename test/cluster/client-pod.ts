import { eventually } from "../support/eventually.ts";
import { type Cluster, TEAM } from "./cluster.ts";
import { chartVersion, REPOSITORY } from "./images.ts";
import { type Pod, RESTRICTED } from "./pod.ts";

const NAME = "client";
const PODS = `/api/v1/namespaces/${TEAM}/pods`;

/** With what a client's pod proves who it is. */
export interface PodAccess {
  /** Default: the namespace's own, whose token it does not get. */
  readonly serviceAccountName?: string;
  /** A volume at /access. */
  readonly access?: object;
}

/** How a pod ended that ran a command in a satellite's VM. */
export interface PodOutcome {
  readonly phase: string;
  /** What the command printed. */
  readonly output: unknown;
}

/**
 * Runs `satellites run` to its end in a pod with a read-only root, under the restricted Pod Security Standard. The pod is
 * gone when it returns.
 *
 * @param args of `satellites run`: flags, the satellite, the command
 */
export async function runInPod(
  cluster: Cluster,
  args: readonly string[],
  { serviceAccountName, access }: PodAccess = {},
): Promise<PodOutcome> {
  await cluster.create(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: NAME },
    spec: {
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
      automountServiceAccountToken: false,
      restartPolicy: "Never",
      securityContext: RESTRICTED,
      containers: [
        {
          name: NAME,
          image: `${REPOSITORY}:${chartVersion()}`,
          args: ["run", `--namespace=${TEAM}`, ...args],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          ...(access === undefined
            ? {}
            : { volumeMounts: [{ name: "access", mountPath: "/access", readOnly: true }] }),
        },
      ],
      ...(access === undefined ? {} : { volumes: [{ name: "access", ...access }] }),
    },
  });
  const pod = await eventually("the client has ended", async () => {
    const found = await cluster.get<Pod>(`${PODS}/${NAME}`);
    return ["Succeeded", "Failed"].includes(found.status.phase) && found;
  });
  const { body } = await cluster.admin.request("GET", `${PODS}/${NAME}/log`);
  await cluster.admin.request("DELETE", `${PODS}/${NAME}`);
  await eventually("the client's pod is gone", async () => {
    const { status } = await cluster.admin.request("GET", `${PODS}/${NAME}`);
    return status === 404;
  });
  return { phase: pod.status.phase, output: body };
}
