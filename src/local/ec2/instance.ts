/** Instance states with the codes that the API gives them (EC2 API reference, `InstanceState`). */
export const STATE_CODES = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const;

/** State of an instance. */
export type InstanceState = keyof typeof STATE_CODES;

/** The root volume of an instance. */
export interface RootVolume {
  readonly id: string;
  readonly deviceName: string;
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly encrypted: boolean;
  readonly kmsKeyId?: string;
  readonly deleteOnTermination: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

/** An event that EC2 announces for an instance, such as its retirement. */
export interface ScheduledEvent {
  readonly id: string;
  readonly code: string;
  readonly description: string;
  /** ISO 8601. */
  readonly notBefore: string;
}

/**
 * One instance as the model keeps it. Records are never changed, only replaced, so that an older one can be
 * shown to readers while changes spread (eventual consistency), and so that each is stored whole.
 */
export interface Instance {
  readonly id: string;
  readonly reservationId: string;
  readonly clientToken?: string;
  /** SHA-256 of the launching request; the same token with another one is refused. */
  readonly requestHash: string;
  readonly state: InstanceState;
  /** Counts the transitions, so that the end of an overtaken one changes nothing. */
  readonly transition: number;
  readonly stateReason?: { readonly code: string; readonly message: string };
  /** `StateTransitionReason`, free text for people. */
  readonly transitionReason: string;
  readonly image: string;
  readonly architecture: "x86_64" | "arm64";
  readonly type: string;
  readonly zone: string;
  readonly subnet: string;
  readonly privateAddress: string;
  readonly securityGroups: readonly string[];
  readonly instanceProfile?: string;
  /** ISO 8601; of the last start, as EC2 has it. */
  readonly launchTime: string;
  /** ISO 8601; of the last cold boot. Absent until it has booted. */
  readonly bootedAt?: string;
  /** ISO 8601; when it was last asked to hibernate and had stopped. */
  readonly hibernatedAt?: string;
  /** Base64, as it was given. */
  readonly userData: string;
  readonly hibernationConfigured: boolean;
  readonly metadataOptions: { readonly httpTokens: string; readonly hopLimit: number };
  readonly shutdownBehavior: "stop" | "terminate";
  readonly disableApiTermination: boolean;
  readonly disableApiStop: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly volume: RootVolume;
  readonly events: readonly ScheduledEvent[];
  /** ISO 8601; set once terminated. */
  readonly terminatedAt?: string;
}

/** Whether it takes up capacity and quota. */
export function usesCapacity(instance: Instance): boolean {
  return instance.state === "pending" || instance.state === "running" || instance.state === "stopping";
}
