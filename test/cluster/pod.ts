import type { ContainerOwner } from "./node/containerd.ts";

/** A pod, as far as these tests look into it. */
export interface Pod extends ContainerOwner {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly { readonly name: string; readonly image: string }[];
  };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly restartCount: number;
      readonly ready: boolean;
      readonly containerID?: string;
      readonly state: { readonly terminated?: { readonly exitCode: number; readonly reason: string } };
      readonly lastState: { readonly terminated?: { readonly exitCode: number; readonly reason: string } };
    }[];
  };
}

/** What restricted Pod Security asks of a pod (Kubernetes documentation, "Pod Security Standards"). */
export const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  seccompProfile: { type: "RuntimeDefault" },
} as const;

/** Whether a pod is ready and is to stay. */
export const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") === true;

/** How often containers of these pods were started again. */
export const restartsOf = (pods: readonly Pod[]): number =>
  pods
    .flatMap(({ status }) => status.containerStatuses ?? [])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);
