import { expect } from "chai";
import { installCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";
import { documentedAccounts, documentedPolicy } from "../support/status-policy.ts";

const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites";
/** A status that names a machine. */
const naming = (number: number): object => ({ status: { machine: { id: `i-0000000000000000${number}` } } });

describe("the admission policy of docs/security.md", function () {
  this.timeout(120_000);
  let server: KubeApiServer;

  // A retry finds nothing of the attempt before it.
  beforeEach(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
  });
  afterEach(() => server?.stop());

  it("lets the product's accounts write a status, and nobody else, whatever their roles", async () => {
    const path = `${SATELLITES}/ada/status`;
    const made = await server.admin.request("POST", SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name: "ada" },
      spec: {},
    });
    expect(made.status).to.equal(201);
    const accounts = documentedAccounts();
    expect(accounts).not.to.deep.equal([]);
    const person = await server.clientFor("eve", ["system:masters"]);
    expect((await person.mergePatch(path, naming(0))).status, "without the policy").to.equal(200);
    for (const object of documentedPolicy()) {
      const plural = object.kind === "ValidatingAdmissionPolicy" ? "policies" : "policybindings";
      const answer = await server.admin.request(
        "POST",
        `/apis/admissionregistration.k8s.io/v1/validatingadmission${plural}`,
        object,
      );
      expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
    }
    await eventually(
      "the policy holds",
      async () => (await person.mergePatch(path, naming(0))).status === 422,
    );
    for (const [index, account] of accounts.entries()) {
      const product = await server.clientFor(account, ["system:masters"]);
      expect((await product.mergePatch(path, naming(index + 1))).status, account).to.equal(200);
      await product.close();
    }
    expect((await person.mergePatch(`${SATELLITES}/ada`, { spec: { desiredPower: "off" } })).status).to.equal(
      200,
    );
    await person.close();
  });
});
