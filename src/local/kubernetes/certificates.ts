import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { SatelliteError, toError } from "../../base/errors.ts";

/** What a TLS server needs, and what its clients trust. */
export interface ServerCertificate {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

const VALIDITY_MS = 10 * 365 * 24 * 3_600_000;
const RENEW_BEFORE_MS = 30 * 24 * 3_600_000;

/**
 * The CA and the server certificate in `directory`; made at first use and kept, so that kubeconfigs stay valid over
 * restarts. Renewed together a month before they end.
 *
 * @param host address that the certificate is for, beside localhost and 127.0.0.1
 */
export async function serverCertificate(
  directory: string,
  host: string,
  now: Date,
): Promise<ServerCertificate> {
  const files = {
    ca: join(directory, "ca.pem"),
    certificate: join(directory, "server.pem"),
    key: join(directory, "server-key.pem"),
  };
  if (Object.values(files).every((file) => existsSync(file))) {
    const kept = {
      caPem: readFileSync(files.ca, "utf8"),
      certificatePem: readFileSync(files.certificate, "utf8"),
      keyPem: readFileSync(files.key, "utf8"),
    };
    if (isUsable(kept, host, now)) {
      return kept;
    }
  }
  const made = await makeCertificates(host, now);
  try {
    writeFileSync(files.ca, made.caPem, { mode: 0o644 });
    writeFileSync(files.certificate, made.certificatePem, { mode: 0o644 });
    writeFileSync(files.key, made.keyPem, { mode: 0o600 });
  } catch (error) {
    throw new SatelliteError(
      "StateNotWritten",
      `the API server's certificate cannot be written: ${toError(error).message}; free some space on that disk, or see that ${directory} may be written to, and start again`,
      { cause: error },
    );
  }
  return made;
}

/** Also false for files that were written only in part, because of a full disk or a crash. */
function isUsable({ caPem, certificatePem, keyPem }: ServerCertificate, host: string, now: Date): boolean {
  try {
    const certificate = new X509Certificate(certificatePem);
    const endsMs = Date.parse(certificate.validTo);
    const names = certificate.checkIP(host) ?? certificate.checkHost(host);
    return (
      endsMs - now.getTime() > RENEW_BEFORE_MS &&
      names !== undefined &&
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      certificate.verify(new X509Certificate(caPem).publicKey)
    );
  } catch {
    return false;
  }
}

/** The CA's key is not kept, so it can sign nothing else. */
async function makeCertificates(host: string, now: Date): Promise<ServerCertificate> {
  const validity = {
    keyType: "ec" as const,
    algorithm: "sha256",
    notBeforeDate: new Date(now.getTime() - 3_600_000),
    notAfterDate: new Date(now.getTime() + VALIDITY_MS),
  };
  const ca = await generate([{ name: "commonName", value: "satellites-local-ca" }], {
    ...validity,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  const addresses = [...new Set(["127.0.0.1", "::1", ...(isAddress(host) ? [host] : [])])];
  const server = await generate([{ name: "commonName", value: "satellites-local-kubernetes" }], {
    ...validity,
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "keyUsage", digitalSignature: true, keyEncipherment: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          ...(isAddress(host) ? [] : [{ type: 2 as const, value: host }]),
          ...addresses.map((ip) => ({ type: 7 as const, ip })),
        ],
      },
    ],
  });
  return { caPem: ca.cert, certificatePem: server.cert, keyPem: server.private };
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(":");
}
