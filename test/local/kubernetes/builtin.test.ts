import { expect } from "chai";
import protobuf from "protobufjs";
import { allowAll } from "../../../src/local/kubernetes/reviews.ts";
import type { JsonObject } from "../../../src/local/kubernetes/json.ts";
import { valueAt } from "../../../src/local/kubernetes/json.ts";
import { causes, TestApi, TOKEN } from "./support.ts";

const LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const EVENTS = "/api/v1/namespaces/default/events";
const EVENTS_V1 = "/apis/events.k8s.io/v1/namespaces/default/events";

describe("built-in kinds", () => {
  let api: TestApi;
  beforeEach(() => {
    api = new TestApi();
  });

  it("keep leases, whose times have microseconds", () => {
    const lease = (spec: JsonObject): number =>
      api.call("POST", LEASES, {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { generateName: "l" },
        spec,
      }).status;
    expect(lease({ holderIdentity: "x", renewTime: "2026-01-01T00:00:00.000000Z" })).to.equal(201);
    expect(lease({ renewTime: "2026-01-01T00:00:00Z" }), "decoded strictly by type").to.equal(400);
    expect(lease({ leaseDurationSeconds: 0 }), "decoded but not valid").to.equal(422);
  });

  it("refuse a PUT of a lease whose holder changed meanwhile", () => {
    const path = `${LEASES}/leader`;
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "leader" },
      spec: { holderIdentity: "a" },
    };
    const read = api.call("POST", LEASES, lease).body;
    expect(api.call("PUT", path, { ...read, spec: { holderIdentity: "b" } }).status).to.equal(200);
    expect(api.call("PUT", path, { ...read, spec: { holderIdentity: "c" } }).status).to.equal(409);
  });

  it("keep one set of events under both their APIs", () => {
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "e" },
      eventTime: "2026-01-01T00:00:00.000000Z",
      reportingController: "example.dev/operator",
      reportingInstance: "one",
      action: "Start",
      reason: "Woken",
      note: "for a request",
      type: "Normal",
      regarding: { kind: "Probe", name: "a", namespace: "default" },
    };
    expect(api.call("POST", EVENTS_V1, event).status).to.equal(201);
    const core = api.call("GET", `${EVENTS}/e`).body;
    expect(core).to.include({ message: "for a request", reportingComponent: "example.dev/operator" });
    expect(core["involvedObject"]).to.deep.equal(event.regarding);
    const found = api.call(
      "GET",
      `${EVENTS}?fieldSelector=involvedObject.name%3Da,involvedObject.kind%3DProbe`,
    );
    expect(found.body["items"]).to.have.length(1);
    const watch = api.watch("", EVENTS_V1);
    expect(watch.lines[0]!.object).to.include({ note: "for a request", apiVersion: "events.k8s.io/v1" });
  });

  it("refuse new events that lack what they need", () => {
    const { status, body } = api.call("POST", EVENTS_V1, {
      metadata: { name: "e" },
      regarding: { namespace: "default" },
    });
    expect(status).to.equal(422);
    expect(causes(body)).to.deep.equal(["FieldValueInvalid type", "FieldValueRequired eventTime"]);
  });

  it("turn stringData of secrets into data", () => {
    const path = "/api/v1/namespaces/default/secrets";
    const { body } = api.call("POST", path, { metadata: { name: "s" }, stringData: { a: "b" } });
    expect([body["data"], body["type"], body["stringData"]]).to.deep.equal([
      { a: "Yg==" },
      "Opaque",
      undefined,
    ]);
  });

  it("keep immutable config maps as they are", () => {
    const path = "/api/v1/namespaces/default/configmaps";
    api.call("POST", path, { metadata: { name: "c" }, data: { a: "1" }, immutable: true });
    const change = api.call(
      "PATCH",
      `${path}/c`,
      { data: { a: "2" } },
      {
        "content-type": "application/strategic-merge-patch+json",
      },
    );
    expect(causes(change.body)).to.deep.equal(["FieldValueForbidden data"]);
  });

  it("show the CRDs that are served, for reading only", () => {
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const { body } = api.call("GET", `${path}/probes.example.dev`);
    const conditions = valueAt(body, "status", "conditions") as JsonObject[];
    expect(conditions.map(({ type, status }) => [type, status])).to.deep.include(["Established", "True"]);
    expect(api.call("DELETE", `${path}/probes.example.dev`).status).to.equal(405);
  });
});

describe("reviews", () => {
  const TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
  const ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  const statusOf = (api: TestApi, path: string, spec: JsonObject): JsonObject =>
    api.call("POST", path, { spec }).body["status"] as JsonObject;

  it("know the users by their tokens, for the audiences that these are meant for", () => {
    const api = new TestApi();
    expect(statusOf(api, TOKEN_REVIEWS, { token: TOKEN, audiences: ["router", "other"] })).to.deep.equal({
      authenticated: true,
      user: { username: "tester", groups: ["system:masters", "system:authenticated"] },
      audiences: ["router"],
    });
    expect(statusOf(api, TOKEN_REVIEWS, { token: TOKEN, audiences: ["other"] })).to.not.have.property(
      "authenticated",
    );
    expect(statusOf(api, TOKEN_REVIEWS, { token: "guess" })).to.not.have.property("authenticated");
    expect(api.call("POST", TOKEN_REVIEWS, { spec: {} }).status).to.equal(400);
  });

  it("answer access by the function that was given", () => {
    const api = new TestApi({
      authorizer: ({ user, resource }) => ({ allowed: user.name === "ada" && resource?.["verb"] === "get" }),
    });
    const attributes = (verb: string): JsonObject => ({ user: "ada", resourceAttributes: { verb } });
    expect(statusOf(api, ACCESS_REVIEWS, attributes("get"))["allowed"]).to.equal(true);
    expect(statusOf(api, ACCESS_REVIEWS, attributes("delete"))["allowed"]).to.equal(false);
    expect(allowAll({ user: { name: "x", groups: [] } }).allowed).to.equal(true);
    expect(causes(api.call("POST", ACCESS_REVIEWS, { spec: { user: "ada" } }).body)).to.deep.equal([
      "FieldValueInvalid spec",
    ]);
  });

  it("answer 401 to requests without a valid token, but not to health checks", () => {
    const api = new TestApi();
    for (const authorization of ["", "Bearer ", "Bearer guess", `Basic ${TOKEN}`]) {
      const { status, body } = api.call("GET", "/api", undefined, { authorization });
      expect([status, body["reason"]], authorization).to.deep.equal([401, "Unauthorized"]);
    }
    expect(api.call("GET", "/readyz", undefined, { authorization: "" }).status).to.equal(200);
  });
});

describe("discovery", () => {
  const api = new TestApi();

  it("names groups, versions and resources, one by one and all at once", () => {
    expect(api.call("GET", "/api").body["versions"]).to.deep.equal(["v1"]);
    const groups = api.call("GET", "/apis").body["groups"] as JsonObject[];
    expect(groups.map(({ name }) => name)).to.include.members([
      "example.dev",
      "coordination.k8s.io",
      "events.k8s.io",
    ]);
    const resources = api.call("GET", "/apis/example.dev/v1").body["resources"] as JsonObject[];
    expect(resources.map(({ name }) => name)).to.deep.equal(["probes", "probes/status"]);
    expect(resources[0]).to.deep.include({
      shortNames: ["pr"],
      categories: ["all"],
      namespaced: true,
      kind: "Probe",
    });
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    expect(api.call("GET", "/apis", undefined, { accept }).body["kind"]).to.equal("APIGroupDiscoveryList");
  });

  it("describes the resources in OpenAPI, so that clients leave field validation to the server", () => {
    const { body } = api.call("GET", "/openapi/v3/apis/example.dev/v1");
    const schema = valueAt(body, "components", "schemas", "dev.example.v1.Probe");
    expect(valueAt(schema, "x-kubernetes-group-version-kind")).to.deep.equal([
      { group: "example.dev", version: "v1", kind: "Probe" },
    ]);
    const path = "/apis/example.dev/v1/namespaces/{namespace}/probes/{name}";
    const parameters = valueAt(body, "paths", path, "patch", "parameters") as JsonObject[];
    expect(parameters.map(({ name }) => name)).to.include("fieldValidation");
    const index = api.call("GET", "/openapi/v3").body["paths"] as JsonObject;
    expect(Object.keys(index)).to.include.members(["api/v1", "apis/example.dev/v1"]);
  });

  it("describes them in OpenAPI v2 for kubectl before 1.29, as protobuf", () => {
    const { status, headers, body } = api.server.handle({
      method: "GET",
      path: "/openapi/v2",
      query: new URLSearchParams(),
      headers: { authorization: `Bearer ${TOKEN}` },
      body: "",
    });
    expect([status, headers["content-type"]]).to.deep.equal([
      200,
      "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    ]);
    // Of openapi.v2.Document only what is looked at: definitions, the names and the properties of schemas.
    const { root } = protobuf.parse(`
      message Document { optional Named definitions = 9; }
      message Named { repeated NamedSchema members = 1; }
      message NamedSchema { optional string name = 1; optional Schema value = 2; }
      message Schema { optional Named properties = 25; }
    `);
    interface Schema {
      readonly properties?: { readonly members: readonly NamedSchema[] };
    }
    interface NamedSchema {
      readonly name: string;
      readonly value: Schema;
    }
    const message = root.lookupType("Document");
    const { definitions } = message.toObject(message.decode(body as Uint8Array)) as {
      readonly definitions: { readonly members: readonly NamedSchema[] };
    };
    const probe = definitions.members.find(({ name }) => name === "dev.example.v1.Probe");
    expect(probe?.value.properties?.members.map(({ name }) => name)).to.include.members(["metadata", "spec"]);
  });

  it("answers 404 to unknown groups, kinds and paths", () => {
    for (const path of [
      "/apis/nope",
      "/apis/example.dev/v2",
      "/apis/example.dev/v1/nopes",
      "/nope",
      "/api/v1/namespaces/a/b/c/d/e",
    ]) {
      expect(api.call("GET", path).status, path).to.equal(404);
    }
  });
});
