import { expect } from "chai";
import type { Satellite } from "../../src/satellite/types.ts";
import { installCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const NAME = "satellites.satellites.dev";
const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites";
const ATOMIC = "/spec/versions/0/schema/openAPIV3Schema/properties/status/x-kubernetes-map-type";

interface ManagedFields {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly subresource?: string;
  readonly fieldsV1: Readonly<Record<string, unknown>>;
}

type Stored = Omit<Satellite, "metadata"> & {
  readonly metadata: Satellite["metadata"] & { readonly managedFields: readonly ManagedFields[] };
};

/** What the API server notes of who wrote which field: it costs time with each write (docs/decisions/0094). */
describe("managedFields of a Satellite", function () {
  this.timeout(120_000);
  let server: KubeApiServer;

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
  });
  after(() => server?.stop());

  async function writeStatus(
    name: string,
    manager: string,
    status: Partial<Satellite["status"]>,
  ): Promise<Stored> {
    const path = `${SATELLITES}/${name}/status?fieldManager=${manager}`;
    const { status: code, body } = await server.admin.mergePatch(path, { status });
    expect(code, JSON.stringify(body)).to.equal(200);
    return body as Stored;
  }

  async function apply(name: string, spec: object): Promise<number> {
    const body = { apiVersion: "satellites.dev/v1alpha1", kind: "Satellite", metadata: { name }, spec };
    const path = `${SATELLITES}/${name}?fieldManager=gitops`;
    const contentType = "application/apply-patch+yaml";
    return (await server.admin.request("PATCH", path, JSON.stringify(body), { contentType })).status;
  }

  /** Writes the definition with or without what makes a status one field, and waits until the API server goes by it. */
  async function define(isAtomic: boolean): Promise<void> {
    const operation = isAtomic
      ? { op: "add", path: ATOMIC, value: "atomic" }
      : { op: "remove", path: ATOMIC };
    const { status, body } = await server.admin.jsonPatch(`${DEFINITIONS}/${NAME}`, [operation]);
    expect(status, JSON.stringify(body)).to.equal(200);
    let written = 0;
    await eventually("the API server goes by it", async () => {
      const name = `trial-${isAtomic}-${written++}`;
      await apply(name, {});
      const { metadata } = await writeStatus(name, "operator", { phase: "Running" });
      return statusOf(metadata.managedFields, "operator") === (isAtomic ? "{}" : '{"f:phase":{}}');
    });
  }

  const statusOf = (entries: readonly ManagedFields[], manager: string): string | undefined => {
    const entry = entries.find((each) => each.subresource === "status" && each.manager === manager);
    return entry === undefined ? undefined : JSON.stringify(entry.fieldsV1["f:status"]);
  };

  const power = (epoch: number): Pick<Satellite["status"], "power"> => ({
    power: { state: "Running", epoch, accepted: true, fence: 0 },
  });

  it("hold the status as one field, whoever writes a part of it, and the rest as the schema of everybody else", async () => {
    expect(await apply("ada", { idleTimeout: "7m" })).to.equal(201);
    await writeStatus("ada", "operator", { phase: "Running", ...power(3) });
    const { metadata, status } = await writeStatus("ada", "router", {
      activity: { "router-0": { seq: 1, validSeconds: 60, openStreams: 0, time: "2026-01-01T00:00:00Z" } },
    });
    expect(statusOf(metadata.managedFields, "router")).to.equal("{}");
    expect(status).to.deep.include({ phase: "Running", ...power(3) });
    const mine = metadata.managedFields.find(({ manager }) => manager === "gitops");
    expect(mine).to.deep.include({ operation: "Apply", fieldsV1: { "f:spec": { "f:idleTimeout": {} } } });
  });

  it("shrink at the first write after an upgrade, without a conflict for those who apply the spec", async () => {
    await define(false);
    expect(await apply("old", { idleTimeout: "7m" })).to.equal(201);
    const before = await writeStatus("old", "operator", { phase: "Running", ...power(3) });
    expect(statusOf(before.metadata.managedFields, "operator")).to.include("f:power");
    await define(true);
    const after = await writeStatus("old", "operator", power(4));
    expect(statusOf(after.metadata.managedFields, "operator")).to.equal("{}");
    expect(after.status).to.deep.include({ phase: "Running", ...power(4) });
    expect(await apply("old", { idleTimeout: "8m" })).to.equal(200);
    expect(await apply("old", {})).to.equal(200);
  });
});
