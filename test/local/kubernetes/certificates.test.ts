import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { serverCertificate, type ServerCertificate } from "../../../src/local/kubernetes/certificates.ts";

const NOW = new Date("2026-03-01T00:00:00Z");
const HOST = "127.0.0.1";

describe("the embedded API server's certificate", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "certificates-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const made = (now = NOW): Promise<ServerCertificate> => serverCertificate(folder, HOST, now);
  const fits = ({ caPem, certificatePem, keyPem }: ServerCertificate): boolean => {
    const certificate = new X509Certificate(certificatePem);
    return (
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      certificate.verify(new X509Certificate(caPem).publicKey)
    );
  };

  it("is kept, so that kubeconfigs stay valid, and made anew a month before its end", async () => {
    const first = await made();
    expect(fits(first)).to.equal(true);
    expect(await made()).to.deep.equal(first);
    const endMs = Date.parse(new X509Certificate(first.certificatePem).validTo);
    expect(await made(new Date(endMs - 31 * 86_400_000))).to.deep.equal(first);
    expect(await made(new Date(endMs - 29 * 86_400_000))).not.to.deep.equal(first);
  });

  for (const file of ["ca.pem", "server.pem", "server-key.pem"]) {
    it(`is made anew where ${file} was left half written`, async () => {
      const first = await made();
      for (const length of [0, readFileSync(join(folder, file)).length / 2]) {
        truncateSync(join(folder, file), Math.floor(length));
        const second = await made();
        expect(fits(second)).to.equal(true);
        expect(second.certificatePem).not.to.equal(first.certificatePem);
        expect(await made()).to.deep.equal(second);
      }
    });
  }

  it("is made anew where its three files are of two makings", async () => {
    const first = await made();
    rmSync(join(folder, "server-key.pem"));
    const other = await made();
    rmSync(join(folder, "ca.pem"));
    writeFileSync(join(folder, "ca.pem"), first.caPem);
    const third = await made();
    expect(fits(third)).to.equal(true);
    expect(third.caPem).not.to.equal(other.caPem);
  });
});
