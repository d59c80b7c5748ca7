import { expect } from "chai";
import { type Manifest, renderChart } from "../support/helm.ts";
import { documentedAccounts } from "../support/status-policy.ts";

interface Role {
  readonly rules: readonly { readonly resources: readonly string[] }[];
}

interface Binding {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[];
}

/** The users that the chart's roles let write a status, each once, the operator's first. */
function writersOfStatus(manifests: readonly Manifest[]): string[] {
  const mayWrite = new Set(
    manifests
      .filter(({ kind, ...role }) => {
        const rules = kind.endsWith("Role") ? (role as unknown as Role).rules : [];
        return rules.some(({ resources }) => resources.some((resource) => resource.endsWith("/status")));
      })
      .map(({ kind, metadata }) => `${kind}/${metadata.name}`),
  );
  const bindings = manifests
    .filter(({ kind }) => kind.endsWith("RoleBinding"))
    .map((manifest) => manifest as unknown as Binding)
    .filter(({ roleRef }) => mayWrite.has(`${roleRef.kind}/${roleRef.name}`));
  const accounts = bindings.flatMap(({ subjects }) =>
    subjects.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`),
  );
  return [...new Set(accounts)].toSorted();
}

describe("the accounts in the admission policy of docs/security.md", function () {
  this.timeout(60_000);
  const render = async (mode: string): Promise<string[]> =>
    writersOfStatus(
      await renderChart({ router: { mode } }, { release: "satellites", namespace: "satellites" }),
    );

  it("are those which the chart lets write a status, with a router of its own", async () => {
    expect(documentedAccounts()).to.have.length(2);
    expect(await render("deployment")).to.deep.equal(documentedAccounts());
  });

  it("hold the one account of an operator that has the router beside it, as the first", async () => {
    expect(await render("sidecar")).to.deep.equal(documentedAccounts().slice(0, 1));
  });
});
