import { randomBytes, sign, type KeyObject } from "node:crypto";

/** Tags of ASN.1 (X.690, table 1 of section 8.1.2 and X.680 section 8.6). */
const Asn1 = {
  integer: 0x02,
  bitString: 0x03,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
} as const;

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 section 3.2). */
const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");
/** id-at-commonName, 2.5.4.3 (RFC 5280 appendix A.1). */
const COMMON_NAME = Buffer.from("550403", "hex");
const VERSION_3 = 2;
/** A certificate that never ends has this end (RFC 5280 section 4.1.2.5). */
const NEVER = "99991231235959Z";
const EPOCH = "700101000000Z";
const SERIAL_BYTES = 16;
const LINE_CHARACTERS = 64;

/**
 * A certificate that a P-256 key signs for itself, in PEM (RFC 5280 section 4.1). It is valid at any time: the VM is identified
 * by the key alone, and a guest's clock may be wrong when it boots.
 */
export function selfSigned(
  key: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  commonName: string,
): string {
  const algorithm = der(Asn1.sequence, der(Asn1.objectIdentifier, ECDSA_WITH_SHA256));
  const attribute = der(
    Asn1.sequence,
    der(Asn1.objectIdentifier, COMMON_NAME),
    der(Asn1.utf8String, Buffer.from(commonName, "utf8")),
  );
  const name = der(Asn1.sequence, der(Asn1.set, attribute));
  const toBeSigned = der(
    Asn1.sequence,
    der(Asn1.version, der(Asn1.integer, Buffer.from([VERSION_3]))),
    der(Asn1.integer, serialNumber()),
    algorithm,
    name,
    der(Asn1.sequence, der(Asn1.utcTime, Buffer.from(EPOCH)), der(Asn1.generalizedTime, Buffer.from(NEVER))),
    name,
    key.publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = sign("sha256", toBeSigned, key.privateKey);
  const noUnusedBits = Buffer.from([0]);
  const certificate = der(Asn1.sequence, toBeSigned, algorithm, der(Asn1.bitString, noUnusedBits, signature));
  const lines = certificate.toString("base64").match(new RegExp(`.{1,${LINE_CHARACTERS}}`, "g")) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** Positive, and without a leading zero byte. */
function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** One value with its tag and length (X.690 section 8.1.3). */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) {
    return Buffer.concat([Buffer.from([tag, length]), content]);
  }
  const size = length <= 0xff ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
