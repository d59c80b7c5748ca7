import type { Machine, Volume } from "../machines/cloud.ts";
import type { CloudErrorClass } from "../machines/errors.ts";
import type { Lease } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Absence } from "./absence.ts";
import type { SeenEvent } from "./host-events.ts";
import type { Claim } from "./ownership.ts";
import type { Stretch } from "./usage.ts";

/** A failed action, remembered until it succeeds or what it depended on changes. */
export interface Failure {
  /** `kind` of the action that failed. */
  readonly action: string;
  readonly class: CloudErrorClass | "configuration";
  /** CamelCase, for conditions and events. */
  readonly reason: string;
  readonly message: string;
  /** `status.launch.attempt` at that time. */
  readonly attempt: number | undefined;
  /** Whether the action may have taken effect all the same. */
  readonly outcomeUnknown: boolean;
  /** How often in a row. */
  readonly count: number;
  /** Only a person can mend it; it is shown as phase Failed. */
  readonly terminal: boolean;
  /** Monotonic milliseconds before which it is not tried again, unless its inputs change. */
  readonly retryAtMs: number;
  /** Instance type of the machine at that time. */
  readonly machineType: string | undefined;
  /** When it failed last; monotonic milliseconds. */
  readonly atMs: number;
  /** What the action was decided on; a change of it clears the failure. */
  readonly inputs: string;
}

/** Where a VM's gRPC port is, and how to connect. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: "Required" | "Off";
  /** The key that the VM must show; under TLS without it, any will do. */
  readonly tlsFingerprint?: string;
}

/** Why a VM that answers is not taken for ready. */
export interface ProbeTrouble {
  readonly reason: "OtherVM" | "TLSNotServed";
  /** What to do. */
  readonly message: string;
}

/** What a look at the VM's gRPC port showed. */
export interface Probe {
  readonly epoch: number;
  readonly atMs: number;
  /** Whether it answered, and was known not to be another VM where that can be known. */
  readonly ready: boolean;
  /** The key that was learned, and of which machine: before and after the look the cloud said that it was there. */
  readonly key?: { readonly machine: string; readonly host: string; readonly fingerprint: string };
  readonly trouble?: ProbeTrouble;
  /** The guest's boot ID; absent where the guest has no agent. */
  readonly bootID?: string;
  /** Work that the guest says is running; 0 where the guest has no agent. */
  readonly runningWork: number;
}

/** A call that the cloud accepted in some epoch, remembered so that it is not sent again at once. */
export interface AcceptedCall {
  readonly epoch: number;
  readonly atMs: number;
}

/**
 * What one operator process remembers of a satellite between steps. It paces and saves calls; nothing that must
 * be true after a crash depends on it.
 */
export interface Memory {
  launched?: Machine;
  /** How many type and zone combinations the last launch could choose from. */
  combinations?: number;
  start?: AcceptedCall;
  /** The start that this process wrote or fenced itself, as "epoch/fence": only that one may it send. */
  ownedStart?: string;
  stop?: AcceptedCall;
  /** When each machine was last told to terminate, and EC2 accepted that; monotonic ms. */
  terminated?: Readonly<Record<string, number>>;
  /** Token of the intent that `launched` was launched by. */
  launchedToken?: string;
  /** Searches, by a token, that have found nothing; monotonic ms of the first and the last. */
  search?: {
    readonly token: string;
    readonly sinceMs: number;
    readonly atMs: number;
    readonly misses: number;
  };
  /** The data volume that was made last, by the token of its intent. */
  volumeMade?: { readonly token: string; readonly volume: Volume };
  /** The data volume that was attached last, and to what. */
  attached?: { readonly volume: string; readonly machine: string; readonly atMs: number };
  /** The data volume that was detached last. */
  detached?: { readonly volume: string; readonly atMs: number };
  /** ID of the data volume that was deleted. */
  volumeDeleted?: string;
  /** What a look at the port of a machine that is to replace another one showed. */
  replacementProbe?: Pick<Probe, "atMs" | "ready" | "key" | "trouble"> & { readonly machine: string };
  /** The last look at the instance to take over, and when to look again while it may not be. */
  adoption?: {
    readonly inputs: string;
    readonly count: number;
    readonly adoption: Adoption;
    readonly againAtMs: number;
  };
  /** Machines and data volumes that were to be tagged as this satellite's, by ID. */
  claims?: Readonly<Record<string, Claim>>;
  /** The instance type that this process gave the machine last. */
  typeChanged?: { readonly type: string; readonly atMs: number };
  /** In this epoch no other instance type could be had. */
  typeFixedEpoch?: number;
  /** IDs of what was tagged as kept. */
  retained?: readonly string[];
  /** The stretch of running or sleeping that it is in. */
  stretch?: Stretch;
  /** What EC2 does not show of what the status names, by ID. */
  absent?: Readonly<Record<string, Absence>>;
  /** The last failure of all, while its action has not worked since: it is shown. */
  failure?: Failure;
  /** The last failure of each action that has not worked since: two that fail in turn must not begin anew each time. */
  failures?: Readonly<Record<string, Failure>>;
  /** The write that the API server will not store. */
  rejection?: Failure;
  /** Why the machine could not be seen the last time. */
  blindness?: Failure;
  probe?: Probe;
  /** How many looks at silent ports came between two at this one, as of the last look (silent-ports.ts). */
  silentPorts?: number;
  /** Since when the port has been silent in an epoch; monotonic ms. */
  silence?: { readonly epoch: number; readonly sinceMs: number };
  /** The reboot of a silent machine. */
  reboot?: AcceptedCall;
  /** Since when the machine has been seen in a state that contradicts `status.power`; monotonic ms. */
  contradictedSinceMs?: number;
  /** Since when the guest alone (no router) has kept the satellite awake; monotonic ms. */
  guestBusySinceMs?: number;
}

/** What is known of idleness (idle.ts). */
export interface Idleness {
  /** Milliseconds until the satellite may sleep; Infinity when it never does. */
  readonly remainingMs: number;
  /** Leases that routers may still count on. */
  readonly liveLeases: readonly Lease[];
  /** Routers that are gone for good, and whose entries may go. */
  readonly staleRouters: readonly string[];
}

/** Something outside of the satellite that it waits for; shown on it. */
export interface Blocker {
  /** CamelCase. */
  readonly reason: string;
  /** What to do. */
  readonly message: string;
}

/** What is known of the instance that a satellite is to take over, while it has no machine. */
export interface Adoption {
  readonly adoptee: Machine | undefined;
  /** "namespace/name" of another satellite that uses the adoptee. */
  readonly adopteeUser: string | undefined;
  /** Why the satellite may take over nothing, whatever the instance is like. */
  readonly adoptionRefusal: Blocker | undefined;
}

/** Everything that one decision is made from. */
export interface Observation extends Adoption {
  /** The cluster's identity in tags. */
  readonly cluster: string;
  readonly satellite: Satellite;
  /** `undefined`: there is none of that name. */
  readonly satelliteClass: SatelliteClass | undefined;
  /** The machine in `status.machine`, as the cloud describes it; `undefined`: the read did not show it, which proves nothing. */
  readonly machine: Machine | undefined;
  /** The machine in `status.replacement`. */
  readonly replacement: Machine | undefined;
  /** The machine in `status.retired`. */
  readonly retired: Machine | undefined;
  /** The volume in `status.volume`, looked at while it may have to be attached, moved or deleted. */
  readonly volume: Volume | undefined;
  /** Whether a complete list of machines was taken, so that `stray` can be believed. */
  readonly listed: boolean;
  /** A live machine tagged with this satellite's name although `status` names none. */
  readonly stray: Machine | undefined;
  /** Live machines of the satellite that it does not name, and that are kept for people (orphans.ts). */
  readonly keptAside: readonly Machine[];
  /** What the cloud has announced for the machine. */
  readonly event: SeenEvent | undefined;
  /** Whether a complete list of events was taken, so that the absence of one can be believed. */
  readonly eventsKnown: boolean;
  /** Why it may not be started now, by the class's limit. */
  readonly awakeLimit: Blocker | undefined;
  readonly idleness: Idleness;
  readonly memory: Readonly<Memory>;
  /** Wall clock, for what people read. */
  readonly now: Date;
  /** Monotonic clock, for measuring. */
  readonly nowMs: number;
}
