import type { Machine, Volume } from "../../machines/cloud.ts";
import type { Blocker } from "../blocker.ts";

/** An attempt to tag a machine or data volume as this satellite's. */
export interface Claim {
  /** When; monotonic milliseconds. */
  readonly atMs: number;
  /** Whether the cloud said that its tags are set. */
  readonly isDone: boolean;
}

/** What is known of the machine that a satellite is to take over, while it has none. */
export interface Adoption {
  readonly adoptee: Machine | undefined;
  /** The volume where the adoptee has its data; `undefined`: there is none, or reads do not show it. */
  readonly adopteeVolume: Volume | undefined;
  /** "namespace/name" of another satellite that uses the adoptee. */
  readonly adopteeUser: string | undefined;
  /** The same of the volume. */
  readonly adopteeVolumeUser: string | undefined;
  /** Why the satellite may not take over any machine. */
  readonly adoptionRefusal: Blocker | undefined;
}

/** The last look at the machine to take over, and the time of the next one while it may not be. */
export interface AdoptionLook {
  readonly inputs: string;
  readonly count: number;
  readonly adoption: Adoption;
  /** Monotonic milliseconds. */
  readonly againAtMs: number;
}

/** What this process has tagged, and what the satellite is to take over. */
export interface OwnershipMemory {
  /** Machines and data volumes that were to be tagged as this satellite's, by ID. */
  claims?: Readonly<Record<string, Claim>>;
  /** IDs of what was tagged as kept. */
  retained?: readonly string[];
  adoption?: AdoptionLook;
}

interface Holder {
  readonly ownership: OwnershipMemory;
}

/** Takes note of an attempt to tag the machine or volume `id`. */
export function noteClaim({ ownership }: Holder, id: string, attempt: Claim): void {
  ownership.claims = { ...ownership.claims, [id]: attempt };
}

/** Takes note that the machine or volume `id` is tagged as kept. */
export function noteRetained({ ownership }: Holder, id: string): void {
  ownership.retained = [...(ownership.retained ?? []), id];
}

export function noteAdoption({ ownership }: Holder, look: AdoptionLook): void {
  ownership.adoption = look;
}
