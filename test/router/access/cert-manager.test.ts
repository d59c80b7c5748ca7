import { expect } from "chai";
import { createTestAuthority, type KeyPairPem } from "../../support/pki.ts";
import { RawVM } from "../support/http2-peers.ts";

import { AccessRouter, Cluster, requestFor } from "./access-bench.ts";
import { issue, type CertificateSpec } from "./cert-manager.ts";
import { newAuthority, type Certificate } from "./certificates.ts";

describe("client certificates as cert-manager makes them", function () {
  this.timeout(60_000);
  let cluster: Cluster;
  let vm: RawVM;
  let serving: KeyPairPem;
  let servingCa: string;
  let root: Certificate;
  let elliptic: Certificate;
  let intermediate: Certificate;

  before(async () => {
    vm = await RawVM.start((stream) =>
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
        { endStream: true },
      ),
    );
    cluster = await Cluster.start(
      [],
      ({ user }) => user.name === "team-a-builder" || user.groups.includes("builders"),
      vm.port,
    );
    const servers = await createTestAuthority("servers");
    [serving, servingCa] = [await servers.issueServer(), servers.caPem];
    root = await newAuthority("clients", { keyType: "rsa" });
    elliptic = await newAuthority("more clients");
    intermediate = await newAuthority("clients of 2026", { ca: root, keyType: "rsa" });
  });
  after(async () => {
    vm?.stop();
    await cluster?.stop();
  });

  const client: CertificateSpec = { commonName: "team-a-builder" };
  const cases: [string, () => Promise<Certificate>, RegExp][] = [
    ["one of RSA, by its common name", () => issue(client, root), /^0/],
    ["one of ECDSA", () => issue({ ...client, algorithm: "ECDSA" }, elliptic), /^0/],
    [
      "one by its organization",
      () => issue({ commonName: "ada", organizations: ["builders", "x"] }, root),
      /^0/,
    ],
    [
      "one of an authority below the root, with its chain",
      () => issue(client, intermediate, intermediate.cert),
      /^0/,
    ],
    [
      "one for clients and servers",
      () => issue({ ...client, usages: ["client auth", "server auth"] }, root),
      /^0/,
    ],
    [
      "one with names beside the common one",
      () => issue({ ...client, dnsNames: ["ada.example"] }, root),
      /^0/,
    ],
    ["one of somebody without the right", () => issue({ commonName: "ada" }, root), /^7 NotPermitted/],
    [
      "one of an authority below the root, without its chain",
      () => issue(client, intermediate),
      /^16 MalformedCredential: the client certificate was not accepted \(UNABLE_TO_/,
    ],
    [
      "one for servers",
      () => issue({ ...client, usages: ["server auth"] }, root),
      /^16 MalformedCredential: the client certificate was not accepted \(INVALID_PURPOSE\); show one for client authentication/,
    ],
    [
      "one without a common name",
      () => issue({ organizations: ["builders"], uris: ["spiffe://cluster.local/ns/team-a/sa/ci"] }, root),
      /^16 MalformedCredential: the client certificate has no common name.*commonName/,
    ],
  ];

  describe("at a router", () => {
    let router: AccessRouter;
    before(async () => {
      router = await AccessRouter.start(cluster, {
        tls: { ...serving, ca: [root.cert, elliptic.cert].join("\n"), requestCertificate: true },
      });
    });
    after(() => router?.stop());

    for (const [what, make, expected] of cases) {
      it(`${expected.source.startsWith("^0") ? "lets in" : "refuses"} ${what}`, async () => {
        const peer = await router.connect({ ca: servingCa, ...(await make()) });
        peer.send(requestFor(1, "ada", []));
        const answer = await peer.headers(1);
        const reason = answer.get("satellite-reason");
        const message = decodeURIComponent(answer.get("grpc-message") ?? "");
        const brief = [answer.get("grpc-status"), reason].filter((part) => part !== undefined).join(" ");
        expect(`${brief}: ${message}`).to.match(expected);
      });
    }
  });
});
