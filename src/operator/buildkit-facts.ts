/** What BuildKit says of itself. */
export interface BuildkitFacts {
  readonly version: string;
  /** Size of its cache; absent where it was not measured, or not in time. */
  readonly cacheBytes?: number;
  /** How large its cache may get before the oldest is collected; absent where its configuration names no such bound. */
  readonly cacheMaxBytes?: number;
  /** Its answers, by the path of the method, serialized and in base64. */
  readonly answers: Readonly<Record<string, string>>;
}
