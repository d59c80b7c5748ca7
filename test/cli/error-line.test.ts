import { createServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SatelliteError } from "../../src/base/errors.ts";
import { errorLine } from "../../src/cli/error-line.ts";
import { statusError } from "../../src/kube/status.ts";
import { serverCertificate } from "../../src/local/kubernetes/certificates.ts";
import { writeKubeconfig } from "../../src/local/kubernetes/kubeconfig.ts";
import { Terminal } from "./terminal.ts";

describe("one line about an error", () => {
  const refused = (code: number, reason: string, message: string): string => {
    const status = { kind: "Status", code, reason, message };
    return errorLine(statusError(status, { code, request: "GET /apis/satellites.dev/v1alpha1/satellites" }));
  };

  it("reads as kubectl's where the API server refuses, and names the next step", () => {
    expect(refused(404, "NotFound", 'satellites.satellites.dev "adda" not found')).to.equal(
      'Error from server (NotFound): satellites.satellites.dev "adda" not found; kubectl satellite ls -A shows those that ' +
        "there are; -n names a namespace",
    );
    expect(refused(404, "NotFound", "the server could not find the requested resource")).to.match(
      /^Error from server \(NotFound\): the server could not find .*; are the CRDs installed,/,
    );
    expect(refused(404, "NotFound", 'secrets "x" not found')).to.equal(
      'Error from server (NotFound): secrets "x" not found',
    );
    const forbidden = 'satellites.satellites.dev is forbidden: User "ada" cannot list resource "satellites"';
    expect(refused(403, "Forbidden", forbidden)).to.equal(
      `Error from server (Forbidden): ${forbidden}; kubectl satellite doctor shows what you may do`,
    );
    expect(refused(401, "Unauthorized", "Unauthorized")).to.match(
      /\(Unauthorized\): Unauthorized; .*kubeconfig's/,
    );
    expect(refused(409, "Conflict", "the object has been modified")).to.equal(
      "Error from server (Conflict): the object has been modified",
    );
  });

  it("ends with the code of an error of ours", () => {
    expect(errorLine(new SatelliteError("NoRouter", "there is none"))).to.equal(
      "error: there is none (NoRouter)",
    );
  });

  it("says that an API server is not trusted, without a flag of Node.js that no command here has", async () => {
    const folder = mkdtempSync(join(tmpdir(), "satellites-untrusted-"));
    const { certificatePem, keyPem } = await serverCertificate(folder, "127.0.0.1", new Date());
    const server = createServer({ cert: certificatePem, key: keyPem }, (_request, response) =>
      response.end("{}"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const kubeconfig = join(folder, "kubeconfig");
      writeKubeconfig(kubeconfig, { url, caPem: "", user: { name: "ada", token: "t" } });
      const terminal = new Terminal({ environment: { HOME: folder, KUBECONFIG: kubeconfig } });
      const { code, err } = await terminal.run("ls");
      expect(code).to.equal(1);
      expect(err).to.match(
        /^error: no answer from https:\/\/127\.0\.0\.1:\d+ \(UNABLE_TO_VERIFY_LEAF_SIGNATURE: /,
      );
      expect(err).not.to.contain("Node.js");
      const doctor = await terminal.run("doctor");
      expect(doctor.out).to.match(/^FAIL {2}.*UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
      expect(doctor.out).not.to.contain("Node.js");
      expect(doctor.out).to.match(/\nnothing else can be looked at until that is mended\n\n1 broken\n$/);
    } finally {
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
});
