/** How much of a value that the sender sent is repeated to them. */
const MAX_QUOTED_LENGTH = 200;

/** What a router takes; for telling the sender of another token what it lacks. */
export interface TakenTokens {
  readonly audiences: readonly string[];
  /** OIDC issuers that the router takes beside the API server. */
  readonly issuers: readonly string[];
  readonly now: Date;
}

/**
 * Why the API server may have refused a token, by what the token itself says: nothing of it is verified, and it goes to
 * the sender alone, who has sent it.
 *
 * @param claims `undefined` for a token that is no JWT
 */
export function tokenHint(
  claims: Readonly<Record<string, unknown>> | undefined,
  { audiences, issuers, now }: TakenTokens,
): string {
  const [wanted = ""] = audiences;
  const another = `get one by kubectl create token <service account> --audience ${wanted}`;
  if (claims === undefined) {
    return `the API server does not know the token, and it is no JWT; ${another}`;
  }
  const { exp, aud, iss } = claims;
  if (typeof exp === "number" && exp * 1000 <= now.getTime()) {
    return `the token expired at ${dateOf(exp)}, and it is ${now.toISOString()} here; ${another}`;
  }
  const given: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!given.some((audience) => typeof audience === "string" && audiences.includes(audience))) {
    return `the token is for the audience ${quoted(aud)}, not for ${audiences.map(quoted).join(" or ")}; ${another}`;
  }
  const others = issuers.length === 0 ? "" : ` and of ${issuers.join(", ")}`;
  return (
    `the API server does not accept the token of the issuer ${quoted(iss)}: it may be revoked, or of another cluster. ` +
    `Tokens of this cluster${others} are taken; ${another}`
  );
}

function dateOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "an unknown time" : date.toISOString();
}

function quoted(value: unknown): string {
  return JSON.stringify(value)?.slice(0, MAX_QUOTED_LENGTH) ?? "none";
}
