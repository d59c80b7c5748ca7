import type { Subject } from "./access-reviews.ts";
import type { Refusal } from "./refusal.ts";

/**
 * What became of a token:
 * - `known`: it is somebody's
 * - `refused`: it is nobody's, for us, at this time
 * - `failed`: not found out
 */
export type TokenJudgement =
  | {
      readonly kind: "known";
      readonly subject: Subject;
      /** When the token itself ends, in milliseconds since 1970; Infinity where it does not say. */
      readonly endsAtMs: number;
    }
  | { readonly kind: "refused" | "failed"; readonly refusal: Refusal };

/** Says whose a token is. */
export interface TokenJudge {
  /** Never rejects. */
  judge(token: string): Promise<TokenJudgement>;
}

/** A judge of the tokens of one issuer, which are not the API server's business. */
export interface TokenIssuer extends TokenJudge {
  /** The claim `iss` of its tokens, character for character. */
  readonly url: string;
}
