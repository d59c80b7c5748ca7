/**
 * The claims that a JWT states (RFC 7519 section 4), of which nothing is verified: good for choosing who is to verify it,
 * for making a kept answer hold for less long, and for telling its sender what is wrong with it.
 *
 * @returns `undefined` for what is no JWT: a token whose content only its issuer knows
 */
export function unverifiedClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload] = token.split(".", 3);
  if (payload === undefined) {
    return undefined;
  }
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return isRecord(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

/**
 * When a token ends by its own words, in milliseconds since 1970: the claim `exp` (RFC 7519 section 4.1.4).
 *
 * @returns Infinity where the token does not say
 */
export function tokenEndMs(claims: Readonly<Record<string, unknown>> | undefined): number {
  const end = claims?.["exp"];
  return typeof end === "number" && Number.isFinite(end) ? end * 1000 : Infinity;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
