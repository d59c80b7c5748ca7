import type { OperatorStatus } from "../satellite/status-patch.ts";
import type { ProbeTarget } from "./probe-target.ts";
import type { PowerReason } from "../satellite/power.ts";
import type { Power } from "../satellite/resource.ts";

/** Something worth an event on the satellite. */
export interface Announcement {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/**
 * What the operator does next for one satellite: at most one side effect. Every action is idempotent, or its
 * intent was written to the satellite first.
 */
export type Action =
  /** Do nothing until something changes or `afterMs` has passed. */
  | { readonly kind: "Wait"; readonly afterMs: number; readonly reason: string }
  | { readonly kind: "AddFinalizer" }
  | { readonly kind: "RemoveFinalizer" }
  /** One status patch with the power protocol's tests. */
  | {
      readonly kind: "WriteStatus";
      readonly status: OperatorStatus;
      readonly announce?: Announcement;
      /** Milliseconds until the next step; absent: it is decided at once. */
      readonly thenWaitMs?: number;
    }
  /** Sets `spec.desiredPower` to "off" for idleness. */
  | { readonly kind: "DesireOff" }
  /** Sets `spec.desiredPower` to "on", because its schedule says so. */
  | { readonly kind: "DesireOn" }
  /** Removes the lease of a router that is gone for good. */
  | { readonly kind: "PruneRouters"; readonly routers: readonly string[] }
  /** Takes a complete list of the cluster's machines, before anything is launched. */
  | { readonly kind: "ListMachines" }
  /** Resolves every launch parameter and writes them as the intent, with this `status.power`. */
  | ({ readonly kind: "PlanLaunch" } & PlannedAttempt)
  /** Sends the planned launch, for the first time or again. */
  | { readonly kind: "Launch" }
  /** Looks for the machine, or the data volume, that the written intent may have made. */
  | { readonly kind: "FindLaunched" }
  | { readonly kind: "FindVolume" }
  | { readonly kind: "Start"; readonly id: string }
  | { readonly kind: "Stop"; readonly id: string; readonly hibernate: boolean; readonly force: boolean }
  | { readonly kind: "Reboot"; readonly id: string }
  | { readonly kind: "Terminate"; readonly id: string }
  /** Reads what the guest of a silent machine has said of itself. */
  | { readonly kind: "ReadLastWords"; readonly id: string }
  /** Tags the machine, or its data volume, as this satellite's. */
  | { readonly kind: "Claim"; readonly id: string }
  /** Gives a stopped machine the first of `types` that its zone has. */
  | { readonly kind: "ChangeType"; readonly id: string; readonly types: readonly string[] }
  /** Tags the data volume or the machine as kept: this cluster does not manage it any more. */
  | { readonly kind: "Retain"; readonly id: string }
  /** Creates the data volume of the written intent, for the first time or again. */
  | { readonly kind: "CreateVolume" }
  | { readonly kind: "AttachVolume"; readonly id: string; readonly machine: string }
  | { readonly kind: "DetachVolume"; readonly id: string; readonly machine: string }
  | { readonly kind: "DeleteVolume"; readonly id: string }
  /** Resolves the launch of a machine that is to replace the one in use, and writes it as the intent, with this `status.power`. */
  | ({ readonly kind: "PlanReplacement" } & PlannedAttempt)
  /** Looks whether the port of the replacement answers. */
  | ({ readonly kind: "ProbeReplacement"; readonly id: string } & ProbeTarget)
  /** Looks whether the VM's port answers, and asks the guest for its boot ID and whether it works on something. */
  | ({ readonly kind: "Probe" } & ProbeTarget);

/** One attempt to launch a machine. */
export interface PlannedAttempt {
  /** One more than that of the plan before. */
  readonly attempt: number;
  /** Which type and zone to take: 0 is the most preferred. */
  readonly combination: number;
  readonly power: Power;
}

export type ActionKind = Action["kind"];

/** Why a satellite is put to sleep or taken down; a reason of the power protocol. */
export type StopReason = Extract<
  PowerReason,
  "DesiredOff" | "Draining" | "Deleting" | "Drift" | "Refresh" | "Update" | "Unreachable" | "ScheduledEvent"
>;
