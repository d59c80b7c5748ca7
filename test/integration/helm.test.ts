import { expect } from "chai";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChartRelease, RELEASE, RELEASE_NAMESPACE } from "../support/chart-release.ts";
import { eventually } from "../support/eventually.ts";
import { CHART, REQUIRED_VALUES, type Values } from "../support/helm.ts";

const CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/satellites.satellites.dev";
const SATELLITE = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites/ada";
const EXPOSED = {
  router: { mode: "deployment", access: { mode: "insecureAnonymous" } },
  rbac: { aggregateToDefaultRoles: true },
  dashboard: { enabled: true },
};

interface Column {
  readonly name: string;
}

interface Crd {
  readonly metadata: { readonly uid: string };
  readonly spec: { readonly versions: readonly { readonly additionalPrinterColumns: readonly Column[] }[] };
}

/** The chart with real helm and a real API server. No controllers and no kubelet run there: nothing starts pods. */
describe("helm on kube-apiserver", function () {
  this.timeout(180_000);
  let release: ChartRelease;
  let copies: string;

  before(async () => {
    copies = mkdtempSync(join(tmpdir(), "satellites-chart-"));
    release = await ChartRelease.start();
  });
  after(async () => {
    await release?.stop();
    rmSync(copies, { recursive: true, force: true });
  });

  const crd = async (): Promise<Crd | undefined> => {
    const { status, body } = await release.admin.request("GET", CRD);
    return status === 200 ? (body as Crd) : undefined;
  };

  const existing = async (...paths: string[]): Promise<number[]> =>
    Promise.all(paths.map(async (path) => (await release.admin.request("GET", path)).status));

  /** A copy of the chart whose CRD of Satellites has one more printer column, as a later version may. */
  function nextVersion(): string {
    const chart = join(copies, "next");
    cpSync(CHART, chart, { recursive: true });
    const file = join(chart, "files/crds/satellites.satellites.dev.yaml");
    const column = "additionalPrinterColumns:\n        - {name: Later, type: string, jsonPath: .spec.size}";
    writeFileSync(file, readFileSync(file, "utf8").replace("additionalPrinterColumns:", column));
    return chart;
  }

  it("installs everything that the chart renders, in sidecar mode", async () => {
    const output = await release.apply();
    expect(output).to.include("STATUS: deployed");
    expect(output).to.include("port-forward deployment/sat-satellites");
    const namespaced = (group: string, plural: string, name: string): string =>
      `/${group}/namespaces/${RELEASE_NAMESPACE}/${plural}/${name}`;
    const statuses = await existing(
      CRD,
      namespaced("apis/apps/v1", "deployments", "sat-satellites"),
      namespaced("api/v1", "serviceaccounts", "sat-satellites"),
      namespaced("apis/policy/v1", "poddisruptionbudgets", "sat-satellites-operator"),
      namespaced("apis/networking.k8s.io/v1", "networkpolicies", "sat-satellites"),
      `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/sat-system-sat-satellites-spec`,
    );
    expect(statuses).to.deep.equal([200, 200, 200, 200, 200, 200]);
  });

  it("makes pods that the restricted Pod Security Standard admits", async () => {
    await release.createPod("sat-satellites", "sidecar");
  });

  it("serves Satellites from then on", async () => {
    await eventually("a Satellite is taken", async () => {
      const path = SATELLITE.replace(/\/ada$/, "");
      const answer = await release.admin.request("POST", path, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name: "ada" },
        spec: {},
      });
      return answer.status === 201;
    });
  });

  it("upgrades to the router's own Deployment, with pods that are admitted too", async () => {
    expect(await release.apply(EXPOSED)).to.include("WARNING");
    await release.createPod("sat-satellites", "operator");
    await release.createPod("sat-satellites-router", "router");
    const service = `/api/v1/namespaces/${RELEASE_NAMESPACE}/services/sat-satellites-router`;
    expect(await existing(service)).to.deep.equal([200]);
  });

  it("adds and removes shards only while no operator runs that does not know them", async () => {
    const path = (name: string): string =>
      `/apis/apps/v1/namespaces/${RELEASE_NAMESPACE}/deployments/${name}`;
    const shard = path("sat-satellites-shard-a");
    // Nothing in this cluster starts pods, so what a Deployment has of them is told here.
    const runs = async (deployment: string, replicas: number): Promise<void> => {
      const { status } = await release.admin.request(
        "PATCH",
        `${deployment}/status`,
        { status: { replicas } },
        { contentType: "application/merge-patch+json" },
      );
      expect(status).to.equal(200);
    };
    const refusal = async (values: Values): Promise<string> =>
      (await release.helm(["upgrade", RELEASE, CHART], { ...REQUIRED_VALUES, ...values })).stderr;
    const sharded = { ...EXPOSED, operator: { shards: ["a"] } };
    await runs(path("sat-satellites"), 2);
    expect(await refusal(sharded)).to.include("scale --replicas=0 deployment sat-satellites");
    expect(await existing(shard)).to.deep.equal([404]);
    await runs(path("sat-satellites"), 0);
    await release.apply(sharded);
    expect(await existing(shard)).to.deep.equal([200]);
    await runs(path("sat-satellites"), 2);
    await runs(shard, 2);
    await release.apply({ ...sharded, replicas: 3 });
    expect(await refusal(EXPOSED)).to.include("deployment sat-satellites sat-satellites-shard-a");
    await runs(path("sat-satellites"), 0);
    expect(await refusal(EXPOSED)).to.include("deployment sat-satellites-shard-a");
    await runs(shard, 0);
    await release.apply(EXPOSED);
    expect(await existing(shard)).to.deep.equal([404]);
  });

  it("removes what a change of values makes superfluous", async () => {
    await release.apply();
    const deployment = `/apis/apps/v1/namespaces/${RELEASE_NAMESPACE}/deployments/sat-satellites-router`;
    const policy =
      "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/sat-system-sat-satellites-router-status";
    expect(await existing(deployment, policy)).to.deep.equal([404, 404]);
  });

  it("upgrades CustomResourceDefinitions in place", async () => {
    const before = await crd();
    await release.apply({}, nextVersion());
    const after = await crd();
    expect(after?.metadata.uid).to.equal(before?.metadata.uid);
    expect(after?.spec.versions[0]?.additionalPrinterColumns.map(({ name }) => name)).to.include("Later");
  });

  it("rolls back", async () => {
    const { code, stderr } = await release.helm(["rollback", RELEASE]);
    expect(code, stderr).to.equal(0);
    expect((await crd())?.spec.versions[0]?.additionalPrinterColumns.map(({ name }) => name)).to.not.include(
      "Later",
    );
  });

  it("leaves CustomResourceDefinitions alone when it is to manage them no more", async () => {
    const before = await crd();
    await release.apply({ crds: { install: false } });
    expect((await crd())?.metadata.uid).to.equal(before?.metadata.uid);
  });

  it("takes them up again", async () => {
    await release.apply();
    expect(await existing(CRD, SATELLITE)).to.deep.equal([200, 200]);
  });

  it("refuses values that the schema does not know, before anything changes", async () => {
    const values = { ...REQUIRED_VALUES, router: { mode: "both" } };
    const { code, stderr } = await release.helm(["upgrade", RELEASE, CHART], values);
    expect(code).to.not.equal(0);
    expect(stderr).to.include("/router/mode");
  });

  it("uninstalls everything but CustomResourceDefinitions and Satellites", async () => {
    const { code, stderr } = await release.helm(["uninstall", RELEASE]);
    expect(code, stderr).to.equal(0);
    const deployment = `/apis/apps/v1/namespaces/${RELEASE_NAMESPACE}/deployments/sat-satellites`;
    const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/sat-system-sat-satellites-operator";
    expect(await existing(deployment, role)).to.deep.equal([404, 404]);
    expect(await existing(CRD, SATELLITE)).to.deep.equal([200, 200]);
  });

  it("installs again over what it left, and under another name when told to take it over", async () => {
    const uid = (await crd())?.metadata.uid;
    await release.apply();
    await release.helm(["uninstall", RELEASE]);
    const refused = await release.helm(["install", "other", CHART], REQUIRED_VALUES);
    expect(refused.stderr).to.include("invalid ownership metadata");
    const taken = await release.helm(["install", "other", CHART, "--take-ownership"], REQUIRED_VALUES);
    expect(taken.code, taken.stderr).to.equal(0);
    expect((await crd())?.metadata.uid).to.equal(uid);
    expect(await existing(SATELLITE)).to.deep.equal([200]);
  });
});
