import { isIPv4 } from "node:net";
import { generate } from "selfsigned";

/** A certificate with its private key, both PEM. */
export interface KeyPairPem {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of one test run. */
export interface TestAuthority {
  readonly caPem: string;
  /** A serving certificate for 127.0.0.1 and localhost, and for more names and IPv4 addresses. */
  issueServer(names?: readonly string[]): Promise<KeyPairPem>;
  /** A client certificate; Kubernetes takes the user from CN and its groups from O. */
  issueClient(user: string, groups?: readonly string[]): Promise<KeyPairPem>;
}

const EC = { keyType: "ec", algorithm: "sha256" } as const;

/**
 * Makes a certificate authority. Every certificate that it issues is valid for a year and uses P-256 keys.
 *
 * @param name common name of the authority
 */
export async function createTestAuthority(name: string): Promise<TestAuthority> {
  const root = await generate([{ name: "commonName", value: name }], {
    ...EC,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    ],
  });
  const ca = { key: root.private, cert: root.cert };
  return {
    caPem: root.cert,
    async issueServer(names = []) {
      const issued = await generate([{ name: "commonName", value: "127.0.0.1" }], {
        ...EC,
        ca,
        extensions: [
          { name: "basicConstraints", cA: false, critical: true },
          { name: "keyUsage", digitalSignature: true, critical: true },
          { name: "extKeyUsage", serverAuth: true },
          {
            name: "subjectAltName",
            altNames: ["127.0.0.1", "localhost", ...names].map((each) =>
              isIPv4(each) ? { type: 7 as const, ip: each } : { type: 2 as const, value: each },
            ),
          },
        ],
      });
      return { cert: issued.cert, key: issued.private };
    },
    async issueClient(user, groups = []) {
      const subject = [
        { name: "commonName", value: user },
        ...groups.map((group) => ({ name: "organizationName", value: group })),
      ];
      const issued = await generate(subject, {
        ...EC,
        ca,
        extensions: [
          { name: "basicConstraints", cA: false, critical: true },
          { name: "keyUsage", digitalSignature: true, critical: true },
          { name: "extKeyUsage", clientAuth: true },
        ],
      });
      return { cert: issued.cert, key: issued.private };
    },
  };
}
