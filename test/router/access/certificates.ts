import { generate } from "selfsigned";

/** A key and its certificate, PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** How a client certificate differs from a good one. */
export interface ClientCertificateOptions {
  readonly organizations?: readonly string[];
  /** More than one, or none, is wrong. Default: the name that is given. */
  readonly commonNames?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Default: for clients. */
  readonly usage?: "clientAuth" | "serverAuth";
}

const EC = { keyType: "ec", algorithm: "sha256" } as const;

/** An authority for clients of one test; one below `ca`, which has a key of the same type, where that is given. */
export async function newAuthority(
  name: string,
  { ca, keyType = "ec" }: { readonly ca?: Certificate; readonly keyType?: "ec" | "rsa" } = {},
): Promise<Certificate> {
  const made = await generate([{ name: "commonName", value: name }], {
    ...EC,
    keyType,
    ...(ca === undefined ? {} : { ca }),
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  return { key: made.private, cert: made.cert };
}

/** A certificate for clients, of `ca` or signed by itself. */
export async function newClientCertificate(
  name: string,
  ca: Certificate | undefined,
  options: ClientCertificateOptions = {},
): Promise<Certificate> {
  const { organizations = [], commonNames = [name], notBefore, notAfter, usage = "clientAuth" } = options;
  const made = await generate(
    [
      ...commonNames.map((value) => ({ name: "commonName", value })),
      ...organizations.map((value) => ({ name: "organizationName", value })),
    ],
    {
      ...EC,
      ...(ca === undefined ? {} : { ca }),
      ...(notBefore === undefined ? {} : { notBeforeDate: notBefore }),
      ...(notAfter === undefined ? {} : { notAfterDate: notAfter }),
      extensions: [
        { name: "basicConstraints", cA: false, critical: true },
        { name: "keyUsage", digitalSignature: true, critical: true },
        usage === "clientAuth"
          ? { name: "extKeyUsage", clientAuth: true }
          : { name: "extKeyUsage", serverAuth: true },
      ],
    },
  );
  return { key: made.private, cert: made.cert };
}
