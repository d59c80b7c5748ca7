import { createPrivateKey } from "node:crypto";
import { generate } from "selfsigned";
import type { Certificate } from "./certificates.ts";

/** A Certificate of cert-manager, as far as it says who the client is (cert-manager.io/v1, CertificateSpec). */
export interface CertificateSpec {
  readonly commonName?: string;
  readonly organizations?: readonly string[];
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly usages?: readonly ("client auth" | "server auth")[];
  readonly algorithm?: "RSA" | "ECDSA";
}

/**
 * What an issuer of type ca writes into the Secret: RSA of 2048 bits unless told otherwise, private keys as PKCS #1 or
 * SEC 1, and in tls.crt the chain below the root, which is ca.crt.
 */
export async function issue(spec: CertificateSpec, authority: Certificate, chain = ""): Promise<Certificate> {
  const { commonName, organizations = [], uris = [], dnsNames = [], usages = ["client auth"] } = spec;
  const isRsa = (spec.algorithm ?? "RSA") === "RSA";
  const made = await generate(
    [
      ...organizations.map((value) => ({ name: "organizationName", value })),
      ...(commonName === undefined ? [] : [{ name: "commonName", value: commonName }]),
    ],
    {
      ...(isRsa ? { keyType: "rsa", keySize: 2048 } : { keyType: "ec" }),
      algorithm: "sha256",
      ca: authority,
      extensions: [
        { name: "basicConstraints", cA: false, critical: true },
        { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
        {
          name: "extKeyUsage",
          clientAuth: usages.includes("client auth"),
          serverAuth: usages.includes("server auth"),
        },
        ...(uris.length + dnsNames.length === 0
          ? []
          : [
              {
                name: "subjectAltName" as const,
                altNames: [
                  ...uris.map((value) => ({ type: 6 as const, value })),
                  ...dnsNames.map((value) => ({ type: 2 as const, value })),
                ],
              },
            ]),
      ],
    },
  );
  const key = createPrivateKey(made.private).export({ type: isRsa ? "pkcs1" : "sec1", format: "pem" });
  return { key: key.toString(), cert: [made.cert, chain].join("\n") };
}
