import { expect } from "chai";
import { findManifest, type Manifest, renderChart } from "../support/helm.ts";
import { EXPOSED } from "./pods.ts";

/** The rules of a ClusterRole or Role as "group/resource: verb verb", sorted. */
function rulesOf(role: Manifest): string[] {
  const rules = role["rules"] as { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      resources.map((resource) => `${apiGroups.join(",")}/${resource}: ${verbs.toSorted().join(" ")}`),
    )
    .toSorted();
}

describe("the chart's rights", function () {
  this.timeout(60_000);
  let exposed: Manifest[];

  before(async () => {
    exposed = await renderChart(EXPOSED);
  });

  it("of the operator name every resource and verb, and never those that make or delete what people own", () => {
    const rules = rulesOf(findManifest(exposed, "ClusterRole", "sat-system-sat-satellites-operator"));
    expect(rules.filter((rule) => rule.includes("*"))).to.deep.equal([]);
    const ours = rules.filter((rule) => rule.startsWith("satellites.dev/"));
    expect(ours).to.not.have.length(0);
    expect(ours.filter((rule) => /create|delete|update/.test(rule))).to.deep.equal([]);
  });

  it("of the operator to Leases and Secrets end at its own namespace", () => {
    const everywhere = rulesOf(findManifest(exposed, "ClusterRole", "sat-system-sat-satellites-operator"));
    expect(everywhere.filter((rule) => /leases|secrets/.test(rule))).to.deep.equal([]);
    expect(rulesOf(findManifest(exposed, "Role", "sat-satellites-operator"))).to.deep.equal([
      "/secrets: get",
      "apps/deployments: get",
      "coordination.k8s.io/leases: create",
      "coordination.k8s.io/leases: get update",
    ]);
  });

  it("of the router are about Satellites alone", () => {
    expect(rulesOf(findManifest(exposed, "ClusterRole", "sat-system-sat-satellites-router"))).to.deep.equal([
      "satellites.dev/satellites/status: patch",
      "satellites.dev/satellites: get list patch watch",
    ]);
  });

  it("of the router take in questions about callers where it asks who they are", async () => {
    const router = { mode: "deployment", access: { mode: "kubernetes" }, tls: { secretName: "router-tls" } };
    const name = "sat-system-sat-satellites-router-access";
    expect(rulesOf(findManifest(await renderChart({ router }), "ClusterRole", name))).to.deep.equal([
      "authentication.k8s.io/tokenreviews: create",
      "authorization.k8s.io/subjectaccessreviews: create",
    ]);
    expect(exposed.map(({ metadata }) => metadata.name)).to.not.include(name);
  });

  it("of the router end at the namespace that it watches", async () => {
    const manifests = await renderChart({ router: { ...EXPOSED.router, watchNamespace: "team-a" } });
    const role = findManifest(manifests, "Role", "sat-system-sat-satellites-router");
    const binding = findManifest(manifests, "RoleBinding", "sat-system-sat-satellites-router");
    expect([role.metadata.namespace, binding.metadata.namespace]).to.deep.equal(["team-a", "team-a"]);
    expect(manifests.map(({ metadata }) => metadata.name)).to.include("sat-system-sat-satellites-operator");
    const names = manifests.filter(({ kind }) => kind === "ClusterRole").map(({ metadata }) => metadata.name);
    expect(names).to.deep.equal(["sat-system-sat-satellites-operator"]);
  });

  it("to Secrets can be held to the ones that classes name", async () => {
    const manifests = await renderChart({ rbac: { userDataSecretNames: ["guest"] } });
    const { rules } = findManifest(manifests, "Role", "sat-satellites-operator") as unknown as {
      rules: { resources: string[] }[];
    };
    expect(rules.find(({ resources }) => resources.includes("secrets"))).to.deep.include({
      resourceNames: ["guest"],
    });
  });

  it("of people stay as they are unless the default roles are to take Satellites in", async () => {
    const labels = (manifests: readonly Manifest[]): string[] =>
      manifests
        .flatMap(({ metadata }) => Object.keys(metadata.labels ?? {}))
        .filter((key) => key.includes("aggregate"));
    expect(labels(exposed)).to.deep.equal([]);
    expect(labels(await renderChart({ rbac: { aggregateToDefaultRoles: true } }))).to.have.length(3);
  });
});
