import { satellite, scenario, type Scenario } from "../scenario.ts";

const COORDINATION = "/apis/coordination.k8s.io/v1";
const TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";

const lease = (name: string, spec: object, metadata: object = {}): object => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: { name, ...metadata },
  spec,
});

interface Named {
  readonly name: string;
}

interface DiscoveredResource extends Named {
  readonly verbs: readonly string[];
  readonly storageVersionHash?: string;
}

/** Names of the properties of our kinds in an OpenAPI document, by schema. */
function ourSchemas(body: unknown): unknown {
  const { schemas } = (body as OpenApi).components;
  const ours = Object.entries(schemas).filter(([name]) => name.startsWith("dev.satellites."));
  return Object.fromEntries(
    ours.map(([name, schema]) => [
      name,
      {
        kinds: schema["x-kubernetes-group-version-kind"],
        properties: Object.keys(schema.properties ?? {}).toSorted(),
      },
    ]),
  );
}

interface OpenApi {
  readonly components: {
    readonly schemas: Readonly<
      Record<string, { readonly properties?: object; readonly "x-kubernetes-group-version-kind"?: unknown }>
    >;
  };
}

/** What of a discovery document concerns this product. */
const ourGroup = (body: unknown): unknown =>
  (body as { groups?: Named[] }).groups?.filter(({ name }) => name === "satellites.dev");

/** Discovery without what each server chooses: the order of resources and verbs, and the storage's hash. */
const ourResources = (body: unknown): DiscoveredResource[] =>
  ((body as { resources?: DiscoveredResource[] }).resources ?? [])
    .map(({ storageVersionHash: _chosen, verbs, ...resource }) => ({ ...resource, verbs: verbs.toSorted() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

const resourcesNamed =
  (...names: readonly string[]) =>
  (body: unknown): unknown =>
    ourResources(body).filter(({ name }) => names.includes(name));

/** Kinds beside our own that the product uses, and discovery. */
export const BUILTIN_SCENARIOS: readonly Scenario[] = [
  scenario("discovery of groups", async (api) => {
    await api.send("GET", "/apis", undefined, { pick: ourGroup });
    await api.send("GET", "/apis/satellites.dev", undefined);
    await api.send("GET", "/api", undefined, { pick: (body) => (body as { versions: unknown }).versions });
  }),
  scenario("discovery of our resources", async (api) => {
    await api.send("GET", "/apis/satellites.dev/v1alpha1", undefined, { pick: ourResources });
  }),
  scenario("discovery of leases", async (api) => {
    await api.send("GET", COORDINATION, undefined, { pick: resourcesNamed("leases") });
  }),
  scenario("discovery of the core resources that we use", async (api) => {
    await api.send("GET", "/api/v1", undefined, { pick: resourcesNamed("secrets", "configmaps") });
    await api.send("GET", "/api/v1", undefined, { pick: resourcesNamed("events", "namespaces") });
  }),
  scenario("discovery of reviews", async (api) => {
    await api.send("GET", "/apis/authentication.k8s.io/v1", undefined, {
      pick: resourcesNamed("tokenreviews"),
    });
    await api.send("GET", "/apis/authorization.k8s.io/v1", undefined, {
      pick: resourcesNamed("subjectaccessreviews", "selfsubjectaccessreviews"),
    });
  }),
  scenario("OpenAPI v3 lists our group", async (api) => {
    await api.send("GET", "/openapi/v3", undefined, {
      pick: (body) =>
        Object.keys((body as { paths: object }).paths).filter((path) => path.includes("satellites.dev")),
    });
  }),
  scenario("OpenAPI v3 describes our kinds", async (api) => {
    await api.send("GET", "/openapi/v3/apis/satellites.dev/v1alpha1", undefined, { pick: ourSchemas });
  }),
  scenario("health", async (api) => {
    await api.send("GET", "/readyz", undefined);
    await api.send("GET", "/livez", undefined);
    await api.send("GET", "/healthz", undefined);
  }),
  scenario("version", async (api) => {
    await api.send("GET", "/version", undefined, { pick: (body) => (body as { major: string }).major });
  }),
  scenario("Lease: leader election", async (api) => {
    const spec = {
      holderIdentity: "a",
      leaseDurationSeconds: 15,
      acquireTime: "2026-01-01T00:00:00.000000Z",
      renewTime: "2026-01-01T00:00:00.000000Z",
      leaseTransitions: 0,
    };
    const path = api.path(COORDINATION, "leases");
    const created = await api.send("POST", path, lease("leader", spec));
    const { resourceVersion } = (created.body as { metadata: { resourceVersion: string } }).metadata;
    const renewed = { ...spec, renewTime: "2026-01-01T00:00:05.123456Z" };
    await api.send("PUT", `${path}/leader`, lease("leader", renewed, { resourceVersion }));
    await api.send(
      "PUT",
      `${path}/leader`,
      lease("leader", { ...spec, holderIdentity: "b" }, { resourceVersion }),
    );
    await api.get(`${path}/leader`);
  }),
  scenario("Lease: times are written in microseconds", async (api) => {
    const path = api.path(COORDINATION, "leases");
    await api.send("POST", path, lease("a", { renewTime: "2026-01-01T00:00:00Z" }));
    await api.send("POST", path, lease("b", { renewTime: "yesterday" }));
  }),
  scenario("Lease: what is not valid", async (api) => {
    const path = api.path(COORDINATION, "leases");
    await api.send("POST", path, lease("a", { leaseDurationSeconds: 0 }));
    await api.send("POST", path, lease("a", { leaseTransitions: -1 }));
    await api.send("POST", path, lease("a", { leaseDurationSeconds: "15" }));
    await api.send("POST", path, lease("a", { unknown: 1 }));
  }),
  scenario("Event", async (api) => {
    await api.send("POST", api.path("/api/v1", "events"), {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: "a.1" },
      involvedObject: { kind: "Satellite", name: "a", namespace: api.namespace },
      reason: "Waking",
      message: "for a request",
      type: "Normal",
      source: { component: "satellites-operator" },
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:00:00Z",
      count: 1,
    });
    await api.mergePatch(api.path("/api/v1", "events", "/a.1"), { count: 2 });
    const query = "?fieldSelector=involvedObject.name%3Da%2CinvolvedObject.kind%3DSatellite";
    await api.get(api.path("/api/v1", "events", query));
    await api.get(api.path("/api/v1", "events", "?fieldSelector=reason%3DOther"));
  }),
  scenario("Event in another namespace than its object", async (api) => {
    await api.send("POST", api.path("/api/v1", "events"), {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: "a.1" },
      involvedObject: { kind: "Satellite", name: "a", namespace: "elsewhere" },
    });
  }),
  scenario("Event of the newer group", async (api) => {
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "a.1" },
      regarding: { kind: "Satellite", name: "a", namespace: api.namespace },
      reason: "Waking",
      note: "for a request",
      action: "Wake",
      type: "Normal",
      eventTime: "2026-01-01T00:00:00.000000Z",
      reportingController: "satellites.dev/operator",
      reportingInstance: "operator-0",
    };
    await api.send("POST", api.path("/apis/events.k8s.io/v1", "events"), event);
    await api.get(api.path("/api/v1", "events", "/a.1"));
    await api.send("POST", api.path("/apis/events.k8s.io/v1", "events"), {
      ...event,
      metadata: { name: "a.2" },
      eventTime: undefined,
    });
  }),
  scenario("Secret: stringData becomes data", async (api) => {
    const path = api.path("/api/v1", "secrets");
    await api.send("POST", path, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "a" },
      stringData: { userData: "#!/bin/sh" },
    });
    await api.get(`${path}/a`);
    await api.get(path, { accept: TABLE });
    await api.send("POST", path, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "b" },
      data: { a: "%" },
    });
    await api.mergePatch(`${path}/a`, { type: "other" });
  }),
  scenario("ConfigMap", async (api) => {
    const path = api.path("/api/v1", "configmaps");
    await api.send("POST", path, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a" },
      data: { a: "1" },
    });
    await api.mergePatch(`${path}/a`, { data: { b: "2", a: null } });
    await api.send(
      "PATCH",
      `${path}/a`,
      { data: { c: "3" } },
      {
        contentType: "application/strategic-merge-patch+json",
      },
    );
    await api.send("POST", path, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "b" },
      data: { a: 1 },
    });
    await api.send("POST", path, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "c" },
      data: { "a b": "" },
    });
    await api.delete(`${path}/a`);
  }),
  scenario("Namespace", async (api) => {
    await api.get(`/api/v1/namespaces/${api.namespace}`);
    await api.send("POST", "/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "Bad" },
    });
    await api.get("/api/v1/namespaces/nowhere");
  }),
  scenario("Namespace: nothing is created in one that is being deleted", async (api) => {
    await api.given(satellite("a", {}, { finalizers: ["satellites.dev/test"] }));
    await api.send("DELETE", `/api/v1/namespaces/${api.namespace}`, undefined, {
      pick: (body) => (body as { status?: { phase?: string } }).status?.phase,
    });
    await api.create(satellite("b"));
    await api.mergePatch(api.satellites("/a"), { metadata: { finalizers: null } });
  }),
  scenario("CustomResourceDefinition is read", async (api) => {
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    await api.send("GET", `${path}/satellites.satellites.dev`, undefined, {
      pick: (body) => (body as { spec: { names: unknown } }).spec.names,
    });
    await api.get(`${path}/nothings.satellites.dev`);
  }),
  scenario("TokenReview of a token that nobody knows", async (api) => {
    const review = (spec: object): object => ({
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec,
    });
    const pick = (body: unknown): unknown => {
      const { status } = body as { status?: { authenticated?: boolean; error?: string } };
      return { authenticated: status?.authenticated ?? false, explained: status?.error !== undefined };
    };
    await api.send("POST", TOKEN_REVIEWS, review({ token: "nobody's" }), { pick });
    await api.send("POST", TOKEN_REVIEWS, review({}));
  }),
  scenario("SubjectAccessReview of a member of system:masters", async (api) => {
    const review = (spec: object): object => ({
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec,
    });
    const resourceAttributes = {
      namespace: api.namespace,
      verb: "use",
      group: "satellites.dev",
      resource: "satellites",
    };
    const pick = (body: unknown): unknown => (body as { status: { allowed: boolean } }).status.allowed;
    await api.send(
      "POST",
      ACCESS_REVIEWS,
      review({ user: "a", groups: ["system:masters"], resourceAttributes }),
      { pick },
    );
    await api.send("POST", ACCESS_REVIEWS, review({ user: "a" }));
    await api.send("POST", ACCESS_REVIEWS, review({ resourceAttributes }));
  }),
];
