import type { Subject } from "../access-reviews.ts";
import { SYSTEM_PREFIX, type OidcIssuerSettings } from "./issuer-settings.ts";

/** Group of all whose credential was verified; SubjectAccessReview does not add it by itself. */
export const AUTHENTICATED_GROUP = "system:authenticated";

/** Whom verified claims name in Kubernetes; or why they name nobody. */
export type ClaimedSubject =
  | { readonly kind: "subject"; readonly subject: Subject }
  | { readonly kind: "refused"; readonly why: string };

/**
 * Maps verified claims to a user of Kubernetes, as kube-apiserver's AuthenticationConfiguration maps them: prefix and
 * claim make the name; groups are a string or a list of strings; an email that says it is not verified is nobody's.
 * Beyond that, nobody becomes a user or member of `system:`, whatever the prefix.
 */
export function subjectOf(
  claims: Readonly<Record<string, unknown>>,
  issuer: OidcIssuerSettings,
): ClaimedSubject {
  for (const [claim, wanted] of issuer.requiredClaims) {
    const value = claims[claim];
    if (value === undefined) {
      return refused(`it lacks the claim ${claim}, which must be ${JSON.stringify(wanted)}`);
    }
    if (!isScalar(value) || String(value) !== wanted) {
      return refused(`its claim ${claim} is not ${JSON.stringify(wanted)}`);
    }
  }
  const { usernameClaim } = issuer;
  const user = claims[usernameClaim];
  if (typeof user !== "string" || user === "") {
    return refused(`its claim ${usernameClaim}, which is to be the user's name, is no text`);
  }
  const isVerified = claims["email_verified"];
  if (usernameClaim === "email" && isVerified !== undefined && isVerified !== true) {
    return refused("its email address is not verified by the issuer");
  }
  const groups = groupsOf(claims, issuer);
  if (groups === undefined) {
    return refused(`its claim ${issuer.groupsClaim ?? ""} is neither a text nor a list of texts`);
  }
  const username = issuer.usernamePrefix + user;
  if ([username, ...groups].some((name) => name.startsWith(SYSTEM_PREFIX))) {
    return refused(`it names a user or group of ${SYSTEM_PREFIX}, which only Kubernetes itself may`);
  }
  return {
    kind: "subject",
    subject: { username, groups: [...new Set([...groups, AUTHENTICATED_GROUP])] },
  };
}

function groupsOf(
  claims: Readonly<Record<string, unknown>>,
  { groupsClaim, groupsPrefix }: OidcIssuerSettings,
): string[] | undefined {
  const value = groupsClaim === undefined ? undefined : claims[groupsClaim];
  const names: readonly unknown[] =
    value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
  return names.every((name) => typeof name === "string")
    ? names.map((name) => groupsPrefix + name)
    : undefined;
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function refused(why: string): ClaimedSubject {
  return { kind: "refused", why };
}
