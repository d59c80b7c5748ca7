import type { ConnectionInfo, HeaderList } from "./engine.ts";
import { valuesOf } from "./header-list.ts";

/**
 * What a request shows of its sender:
 * - `token`: a bearer token, not verified yet
 * - `certificate`: the connection's client certificate, verified in the TLS handshake
 * - `malformed`: something that is no credential, or several that disagree; the message never repeats it
 * - `none`: nothing
 */
export type RequestCredential =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "certificate"; readonly certificate: NonNullable<ConnectionInfo["clientCertificate"]> }
  | { readonly kind: "malformed"; readonly message: string }
  | { readonly kind: "none" };

/** Headers of a bare token: ours, and the one that earthly sends. */
const TOKEN_FIELDS = ["satellite-token", "satellite_token"] as const;
/** RFC 6750 section 2.1, `b64token`; RFC 7235 section 2.1 lets the scheme come in any case. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** Longest token, in characters. Tokens of service accounts have about 1,000; those of OIDC issuers a few thousand. */
export const MAX_TOKEN_LENGTH = 16_384;

/**
 * Finds the credential of a request. A token decides alone: with a bad one, a good certificate does not help, since the
 * sender meant somebody. A header that comes twice is refused even if both are the same: what stands between client and
 * router might have added one.
 */
export function credentialOf(connection: ConnectionInfo, headers: HeaderList): RequestCredential {
  const tokens: string[] = [];
  for (const field of ["authorization", ...TOKEN_FIELDS]) {
    const values = valuesOf(headers, field);
    const [value] = values;
    if (values.length > 1) {
      return malformed(`the header ${field} comes more than once; send it once`);
    }
    if (value === undefined) {
      continue;
    }
    if (value.length > MAX_TOKEN_LENGTH) {
      return malformed(`the header ${field} is longer than ${MAX_TOKEN_LENGTH} characters`);
    }
    const token = field === "authorization" ? BEARER.exec(value)?.[1] : TOKEN.exec(value)?.[0];
    if (token === undefined) {
      return malformed(
        field === "authorization"
          ? 'the header authorization must read "Bearer <token>"; what is meant for the VM travels in another header'
          : `the header ${field} must hold a bare token`,
      );
    }
    tokens.push(token);
  }
  const [token] = tokens;
  if (token !== undefined) {
    return tokens.every((other) => other === token)
      ? { kind: "token", token }
      : malformed("authorization and satellite-token hold different tokens; send one");
  }
  return certificateOf(connection);
}

function certificateOf({ clientCertificate, certificateProblem }: ConnectionInfo): RequestCredential {
  if (clientCertificate !== undefined) {
    return clientCertificate.commonName === ""
      ? malformed("the client certificate has no common name, which is its user's name")
      : { kind: "certificate", certificate: clientCertificate };
  }
  return certificateProblem === undefined
    ? { kind: "none" }
    : malformed(`the client certificate was not accepted (${certificateProblem})`);
}

function malformed(message: string): RequestCredential {
  return { kind: "malformed", message };
}
