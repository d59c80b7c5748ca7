import type { SatelliteAddress } from "./address.ts";
import { GrpcStatus } from "./engine.ts";
import { refusal, type Refusal } from "./refusal.ts";

/** Nothing says who asks. */
export function noCredential([audience = ""]: readonly string[]): Refusal {
  return unauthenticated(
    "NoCredential",
    "the request has no credential: send a Kubernetes token as the metadata authorization: Bearer <token> " +
      `(kubectl create token <service account> --audience ${audience}), or show a client certificate`,
  );
}

/** What came is no credential, or several that disagree. */
export function malformedCredential(message: string): Refusal {
  return unauthenticated("MalformedCredential", message);
}

/** Too many reviews are under way. */
export const TOO_MANY_CHECKS = refusal(
  GrpcStatus.RESOURCE_EXHAUSTED,
  "too many access checks are under way; try again with growing pauses",
  "TooManyAccessChecks",
);

/** The same answer whether the satellite exists or not: who may not use it does not learn of it. */
export function notPermitted(username: string, { namespace, name }: SatelliteAddress): Refusal {
  return refusal(
    GrpcStatus.PERMISSION_DENIED,
    `user ${JSON.stringify(username)} may not connect to satellite ${namespace}/${name}. Whoever administers the namespace ` +
      `grants it: kubectl -n ${namespace} create role satellites-user --verb=create ` +
      `--resource=satellites.satellites.dev/connect, then kubectl -n ${namespace} create rolebinding satellites-user ` +
      "--role=satellites-user --user=USER. To check: " +
      `kubectl -n ${namespace} auth can-i create satellites.satellites.dev --subresource=connect --as=USER`,
    "NotPermitted",
  );
}

/** The API server does not know it, or not for us. */
export function invalidToken(hint: string): Refusal {
  return unauthenticated("InvalidCredential", hint);
}

/** An OIDC issuer's token that does not count. */
export function unacceptableToken(issuer: string, why: string): Refusal {
  return unauthenticated("InvalidCredential", `the token of ${issuer} is not accepted: ${why}`);
}

/** The keys of an OIDC issuer are neither known nor to be had. */
export function issuerUnavailable(issuer: string, why: string): Refusal {
  return refusal(
    GrpcStatus.UNAVAILABLE,
    `the token cannot be verified, since the router cannot read the keys of ${issuer}: ${why}; try again in some seconds, ` +
      "or show a token of the API server",
    "OidcIssuerUnavailable",
  );
}

/** The API server did not answer, or the router may not ask. */
export const CHECK_FAILED = refusal(
  GrpcStatus.UNAVAILABLE,
  "it cannot be found out who you are and what you may do: the API server does not answer the router, or the router may not " +
    "ask it; try again in some seconds, and if it stays, the router's log says which",
  "AccessCheckFailed",
);

/** The connection outlived its certificate. */
export const CERTIFICATE_EXPIRED = unauthenticated(
  "CertificateExpired",
  "the client certificate has expired; get a new one and connect anew with it (kubectl get certificates shows what " +
    "cert-manager renews)",
);

function unauthenticated(reason: string, message: string): Refusal {
  return refusal(GrpcStatus.UNAUTHENTICATED, message, reason);
}
