import { CloudError } from "../errors.ts";

/** Classes of error that concern single machines of a request. */
const DIVISIBLE: ReadonlySet<string> = new Set([
  "capacity",
  "quota",
  "state",
  "gone",
  "parameter",
  "refused",
  "protection",
  "hibernation-not-ready",
  "hibernation-unsupported",
]);

/**
 * Whether EC2 may have refused the whole request because of one machine in it. Policies name resources and their tags, so
 * missing permission may be about one machine, too; refused credentials and a blocked account are about all.
 */
export function isDivisible(error: unknown): boolean {
  return (
    error instanceof CloudError &&
    (DIVISIBLE.has(error.class) || (error.reason === "NotPermitted" && error.code !== "Blocked"))
  );
}

/** Those of `ids` that EC2's message names. */
export function blamedIds(error: unknown, ids: readonly string[]): string[] {
  const said = error instanceof CloudError && error.cause instanceof Error ? error.cause.message : "";
  const words = new Set(said.split(/[^\w-]+/));
  return ids.filter((id) => words.has(id));
}
