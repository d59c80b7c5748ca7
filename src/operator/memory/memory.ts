import type { AcceptedCalls } from "./accepted-calls.ts";
import type { Sightings } from "./sightings.ts";
import type { Search } from "./search.ts";
import type { FailureMemory } from "./failures.ts";
import type { OwnershipMemory } from "./ownership.ts";
import type { LaunchMemory } from "./launch.ts";
import type { GuestWordsMemory } from "./guest-words.ts";
import type { PortMemory } from "./port.ts";
import type { VolumeMemory } from "./volume.ts";
import type { TypeMemory } from "./machine-type.ts";
import type { Stretch } from "./stretch.ts";

/**
 * What one operator process remembers of a satellite between steps. It sets the pace and saves calls; nothing that must hold
 * after a crash depends on it. Each part is declared, and written, in one file of this folder.
 */
export interface Memory {
  readonly calls: AcceptedCalls;
  readonly launch: LaunchMemory;
  /** The search, by a token, that has found nothing so far. */
  search?: Search;
  readonly volume: VolumeMemory;
  readonly type: TypeMemory;
  readonly port: PortMemory;
  readonly guestWords: GuestWordsMemory;
  readonly ownership: OwnershipMemory;
  readonly sightings: Sightings;
  readonly failures: FailureMemory;
  /** The stretch of running or sleeping that it is in. */
  stretch?: Stretch;
}

/** The same for those who only read it. */
export type Remembered = { readonly [Part in keyof Memory]: Readonly<Memory[Part]> };

/** What a process remembers of a satellite that it sees for the first time. */
export function newMemory(): Memory {
  return {
    calls: {},
    launch: {},
    volume: {},
    type: {},
    port: {},
    guestWords: {},
    ownership: {},
    sightings: {},
    failures: {},
  };
}
