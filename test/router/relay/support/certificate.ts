import { generate } from "selfsigned";

/** A key and its certificate, PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A certificate authority that also serves as "localhost". */
export async function newAuthority(): Promise<Certificate> {
  const made = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  return { key: made.private, cert: made.cert };
}

/** A key and a certificate for a client, signed by `ca`. */
export async function newCertificate(commonName: string, ca: Certificate): Promise<Certificate> {
  const made = await generate(
    [
      { name: "commonName", value: commonName },
      { name: "organizationName", value: "builders" },
    ],
    { keySize: 2048, ca },
  );
  return { key: made.private, cert: made.cert };
}
