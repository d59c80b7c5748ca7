import { SatelliteError } from "../../base/errors.ts";

/** An issuer whose tokens a router takes without asking the API server whose they are. */
export interface OidcIssuerSettings {
  /** The claim `iss` of its tokens, character for character; its keys are found from here. */
  readonly url: string;
  /** Audiences of which a token must have one. */
  readonly audiences: readonly string[];
  /** The claim that holds the user's name. */
  readonly usernameClaim: string;
  /** What the user's name begins with in Kubernetes, so that no issuer can name a user of somebody else. */
  readonly usernamePrefix: string;
  /** The claim that holds one group or several; none: the token gives no groups. */
  readonly groupsClaim?: string;
  readonly groupsPrefix: string;
  /** Claims that a token must have with this value. */
  readonly requiredClaims: readonly (readonly [claim: string, value: string])[];
}

/** Users and groups that Kubernetes itself speaks of; no issuer may name them. */
export const SYSTEM_PREFIX = "system:";

/**
 * Checks what the flags of an OIDC issuer say. The rules are those of kube-apiserver's AuthenticationConfiguration: the URL begins
 * with https:// and has no user, query or fragment (OpenID Connect Discovery 1.0 section 3), and issuers differ.
 *
 * @throws SatelliteError `OidcIssuerInvalid`
 */
export function checkIssuers(issuers: readonly OidcIssuerSettings[]): void {
  const seen = new Set<string>();
  for (const issuer of issuers) {
    checkIssuerUrl(issuer.url);
    if (seen.has(issuer.url)) {
      throw invalid(`the issuer ${issuer.url} is given twice; give it once`);
    }
    seen.add(issuer.url);
    if (issuer.audiences.length === 0 || issuer.audiences.includes("")) {
      throw invalid(`the issuer ${issuer.url} needs an audience: give --oidc-audience`);
    }
    if (issuer.usernameClaim === "" || issuer.groupsClaim === "") {
      throw invalid(`a claim of the issuer ${issuer.url} has no name`);
    }
    for (const prefix of [issuer.usernamePrefix, issuer.groupsPrefix]) {
      if (prefix.startsWith(SYSTEM_PREFIX)) {
        throw invalid(
          `a prefix of the issuer ${issuer.url} begins with ${SYSTEM_PREFIX}, which is Kubernetes' own; choose another`,
        );
      }
    }
  }
}

/**
 * Checks the URL of an issuer.
 *
 * @throws SatelliteError `OidcIssuerInvalid`
 */
export function checkIssuerUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:") {
    throw invalid(`the issuer ${JSON.stringify(text)} must be a URL that begins with https://`);
  }
  if (url.username !== "" || url.password !== "" || /[?#]/.test(text)) {
    // The text may hold a password, so it is not repeated.
    throw invalid(`the issuer at ${url.host} must be a URL without user, query and fragment`);
  }
}

function invalid(message: string): SatelliteError {
  return new SatelliteError("OidcIssuerInvalid", message);
}
