/** State of a data volume (EC2 API reference, `Volume`). */
export type VolumeState = "creating" | "available" | "in-use";

/** Where a volume is attached, or is about to be (`VolumeAttachment`). */
export interface Attachment {
  readonly instance: string;
  readonly device: string;
  readonly state: "attaching" | "attached" | "detaching" | "busy";
  /** ISO 8601. */
  readonly since: string;
}

/** One volume that is no root volume. Records are never changed, only replaced, as those of instances. */
export interface Volume {
  readonly id: string;
  readonly clientToken?: string;
  /** SHA-256 of the creating request; the same token with another one is refused. */
  readonly requestHash: string;
  readonly state: VolumeState;
  readonly zone: string;
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly encrypted: boolean;
  readonly kmsKeyId?: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly attachment?: Attachment;
  readonly tags: Readonly<Record<string, string>>;
  /** ISO 8601; set once deleted. */
  readonly deletedAt?: string;
}

/** How long EC2 takes for what it does to a volume, in milliseconds. */
export interface VolumeScript {
  createMs: number;
  attachMs: number;
  detachMs: number;
}
