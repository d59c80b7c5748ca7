import type { ConnectionInfo, HeaderList } from "./engine.ts";

/**
 * What a request shows of its sender:
 * - `token`: a bearer token, not verified yet
 * - `certificate`: the connection's client certificate, verified in the TLS handshake
 * - `malformed`: something that is no credential, or several that disagree; the message never repeats it
 * - `none`: nothing
 */
export type RequestCredential =
  | { readonly kind: "token"; readonly found: FoundToken }
  | { readonly kind: "certificate"; readonly certificate: NonNullable<ConnectionInfo["clientCertificate"]> }
  | { readonly kind: "malformed"; readonly message: string }
  | { readonly kind: "none" };

/** A token, and the header field it stood in. */
export interface FoundToken {
  readonly name: string;
  readonly value: string;
  readonly token: string;
}

/** RFC 6750 section 2.1, `b64token`; RFC 7235 section 2.1 lets the scheme come in any case. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;
const TOKEN = /^([A-Za-z0-9\-._~+/]+=*)$/;

/** How a header holds its token. */
interface CredentialField {
  /** A bit of its own, to see when it comes again. */
  readonly bit: number;
  /** Its first group is the token. */
  readonly pattern: RegExp;
  readonly complaint: string;
}

const bare = (name: string, bit: number): [string, CredentialField] => [
  name,
  { bit, pattern: TOKEN, complaint: `the header ${name} must hold a bare token` },
];

/** Ours, and the one that earthly sends. */
const CREDENTIAL_FIELDS: ReadonlyMap<string, CredentialField> = new Map([
  [
    "authorization",
    {
      bit: 1,
      pattern: BEARER,
      complaint:
        'the header authorization must read "Bearer <token>"; what is meant for the VM travels in another header',
    },
  ],
  bare("satellite-token", 2),
  bare("satellite_token", 4),
]);

/** Longest token, in characters. Tokens of service accounts have about 1,000; those of OIDC issuers a few thousand. */
export const MAX_TOKEN_LENGTH = 16_384;

/**
 * Finds the credential of a request. A token decides alone: with a bad one, a good certificate does not help, since the
 * sender meant somebody. A header that comes twice is refused even if both are the same: what stands between client and
 * router might have added one.
 *
 * @param known a token that was found on this connection before, so that the same field need not be read again
 */
export function credentialOf(
  connection: ConnectionInfo,
  headers: HeaderList,
  known?: FoundToken,
): RequestCredential {
  let found: FoundToken | undefined;
  let seen = 0;
  for (const [name, value] of headers) {
    const field = CREDENTIAL_FIELDS.get(name);
    if (field === undefined) {
      continue;
    }
    if ((seen & field.bit) !== 0) {
      return malformed(`the header ${name} comes more than once; send it once`);
    }
    seen |= field.bit;
    if (value.length > MAX_TOKEN_LENGTH) {
      return malformed(`the header ${name} is longer than ${MAX_TOKEN_LENGTH} characters`);
    }
    const isKnown = known?.value === value && known.name === name;
    const token = isKnown ? known.token : field.pattern.exec(value)?.[1];
    if (token === undefined) {
      return malformed(field.complaint);
    }
    if (found !== undefined && found.token !== token) {
      return malformed("the request holds two different tokens; send one");
    }
    found = isKnown ? known : { name, value, token };
  }
  return found === undefined ? certificateOf(connection) : { kind: "token", found };
}

function certificateOf({ clientCertificate, certificateProblem }: ConnectionInfo): RequestCredential {
  if (clientCertificate !== undefined) {
    return clientCertificate.commonName === ""
      ? malformed(
          "the client certificate has no common name, which is its user's name; issue one with a common name " +
            "(commonName in a Certificate of cert-manager)",
        )
      : { kind: "certificate", certificate: clientCertificate };
  }
  return certificateProblem === undefined
    ? { kind: "none" }
    : malformed(
        `the client certificate was not accepted (${certificateProblem}); show one for client authentication, with its ` +
          "chain, that an authority of the router's --client-ca has signed and that has not expired, or a token",
      );
}

function malformed(message: string): RequestCredential {
  return { kind: "malformed", message };
}
