import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { guestIdentity } from "../../src/guest/identity.ts";
import { readInstanceID } from "../../src/guest/instance-id.ts";
import { fingerprint } from "../support/tls-vm.ts";

describe("a guest's key", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "satellites-guest-key-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("is made at the first boot and kept on the disk, where nobody else may read it", () => {
    const first = guestIdentity(join(directory, "key"), "i-1");
    expect(guestIdentity(join(directory, "key"), "i-1")).to.deep.include(first);
    expect(statSync(join(directory, "key/identity.json")).mode & 0o077).to.equal(0);
  });

  it("is made anew on another instance: the disk was copied", () => {
    const first = guestIdentity(directory, "i-1");
    const second = guestIdentity(directory, "i-2");
    expect(fingerprint(second)).not.to.equal(fingerprint(first));
    expect(guestIdentity(directory, "i-2")).to.deep.include(second);
  });

  it("has a certificate that it signed itself, good at any time", () => {
    const { certificatePem } = guestIdentity(directory, "i-1");
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.verify(certificate.publicKey)).to.equal(true);
    expect(certificate.subject).to.equal("CN=i-1");
    expect(certificate.validTo).to.include("9999");
  });

  it("is not replaced where its file is damaged", () => {
    writeFileSync(join(directory, "identity.json"), "{");
    expect(() => guestIdentity(directory, "i-1"))
      .to.throw(/is damaged/)
      .with.property("code", "IdentityUnreadable");
  });
});

describe("a guest's instance ID", () => {
  it("comes from the metadata service, version 2", async () => {
    const server = createServer((request, response) => {
      if (request.method === "PUT" && request.url === "/latest/api/token") {
        response.end("token-1");
      } else if (request.headers["x-aws-ec2-metadata-token"] === "token-1") {
        response.end(request.url === "/latest/meta-data/instance-id" ? "i-1" : "");
      } else {
        response.writeHead(401).end();
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    try {
      const { port } = server.address() as AddressInfo;
      expect(await readInstanceID(`http://127.0.0.1:${port}`)).to.equal("i-1");
    } finally {
      server.close();
    }
  });
});
