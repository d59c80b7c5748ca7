import { createHash } from "node:crypto";

/** Most characters of a tag's value (EC2 user guide, "Tag restrictions"). */
export const MAX_TAG_VALUE = 256;

/**
 * Tags by which the product recognises its machines (docs/ec2.md). A machine is ours if and only if its cluster tag has our
 * cluster's identity.
 */
export const Tag = {
  /** UID of the cluster's kube-system namespace: whose it is. */
  cluster: "satellites.dev/cluster",
  namespace: "satellites.dev/namespace",
  name: "satellites.dev/name",
  /** UID of the Satellite. */
  uid: "satellites.dev/uid",
  /** "data" on a volume that outlives its machine; root volumes do not bear it. */
  volume: "satellites.dev/volume",
  /** ClientToken of a data volume, since EC2 cannot look for volumes by that. */
  token: "satellites.dev/token",
  /** Name of the SatelliteClass that it was launched by, whose limit counts the machine while it runs. */
  class: "satellites.dev/class",
  /** "true" on a machine that its satellite left behind (deletionPolicy Retain). */
  retained: "satellites.dev/retained",
  /**
   * RFC 3339 time at which it was found that no satellite names it; from then on it is kept for people. Empty when a
   * satellite has taken it up again.
   */
  orphanedAt: "satellites.dev/orphaned-at",
  /** Which satellite may take the machine over ({@link adoptableBy}); set by its owner. */
  adoptableBy: "satellites.dev/adoptable-by",
} as const;

/** Who a machine belongs to; written as tags at launch. */
export interface MachineOwner {
  readonly namespace: string;
  readonly name: string;
  /** UID of the Satellite. */
  readonly uid: string;
  /** Its SatelliteClass, where that is to be known from the machine. */
  readonly className?: string;
}

/**
 * Tags that say whose a machine is; on the instance and its volumes from the moment they exist.
 *
 * @param cluster UID of the cluster's kube-system namespace
 */
export function ownerTags(cluster: string, owner: MachineOwner): Record<string, string> {
  return {
    [Tag.cluster]: cluster,
    [Tag.namespace]: owner.namespace,
    [Tag.name]: owner.name,
    [Tag.uid]: owner.uid,
    ...(owner.className === undefined ? {} : { [Tag.class]: owner.className }),
    // For people. The tags above have the names in full.
    Name: `${owner.namespace}/${owner.name}`.slice(0, MAX_TAG_VALUE),
  };
}

/**
 * Value of {@link Tag.adoptableBy} that lets a satellite take a machine over: "<cluster>/<namespace>/<name>"; where that is
 * too long for a tag, "sha256:" and its digest in hex.
 */
export function adoptableBy(cluster: string, owner: Pick<MachineOwner, "namespace" | "name">): string {
  const value = `${cluster}/${owner.namespace}/${owner.name}`;
  return value.length <= MAX_TAG_VALUE ? value : `sha256:${createHash("sha256").update(value).digest("hex")}`;
}

/** Tags of a satellite's data volume. */
export function dataVolumeTags(tags: Readonly<Record<string, string>>): Record<string, string> {
  return { ...tags, [Tag.volume]: DATA_VOLUME };
}

/** Value of {@link Tag.volume}. */
export const DATA_VOLUME = "data";
