import { expect } from "chai";
import { valueAt } from "../../../src/local/kubernetes/json.ts";
import { PROBES, TestApi } from "./support.ts";

describe("deletion", () => {
  let api: TestApi;
  beforeEach(() => {
    api = new TestApi();
  });

  it("removes an object without finalizers and answers with a Status", () => {
    const uid = valueAt(api.create("a").body, "metadata", "uid");
    const { status, body } = api.call("DELETE", `${PROBES}/a`);
    expect([status, body["kind"], body["status"]]).to.deep.equal([200, "Status", "Success"]);
    expect(body["details"]).to.deep.equal({ name: "a", group: "example.dev", kind: "probes", uid: uid! });
    expect(api.call("GET", `${PROBES}/a`).status).to.equal(404);
  });

  it("marks an object with finalizers, and removes it with the last of them", () => {
    api.create("a", {}, { finalizers: ["example.dev/one", "example.dev/two"] });
    const marked = api.call("DELETE", `${PROBES}/a`).body;
    expect(marked["metadata"]).to.include({
      deletionTimestamp: "2026-01-01T00:00:00Z",
      deletionGracePeriodSeconds: 0,
      generation: 2,
    });
    expect(api.call("DELETE", `${PROBES}/a`).body).to.deep.equal(marked);
    api.mergePatch("a", { metadata: { finalizers: ["example.dev/two"] } });
    expect(api.call("GET", `${PROBES}/a`).status).to.equal(200);
    expect(api.mergePatch("a", { metadata: { finalizers: null } }).status).to.equal(200);
    expect(api.call("GET", `${PROBES}/a`).status).to.equal(404);
  });

  it("does not let new finalizers in while an object is going, nor the mark be taken back", () => {
    api.create("a", {}, { finalizers: ["example.dev/one"] });
    api.call("DELETE", `${PROBES}/a`);
    const added = api.mergePatch("a", { metadata: { finalizers: ["example.dev/one", "example.dev/two"] } });
    expect(added.status).to.equal(422);
    const kept = api.mergePatch("a", { metadata: { deletionTimestamp: null } });
    expect(valueAt(kept.body, "metadata", "deletionTimestamp")).to.equal("2026-01-01T00:00:00Z");
  });

  it("honours preconditions on UID and resourceVersion", () => {
    const { uid, resourceVersion } = api.create("a").body["metadata"] as Record<string, string>;
    const attempt = (preconditions: Record<string, string>): number =>
      api.call("DELETE", `${PROBES}/a`, { preconditions }).status;
    expect(attempt({ uid: "another" })).to.equal(409);
    expect(attempt({ resourceVersion: "1" })).to.equal(409);
    expect(attempt({ uid: uid!, resourceVersion: resourceVersion! })).to.equal(200);
  });

  it("deletes what selectors pick from a collection", () => {
    api.create("a", {}, { labels: { x: "1" } });
    api.create("b", {}, { labels: { x: "2" } });
    const { body } = api.call("DELETE", `${PROBES}?labelSelector=x%3D1`);
    expect(body["kind"]).to.equal("ProbeList");
    const left = api.call("GET", PROBES).body["items"] as unknown[];
    expect(left).to.have.length(1);
  });

  it("refuses options that Kubernetes refuses", () => {
    api.create("a");
    expect(api.call("DELETE", `${PROBES}/a`, { propagationPolicy: "Sideways" }).status).to.equal(422);
    expect(api.call("DELETE", `${PROBES}/a`, { kind: "Probe" }).status).to.equal(400);
    expect(api.call("DELETE", `${PROBES}/missing`).status).to.equal(404);
  });
});

describe("namespaces", () => {
  const NAMESPACES = "/api/v1/namespaces";
  const probes = (namespace: string): string => PROBES.replace("default", namespace);
  const newNamespace = (api: TestApi, name: string): number =>
    api.call("POST", NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name } }).status;
  const probeIn = (api: TestApi, namespace: string, metadata = {}): ReturnType<TestApi["call"]> =>
    api.call("POST", probes(namespace), {
      apiVersion: "example.dev/v1",
      kind: "Probe",
      metadata: { name: "a", ...metadata },
    });

  it("has default and kube-system from the start, and keeps them", () => {
    const api = new TestApi();
    expect(api.call("GET", `${NAMESPACES}/kube-system`).status).to.equal(200);
    expect(api.call("DELETE", `${NAMESPACES}/default`).status).to.equal(403);
  });

  it("answers 404 to writes into a namespace that does not exist", () => {
    const { status, body } = probeIn(new TestApi(), "nowhere");
    expect([status, valueAt(body, "details", "kind")]).to.deep.equal([404, "namespaces"]);
  });

  it("takes its content along when it is deleted", () => {
    const api = new TestApi();
    newNamespace(api, "team");
    probeIn(api, "team");
    api.call("DELETE", `${NAMESPACES}/team`);
    expect(api.call("GET", `${NAMESPACES}/team`).status).to.equal(404);
    expect(api.call("GET", probes("team")).body["items"]).to.deep.equal([]);
  });

  it("waits for finalizers of its content, and takes nothing new meanwhile", () => {
    const api = new TestApi();
    newNamespace(api, "team");
    probeIn(api, "team", { finalizers: ["example.dev/one"] });
    expect(valueAt(api.call("DELETE", `${NAMESPACES}/team`).body, "status", "phase")).to.equal("Terminating");
    const late = probeIn(api, "team", { name: "late" });
    expect([late.status, late.body["reason"]]).to.deep.equal([403, "Forbidden"]);
    api.call(
      "PATCH",
      `${probes("team")}/a`,
      { metadata: { finalizers: null } },
      {
        "content-type": "application/merge-patch+json",
      },
    );
    expect(api.call("GET", `${NAMESPACES}/team`).status).to.equal(404);
  });
});
