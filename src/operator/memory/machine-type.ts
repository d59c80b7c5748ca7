/** What this process knows of the machine's type beside what descriptions say. */
export interface TypeMemory {
  /** The type that it gave the machine last, and when; monotonic milliseconds. */
  changed?: { readonly type: string; readonly atMs: number };
  /** The epoch in which the type could not be changed. */
  fixedEpoch?: number;
}

/** Takes note of a change of the type, or of an epoch in which there is none. */
export function noteType({ type }: { readonly type: TypeMemory }, known: TypeMemory): void {
  Object.assign(type, known);
}
