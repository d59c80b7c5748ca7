import type { Volume } from "../../machines/cloud.ts";

/** What was done last about the satellite's data volume; times are monotonic milliseconds. */
export interface VolumeMemory {
  /** The one that was made, by the token of its intent. */
  made?: { readonly token: string; readonly volume: Volume };
  attached?: { readonly volume: string; readonly machine: string; readonly atMs: number };
  detached?: { readonly volume: string; readonly atMs: number };
  /** ID of the one that was deleted. */
  deleted?: string;
}

/** Takes note of what was done. */
export function noteVolume({ volume }: { readonly volume: VolumeMemory }, done: VolumeMemory): void {
  Object.assign(volume, done);
}
