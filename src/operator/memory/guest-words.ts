import type { GuestWords } from "../../machines/cloud.ts";

/** What the guest of a silent machine said when that was last read; times are monotonic milliseconds. */
export interface GuestWordsMemory {
  read?: {
    readonly epoch: number;
    readonly atMs: number;
    /** Absent: it has said nothing, or could not be heard. */
    readonly words?: GuestWords;
    /** Why it could not be heard. */
    readonly refusal?: string;
  };
}

interface Holder {
  readonly guestWords: GuestWordsMemory;
}

/** Takes note of what was read, or why nothing was. */
export function noteGuestWords({ guestWords }: Holder, read: NonNullable<GuestWordsMemory["read"]>): void {
  guestWords.read = read;
}
