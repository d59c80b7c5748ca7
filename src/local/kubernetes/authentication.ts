import { createHash, timingSafeEqual } from "node:crypto";
import { unauthorized } from "./api-error.ts";
import type { User } from "./api-request.ts";

/** A user of the server, and the bearer token that identifies them. */
export interface TokenUser extends User {
  readonly token: string;
  /** Audiences for which TokenReview accepts the token. Default: the API server's own only. */
  readonly audiences?: readonly string[];
}

/** Finds users by their tokens. */
export interface Authenticator {
  /** @throws ApiError 401 without a valid bearer token */
  authenticate(authorization: string | undefined): TokenUser;
  /** The user of a token, or undefined. */
  userOf(token: string): TokenUser | undefined;
}

/** The audience of the API server itself. */
export const API_AUDIENCE = "https://kubernetes.default.svc";

/** An authenticator over a fixed set of users. Tokens are compared by digest in constant time. */
export function tokenAuthenticator(users: readonly TokenUser[]): Authenticator {
  const known = users.map((user) => ({ user, digest: digestOf(user.token) }));
  const userOf = (token: string): TokenUser | undefined => {
    const digest = digestOf(token);
    return known.find((candidate) => timingSafeEqual(candidate.digest, digest))?.user;
  };
  return {
    userOf,
    authenticate(authorization) {
      const [scheme = "", token = ""] = (authorization ?? "").split(" ", 2);
      const user = scheme.toLowerCase() === "bearer" ? userOf(token) : undefined;
      if (user === undefined) {
        throw unauthorized();
      }
      return user;
    },
  };
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
