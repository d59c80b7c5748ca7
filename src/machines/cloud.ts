import type { MachineOwner } from "./tags.ts";

/** `spec` of a SatelliteClass; each cloud reads its own block of it (`ec2`), which the CRD's schema has checked. */
export type ClassSpec = Readonly<Record<string, unknown>>;

/** What the operator's messages call a cloud and what it has. */
export interface CloudWords {
  /** Its name: "EC2 does not show …". */
  readonly name: string;
  /** Who helps where the cloud errs: "… or ask AWS". */
  readonly support: string;
  /** What lets others reach a machine's port: "… check that the security group lets operator and routers in". */
  readonly firewall: string;
  /** What it means that a machine has no private IPv4 address, and what to do: a clause each, without a full stop. */
  readonly addressless: { readonly meaning: string; readonly advice: string };
}

/** State of a machine. The names are EC2's (EC2 user guide, "Instance lifecycle"); other clouds translate theirs. */
export type MachineState = "pending" | "running" | "stopping" | "stopped" | "shutting-down" | "terminated";

/** The `reason` of a machine that found no room: other types and zones are tried, and no person needs to look. */
export const NO_CAPACITY = "InsufficientCapacity";

/** Why the cloud changed a machine's state, and what that means. */
export interface StateReason {
  /** The cloud's own code, e.g. `Server.InsufficientInstanceCapacity`. */
  readonly code: string;
  /** The cloud's own words. */
  readonly message: string;
  /** CamelCase reason for conditions and events; {@link NO_CAPACITY} for want of capacity. */
  readonly reason: string;
  /** What a person should know and do. */
  readonly advice: string;
  /** Whether it was stopped in a way that keeps its memory. */
  readonly hibernated: boolean;
}

/** One machine as last seen. */
export interface Machine {
  readonly id: string;
  readonly state: MachineState;
  readonly type: string;
  readonly zone: string;
  readonly image: string;
  /** Private address; kept over stop and start. Absent while the cloud has not assigned one. */
  readonly address?: string;
  readonly launchedAt: string;
  /** Whether it was launched with hibernation enabled. */
  readonly hibernationConfigured: boolean;
  /** Data volumes that are attached or being attached. */
  readonly volumes: readonly string[];
  /** Why it made its last transition. */
  readonly stateReason?: StateReason;
  /** ClientToken that it was launched with. */
  readonly clientToken?: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What a guest has written about itself on its machine's console (docs/guest.md, "What a guest says on its console"). */
export interface GuestWords {
  readonly text: string;
  /** Whether it says that something has failed. */
  readonly isFailure: boolean;
}

/** Something that the cloud is going to do to a machine or its host, and that a stop and a start avoid. */
export interface MachineEvent {
  readonly id: string;
  /** ID of the machine. */
  readonly machine: string;
  /** The cloud's own name of the kind, e.g. `instance-retirement`. */
  readonly code: string;
  readonly description: string;
  /** When it happens at the earliest, RFC 3339. */
  readonly notBefore: string;
}

/** What is wanted of a new machine, before anything is chosen. */
export interface LaunchRequest {
  readonly owner: MachineOwner;
  readonly classSpec: ClassSpec;
  readonly architecture: "amd64" | "arm64";
  /** Machine types in order of preference. */
  readonly types: readonly string[];
  readonly hibernate: boolean;
  /** One more after each launch that was given up or whose machine is gone, so that the token is a new one. */
  readonly attempt: number;
  /** Which type and zone to take: 0 is the most preferred; after the last one it begins again. */
  readonly combination: number;
  /** The only zone that the machine may be in, since its data volume is there. */
  readonly zone?: string;
  /** Script or cloud-config that the guest runs at its first boot; at most 16 KB (EC2 user guide). */
  readonly userData: string;
}

/** What a volume is like. */
export interface VolumeShape {
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly kmsKeyID?: string;
}

/** Every parameter of a data volume; written to `status.volume` before the cloud is asked, as a launch is. */
export interface VolumePlan extends VolumeShape {
  /** Idempotency token; same plan, same token. */
  readonly token: string;
  readonly zone: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A data volume as last seen. */
export interface Volume {
  readonly id: string;
  readonly state: "creating" | "available" | "in-use" | "deleting" | "deleted" | "error";
  readonly zone: string;
  readonly createdAt: string;
  /** The machine that has it, or is about to have or to lose it. */
  readonly attachment?: {
    readonly machine: string;
    readonly state: "attaching" | "attached" | "detaching" | "detached" | "busy";
  };
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * Every parameter of one launch, resolved. It is written to `status.launch` before the cloud is asked, so
 * that a retry after a crash is the same request and the token makes it the same machine.
 */
export interface LaunchPlan {
  readonly attempt: number;
  /** Idempotency token; same plan, same token. */
  readonly token: string;
  readonly type: string;
  readonly zone: string;
  readonly image: string;
  readonly hibernate: boolean;
  /** The volume beside it, which outlives the machine; it is made once the machine is there. */
  readonly dataVolume?: VolumeShape;
  /** SHA-256 of the user data, hex. */
  readonly userDataHash: string;
  readonly tags: Readonly<Record<string, string>>;
  /** What else this cloud needs to repeat the launch. The operator stores it and hands it back; nobody else reads it. */
  readonly details: Readonly<Record<string, string>>;
}

/** How many type and zone combinations there are, and the plan for one attempt. */
export interface ResolvedLaunch {
  readonly plan: LaunchPlan;
  readonly combinations: number;
}

/** What is asked about a class. */
export interface ClassInspection {
  readonly classSpec: ClassSpec;
  /** Machine types of all its sizes. */
  readonly types: readonly string[];
  /** Whether everything is read again, since somebody has just changed the class; otherwise answers of some minutes ago will do. */
  readonly isFresh?: boolean;
}

/** What the cloud has found for a class. */
export interface ClassFacts {
  /** Image by architecture. */
  readonly images: Readonly<Record<string, string>>;
  /** Architectures that have an image and at least one type. */
  readonly architectures: readonly string[];
  /** The cloud's own fields of `status.resolved`, within the CRD's bounds: stored as they are, for people. */
  readonly details: Readonly<Record<string, readonly string[]>>;
}

/**
 * Virtual machines in the operator's words. Mutating calls make one attempt and reject with a `CloudError`
 * (errors.ts) that says what class of failure it was and whether the outcome is known.
 */
export interface MachineCloud {
  readonly words: CloudWords;
  /** Whether a text may be the ID of a machine; the cloud is not asked for others. */
  isMachineID(text: string): boolean;
  /** Whether a class gives its machines a data volume. */
  hasDataVolume(classSpec: ClassSpec): boolean;
  /**
   * GiB of a machine's own disk, for its price: as its launch was planned, else as the class has it; 0 where neither says.
   *
   * @param details of the plan that the machine was launched by
   */
  diskGiB(classSpec: ClassSpec, details: LaunchPlan["details"] | undefined): number;
  /** Chooses every parameter of one attempt. Reads only. */
  resolve(request: LaunchRequest): Promise<ResolvedLaunch>;
  /** Finds what a class names or chooses. Reads only. */
  inspect(inspection: ClassInspection): Promise<ClassFacts>;
  /** Launches, or finds the machine that the same plan launched before. */
  launch(plan: LaunchPlan, userData: string): Promise<Machine>;
  /** The machine that the plan has launched, read now by its token; `undefined`: none is visible. Launches nothing. */
  findLaunched(plan: LaunchPlan): Promise<Machine | undefined>;
  /** Starts a stopped or hibernated machine. Calls made together share one request. */
  start(id: string): Promise<void>;
  /** Stops a running machine. `hibernate` keeps its memory; `force` skips the guest's shutdown. */
  stop(id: string, options: { readonly hibernate: boolean; readonly force: boolean }): Promise<void>;
  terminate(id: string): Promise<void>;
  /** Reboots a running machine. */
  reboot(id: string): Promise<void>;
  /** Changes the type of a stopped machine that is not hibernated. */
  changeType(id: string, type: string): Promise<void>;
  /** Those of `types` that a zone has for an architecture, in the same order. Reads only. */
  suitableTypes(wanted: {
    readonly types: readonly string[];
    readonly architecture: "amd64" | "arm64";
    readonly zone: string;
  }): Promise<string[]>;
  /** Creates a data volume, or finds the one that the same plan created before. */
  createVolume(plan: VolumePlan): Promise<Volume>;
  /** The volume that the plan has created, read now by its token; `undefined`: none is visible. Creates nothing. */
  findVolume(plan: VolumePlan): Promise<Volume | undefined>;
  /** The volume, read now; `undefined` when the cloud does not know it. Calls made together share one request. */
  describeVolume(id: string): Promise<Volume | undefined>;
  /** Attaches an available volume to a machine that runs or is stopped. */
  attachVolume(id: string, machine: string): Promise<void>;
  /** Detaches a volume from a machine that is stopped. */
  detachVolume(id: string, machine: string): Promise<void>;
  /** Deletes a volume that is attached to nothing; one that is gone already is no error. */
  deleteVolume(id: string): Promise<void>;
  /** All data volumes tagged as this cluster's, read now and complete. */
  listVolumes(): Promise<Volume[]>;
  /** Adds or overwrites tags of a machine or a volume. */
  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /**
   * The machine, no older than `maxAgeMs` milliseconds; `undefined` when the cloud does not know it (which
   * right after a launch proves nothing). Calls made together share one request.
   */
  describe(id: string, maxAgeMs: number): Promise<Machine | undefined>;
  /**
   * A machine that nobody waits for; `undefined` when the cloud does not know it. Many look-ups share one request, and all
   * other calls go first.
   */
  lookUp(id: string): Promise<Machine | undefined>;
  /** All machines tagged as this cluster's, read now and complete; terminated ones included while visible. */
  list(): Promise<Machine[]>;
  /** Forgets what was read of machines: another process may have changed them since. */
  forget(): void;
  /** What the guest wrote last about itself on the machine's console, read now; `undefined`: nothing that is still kept. */
  lastWords(id: string): Promise<GuestWords | undefined>;
  /** Events announced for machines that run and still to come; those of machines that are not ours included. */
  events(): Promise<MachineEvent[]>;
}
