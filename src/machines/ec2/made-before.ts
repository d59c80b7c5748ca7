import { CloudError, isRefusal } from "../errors.ts";

/**
 * What a request has made although it was refused: an earlier one with the same token may have been carried out without an
 * answer, and a refusal need not have looked at the token.
 *
 * @param find looks by the token
 * @param notVisible the error of class `server` for an outcome that is not known, so that nothing else is made in its place
 * @throws the refusal when there is nothing; else what `notVisible` makes of it
 */
export async function madeBefore<T>(
  refusal: unknown,
  find: () => Promise<T | undefined>,
  notVisible: (refusal: CloudError, cause: unknown) => CloudError,
): Promise<T> {
  const isUsedUp = refusal instanceof CloudError && refusal.code === "IdempotentInstanceTerminated";
  if (!(refusal instanceof CloudError) || !isRefusal(refusal.class) || isUsedUp) {
    throw refusal;
  }
  const found = await find().catch((error: unknown) => {
    throw notVisible(refusal, error);
  });
  if (found === undefined) {
    throw isMade(refusal) ? notVisible(refusal, refusal) : refusal;
  }
  return found;
}

/** Whether the refusal itself says that there is something of that token. */
export function isMade({ code }: CloudError): boolean {
  return code === "IdempotentParameterMismatch";
}
