/** Something outside the satellite that it waits for; shown on it. */
export interface Blocker {
  /** CamelCase. */
  readonly reason: string;
  /** What to do. */
  readonly message: string;
}
