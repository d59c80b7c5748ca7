/**
 * When a token ends by its own words, in milliseconds since 1970: the claim `exp` of a JWT (RFC 7519 section 4.1.4).
 * Nothing is verified here. The API server has accepted the token; its end only makes that word hold for less long.
 *
 * @returns Infinity where the token does not say
 */
export function tokenEndMs(token: string): number {
  const [, payload] = token.split(".", 3);
  if (payload === undefined) {
    return Infinity;
  }
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  } catch {
    // Not a JWT: a token whose end only its issuer knows.
    return Infinity;
  }
  const end: unknown = typeof claims === "object" && claims !== null ? Reflect.get(claims, "exp") : undefined;
  return typeof end === "number" && Number.isFinite(end) ? end * 1000 : Infinity;
}
