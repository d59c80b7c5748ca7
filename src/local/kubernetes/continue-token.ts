import { badRequest } from "./api-error.ts";
import { isObject } from "./json.ts";

/** Where the next page of a list begins. */
export interface ContinuePoint {
  /** The state that all pages show; -1 for whatever is there now. */
  readonly revision: number;
  /** Key of the last object of the page before. */
  readonly after: string;
}

const VERSION = "meta.k8s.io/v1";

/** Writes a token, in the form of apiserver's `storage.EncodeContinue`; clients must not look inside. */
export function encodeContinue({ revision, after }: ContinuePoint): string {
  return Buffer.from(JSON.stringify({ v: VERSION, rv: revision, start: after })).toString("base64url");
}

/** @throws ApiError 400 when this server did not write `token` */
export function decodeContinue(token: string): ContinuePoint {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (isObject(value) && value["v"] === VERSION) {
      const { rv, start } = value;
      if (typeof rv === "number" && Number.isInteger(rv) && typeof start === "string" && start !== "") {
        return { revision: rv, after: start };
      }
    }
  } catch {
    // Not JSON: answered below, like every other token that this server did not write.
  }
  throw badRequest("continue key is not valid: the token is not one that this server gave out");
}
