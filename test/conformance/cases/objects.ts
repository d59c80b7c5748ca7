import { identityOf, satellite, scenario, type Scenario } from "../scenario.ts";

const FINALIZER = "satellites.dev/test";
const ABSENT_UID = "00000000-0000-4000-8000-000000000000";

/** Create, read, replace, delete: names, versions, generation, finalizers, preconditions. */
export const OBJECT_SCENARIOS: readonly Scenario[] = [
  scenario("create fills in defaults", (api) =>
    api.create(satellite("a")).then(() => api.get(api.satellites("/a"))),
  ),
  scenario("create drops status", async (api) => {
    await api.create({ ...satellite("a"), status: { phase: "Running" } });
  }),
  scenario("create of an existing name", async (api) => {
    await api.given(satellite("a"));
    await api.create(satellite("a"));
  }),
  scenario("create with generateName", async (api) => {
    const answer = await api.server.admin.request("POST", api.satellites(), {
      ...satellite(""),
      metadata: { generateName: "gen-" },
    });
    const { name } = (answer.body as { metadata: { name: string } }).metadata;
    await api.send("GET", api.satellites(), undefined, {
      pick: () => ({ status: answer.status, named: /^gen-[a-z0-9]{5}$/.test(name) }),
    });
  }),
  scenario("create without a name", (api) => api.create({ ...satellite(""), metadata: {} })),
  scenario("create with a name that is no DNS subdomain", async (api) => {
    await api.create(satellite("Ada_1"));
    await api.create(satellite("a".repeat(254)));
    await api.create(satellite("a/b"));
  }),
  scenario("create with another namespace in the body", async (api) => {
    await api.create(satellite("a", {}, { namespace: "elsewhere" }));
  }),
  scenario("create of another kind or version", async (api) => {
    await api.create({ ...satellite("a"), kind: "SatelliteClass" });
    await api.create({ ...satellite("a"), apiVersion: "satellites.dev/v1" });
    await api.create({ metadata: { name: "a" }, spec: {} });
  }),
  scenario("create of what is not JSON", async (api) => {
    await api.send("POST", api.satellites(), "{");
    await api.send("POST", api.satellites(), "[]");
    await api.send("POST", api.satellites(), "");
  }),
  scenario("create with a content type that is not known", async (api) => {
    await api.send("POST", api.satellites(), "x", { contentType: "text/plain" });
  }),
  scenario("create from YAML", async (api) => {
    const yaml =
      "apiVersion: satellites.dev/v1alpha1\nkind: Satellite\nmetadata: {name: a}\nspec: {idleTimeout: 5m}\n";
    await api.send("POST", api.satellites(), yaml, { contentType: "application/yaml" });
  }),
  scenario("create in a namespace that does not exist", async (api) => {
    await api.send("POST", "/apis/satellites.dev/v1alpha1/namespaces/nowhere/satellites", satellite("a"));
  }),
  scenario("create with a resourceVersion", (api) =>
    api.create(satellite("a", {}, { resourceVersion: "7" })),
  ),
  scenario("create ignores what only the server sets", async (api) => {
    await api.create(
      satellite("a", {}, { uid: "mine", generation: 9, creationTimestamp: "2001-01-01T00:00:00Z" }),
    );
  }),
  scenario("create as a dry run", async (api) => {
    await api.send("POST", api.satellites("?dryRun=All"), satellite("a"), {
      pick: (body) => (body as { spec: unknown }).spec,
    });
    await api.get(api.satellites("/a"));
    await api.create(satellite("a"), "?dryRun=Some");
  }),
  scenario("create with labels and annotations that are not allowed", async (api) => {
    await api.create(satellite("a", {}, { labels: { "-bad": "x" } }));
    await api.create(satellite("a", {}, { labels: { ok: "not ok!" } }));
    await api.create(satellite("a", {}, { annotations: { "bad key": "x" } }));
  }),
  scenario("read of what does not exist", async (api) => {
    await api.get(api.satellites("/none"));
    await api.get(api.satellites("/none/status"));
    await api.get(api.satellites("/none/scale"));
  }),
  scenario("read of a path that is not known", async (api) => {
    await api.send("GET", "/apis/satellites.dev/v1alpha1/nothings", undefined);
    await api.send("GET", "/apis/satellites.dev/v9/satellites", undefined);
    await api.send("GET", "/apis/nobody.dev/v1/satellites", undefined);
  }),
  scenario("method that is not known", async (api) => {
    await api.given(satellite("a"));
    await api.send("PATCH", api.satellites(), {}, { contentType: "application/merge-patch+json" });
    await api.send("POST", api.satellites("/a"), satellite("a"));
  }),
  scenario("replace with the current version", async (api) => {
    const [a] = await api.given(satellite("a"));
    await api.put(
      api.satellites("/a"),
      satellite("a", { size: "large" }, { resourceVersion: a?.resourceVersion }),
    );
  }),
  scenario("replace with an old version conflicts", async (api) => {
    const [a] = await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    await api.put(api.satellites("/a"), satellite("a", {}, { resourceVersion: a?.resourceVersion }));
  }),
  scenario("replace without a version", async (api) => {
    await api.given(satellite("a"));
    await api.put(api.satellites("/a"), satellite("a", { size: "large" }));
  }),
  scenario("replace with a version that is no number", async (api) => {
    await api.given(satellite("a"));
    await api.put(api.satellites("/a"), satellite("a", {}, { resourceVersion: "new" }));
  }),
  scenario("replace of what does not exist", async (api) => {
    await api.put(api.satellites("/a"), satellite("a"));
    await api.put(api.satellites("/a"), satellite("a", {}, { resourceVersion: "12" }));
  }),
  scenario("replace under another name", async (api) => {
    await api.given(satellite("a"));
    await api.put(api.satellites("/a"), satellite("b"));
  }),
  scenario("replace with another UID conflicts", async (api) => {
    const [a] = await api.given(satellite("a"));
    const metadata = { uid: ABSENT_UID, resourceVersion: a?.resourceVersion };
    await api.put(api.satellites("/a"), satellite("a", {}, metadata));
  }),
  scenario("replace leaves status alone", async (api) => {
    await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a/status"), { status: { phase: "Running" } });
    const read = await api.get(api.satellites("/a"));
    const { resourceVersion } = identityOf(read);
    await api.put(api.satellites("/a"), {
      ...satellite("a", { size: "s" }, { resourceVersion }),
      status: { phase: "Failed" },
    });
  }),
  scenario("generation counts changes of spec only", async (api) => {
    await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { metadata: { labels: { a: "b" } } });
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    await api.mergePatch(api.satellites("/a/status"), { status: { phase: "Running" } });
  }),
  scenario("a write that changes nothing moves no version", async (api) => {
    await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    await api.jsonPatch(api.satellites("/a"), []);
  }),
  scenario("delete", async (api) => {
    await api.given(satellite("a"));
    await api.delete(api.satellites("/a"));
    await api.get(api.satellites("/a"));
    await api.delete(api.satellites("/a"));
  }),
  scenario("delete with a UID precondition", async (api) => {
    const [a] = await api.given(satellite("a"));
    await api.delete(api.satellites("/a"), { preconditions: { uid: ABSENT_UID } });
    await api.delete(api.satellites("/a"), { preconditions: { uid: a?.uid } });
  }),
  scenario("delete with a version precondition", async (api) => {
    const [a] = await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { spec: { size: "s" } });
    await api.delete(api.satellites("/a"), { preconditions: { resourceVersion: a?.resourceVersion } });
  }),
  scenario("delete with a finalizer waits for its removal", async (api) => {
    await api.given(satellite("a", {}, { finalizers: [FINALIZER] }));
    await api.delete(api.satellites("/a"));
    await api.delete(api.satellites("/a"));
    await api.get(api.satellites("/a"));
    await api.jsonPatch(api.satellites("/a"), [{ op: "remove", path: "/metadata/finalizers" }]);
    await api.get(api.satellites("/a"));
  }),
  scenario("a finalizer cannot be added to what is being deleted", async (api) => {
    await api.given(satellite("a", {}, { finalizers: [FINALIZER] }));
    await api.delete(api.satellites("/a"));
    await api.mergePatch(api.satellites("/a"), {
      metadata: { finalizers: [FINALIZER, "satellites.dev/more"] },
    });
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    await api.mergePatch(api.satellites("/a/status"), { status: { phase: "Deleting" } });
    await api.mergePatch(api.satellites("/a"), { metadata: { finalizers: null } });
  }),
  scenario("a finalizer needs a qualified name", (api) =>
    api.create(satellite("a", {}, { finalizers: ["not qualified!"] })),
  ),
  scenario("delete of a collection", async (api) => {
    await api.given(satellite("a", {}, { labels: { x: "1" } }), satellite("b"));
    await api.send("DELETE", api.satellites("?labelSelector=x%3D1"));
    await api.get(api.satellites());
  }),
  scenario("delete as a dry run", async (api) => {
    await api.given(satellite("a"));
    await api.send("DELETE", api.satellites("/a?dryRun=All"));
    await api.get(api.satellites("/a"));
  }),
];
