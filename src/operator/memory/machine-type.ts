/** What this process knows of the machine's instance type beside what is described. */
export interface TypeMemory {
  /** The type that it gave the machine last, and when; monotonic milliseconds. */
  changed?: { readonly type: string; readonly atMs: number };
  /** In this epoch no other type could be had. */
  fixedEpoch?: number;
}

/** Takes note of a change of the type, or of an epoch in which there is none. */
export function noteType({ type }: { readonly type: TypeMemory }, known: TypeMemory): void {
  Object.assign(type, known);
}
