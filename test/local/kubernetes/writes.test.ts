import { expect } from "chai";
import { valueAt } from "../../../src/local/kubernetes/json.ts";
import { causes, probe, PROBES, resourceVersion, TestApi } from "./support.ts";

describe("writes", () => {
  let api: TestApi;
  beforeEach(() => {
    api = new TestApi();
  });

  it("creates with UID, creation time, generation 1 and the schema's defaults, status included", () => {
    const { status, body } = api.create("a", { count: 2 });
    expect(status).to.equal(201);
    expect(body["spec"]).to.deep.equal({ count: 2, mode: "a", timeout: "1m" });
    expect(body["status"]).to.deep.equal({ leases: {} });
    expect(body["metadata"]).to.include({
      generation: 1,
      namespace: "default",
      creationTimestamp: "2026-01-01T00:00:00Z",
    });
    expect(valueAt(body, "metadata", "uid")).to.match(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  it("answers 409 AlreadyExists to a second creation", () => {
    api.create("a");
    const { status, body } = api.create("a");
    expect([status, body["reason"]]).to.deep.equal([409, "AlreadyExists"]);
  });

  it("generates names from generateName", () => {
    const { body } = api.call("POST", PROBES, { ...probe(""), metadata: { generateName: "gen-" } });
    expect(valueAt(body, "metadata", "name")).to.match(/^gen-[b-z0-9]{5}$/);
  });

  it("ignores status when creating", () => {
    const { body } = api.call("POST", PROBES, { ...probe("a"), status: { phase: "Busy" } });
    expect(body["status"]).to.deep.equal({ leases: {} });
  });

  it("moves neither resourceVersion nor generation for a write that changes nothing", () => {
    api.create("a");
    // The first write stores the defaults of status that reading filled in, as on the real server.
    const first = api.mergePatch("a", {}).body;
    const second = api.mergePatch("a", {}).body;
    expect(resourceVersion(second)).to.equal(resourceVersion(first));
    expect(valueAt(second, "metadata", "generation")).to.equal(1);
  });

  it("raises generation for changes of spec, not of metadata nor status", () => {
    api.create("a");
    api.mergePatch("a", { metadata: { labels: { x: "y" } } });
    api.mergePatch("a", { status: { phase: "Busy" } }, "/status");
    expect(valueAt(api.get("a"), "metadata", "generation")).to.equal(1);
    api.mergePatch("a", { spec: { count: 5 } });
    expect(valueAt(api.get("a"), "metadata", "generation")).to.equal(2);
  });

  it("keeps status and the rest apart", () => {
    api.create("a");
    api.mergePatch("a", { status: { phase: "Busy" } });
    expect(valueAt(api.get("a"), "status", "phase")).to.equal(undefined);
    const change = { status: { phase: "Idle" }, spec: { count: 9 }, metadata: { labels: { x: "y" } } };
    const { body } = api.mergePatch("a", change, "/status");
    expect(valueAt(body, "status", "phase")).to.equal("Idle");
    expect(valueAt(body, "spec", "count")).to.equal(0);
    expect(valueAt(body, "metadata", "labels")).to.equal(undefined);
  });

  it("lets a patch of status test spec, and a patch of spec test status", () => {
    api.create("a", { count: 3 });
    const ok = api.jsonPatch(
      "a",
      [
        { op: "test", path: "/spec/count", value: 3 },
        { op: "add", path: "/status/phase", value: "Busy" },
      ],
      "/status",
    );
    expect([ok.status, valueAt(ok.body, "status", "phase")]).to.deep.equal([200, "Busy"]);
    const failed = api.jsonPatch(
      "a",
      [
        { op: "test", path: "/spec/count", value: 4 },
        { op: "add", path: "/status/phase", value: "Idle" },
      ],
      "/status",
    );
    expect([failed.status, failed.body["reason"]]).to.deep.equal([422, "Invalid"]);
    const main = api.jsonPatch("a", [
      { op: "test", path: "/status/phase", value: "Busy" },
      { op: "replace", path: "/spec/count", value: 4 },
    ]);
    expect([main.status, valueAt(main.body, "spec", "count")]).to.deep.equal([200, 4]);
  });

  it("lets exactly one of hundreds of patches with the same test win", () => {
    api.create("a", { mode: "a" });
    const answers = Array.from({ length: 300 }, () =>
      api.jsonPatch("a", [
        { op: "test", path: "/spec/mode", value: "a" },
        { op: "replace", path: "/spec/mode", value: "b" },
      ]),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).to.have.length(1);
    expect(statuses.filter((status) => status === 422)).to.have.length(299);
  });

  it("answers 409 Conflict to a PUT or patch with an old resourceVersion, 422 to a PUT without one", () => {
    const old = api.create("a").body;
    api.mergePatch("a", { spec: { count: 1 } });
    expect(api.call("PUT", `${PROBES}/a`, old).status).to.equal(409);
    const stale = { metadata: { resourceVersion: String(resourceVersion(old)) }, spec: { count: 2 } };
    expect(api.mergePatch("a", stale).body["reason"]).to.equal("Conflict");
    const without = api.call("PUT", `${PROBES}/a`, probe("a"));
    expect([without.status, causes(without.body)]).to.deep.equal([
      422,
      ["FieldValueInvalid metadata.resourceVersion"],
    ]);
  });

  it("answers 409 to a PUT with another UID, 400 to another name or namespace, 404 to a missing object", () => {
    const { body } = api.create("a");
    const metadata = body["metadata"] as object;
    expect(api.call("PUT", `${PROBES}/a`, { ...body, metadata: { ...metadata, uid: "x" } }).status).to.equal(
      409,
    );
    expect(api.call("PUT", `${PROBES}/a`, probe("b")).status).to.equal(400);
    expect(
      api.call("PUT", `${PROBES}/a`, { ...body, metadata: { ...metadata, namespace: "x" } }).status,
    ).to.equal(400);
    expect(api.call("PUT", `${PROBES}/zz`, probe("zz")).status).to.equal(404);
  });

  it("prunes unknown fields: silently, with a warning, or not at all", () => {
    const body = probe("a", { unknown: 1 });
    expect(api.call("POST", `${PROBES}?fieldValidation=Strict`, body).status).to.equal(400);
    const warned = api.call("POST", PROBES, body);
    expect(warned.warnings).to.deep.equal(['unknown field "spec.unknown"']);
    expect(warned.body["spec"]).to.not.have.property("unknown");
    const silent = api.call("PUT", `${PROBES}/a?fieldValidation=Ignore`, { ...warned.body, extra: 1 });
    expect([silent.status, silent.warnings]).to.deep.equal([200, []]);
    const patched = api.call(
      "PATCH",
      `${PROBES}/a?fieldValidation=Strict`,
      { spec: { unknown: 1 } },
      {
        "content-type": "application/merge-patch+json",
      },
    );
    expect([patched.status, causes(patched.body)]).to.deep.equal([422, ["FieldValueInvalid patch"]]);
  });

  it("tells of fields that stand twice", () => {
    const body =
      '{"apiVersion":"example.dev/v1","kind":"Probe","metadata":{"name":"a"},"spec":{"count":1,"count":2}}';
    const response = api.server.handle({
      method: "POST",
      path: PROBES,
      query: new URLSearchParams(),
      headers: { authorization: "Bearer token-of-the-tests" },
      body,
    });
    expect(response.warnings).to.deep.equal(['duplicate field "spec.count"']);
  });

  it("writes nothing in a dry run", () => {
    expect(api.call("POST", `${PROBES}?dryRun=All`, probe("a")).status).to.equal(201);
    expect(api.call("GET", `${PROBES}/a`).status).to.equal(404);
    api.create("a");
    const { revision } = api.server.store;
    api.call(
      "PATCH",
      `${PROBES}/a?dryRun=All`,
      { spec: { count: 1 } },
      { "content-type": "application/merge-patch+json" },
    );
    api.call("DELETE", `${PROBES}/a?dryRun=All`);
    expect(api.server.store.revision).to.equal(revision);
  });

  it("answers 415 to server-side apply and to strategic merge patch of custom resources", () => {
    api.create("a");
    for (const type of [
      "application/apply-patch+yaml",
      "application/strategic-merge-patch+json",
      "text/plain",
    ]) {
      expect(api.call("PATCH", `${PROBES}/a`, {}, { "content-type": type }).status, type).to.equal(415);
    }
  });
});
