import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parseAllDocuments } from "yaml";
import { installCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";

const PAGE = join(import.meta.dirname, "../../docs/security.md");
const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites";
/** The chart's account of a release called `satellites`. */
const OPERATOR = "system:serviceaccount:satellites:satellites";
const STATUS = { status: { machine: { id: "i-00000000000000001" } } };

/** The objects of the policy as the page gives them. */
function documentedPolicy(): { readonly kind: string }[] {
  const [, text = ""] =
    /```yaml\n(apiVersion: admissionregistration[\s\S]*?)```/.exec(readFileSync(PAGE, "utf8")) ?? [];
  return parseAllDocuments(text).map((document) => document.toJS() as { readonly kind: string });
}

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
    const operator = await server.clientFor(OPERATOR, ["system:masters"]);
    const person = await server.clientFor("eve", ["system:masters"]);
    expect((await person.mergePatch(path, STATUS)).status, "without the policy").to.equal(200);
    for (const object of documentedPolicy()) {
      const plural = object.kind === "ValidatingAdmissionPolicy" ? "policies" : "policybindings";
      const answer = await server.admin.request(
        "POST",
        `/apis/admissionregistration.k8s.io/v1/validatingadmission${plural}`,
        object,
      );
      expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
    }
    await eventually("the policy holds", async () => (await person.mergePatch(path, STATUS)).status === 422);
    expect(
      (await operator.mergePatch(path, { status: { machine: { id: "i-00000000000000002" } } })).status,
    ).to.equal(200);
    expect((await person.mergePatch(`${SATELLITES}/ada`, { spec: { desiredPower: "off" } })).status).to.equal(
      200,
    );
    await Promise.all([operator.close(), person.close()]);
  });
});
