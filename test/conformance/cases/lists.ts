import { identityOf, satellite, scenario, type Scenario, type ScenarioApi } from "../scenario.ts";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

const giveFive = (api: ScenarioApi): Promise<unknown> =>
  api.given(
    satellite("a", {}, { labels: { team: "x", tier: "1" } }),
    satellite("b", {}, { labels: { team: "x" } }),
    satellite("c", {}, { labels: { team: "y" } }),
    satellite("d"),
    satellite("e", {}, { labels: { team: "y", tier: "1" } }),
  );

const namesOf = (body: unknown): unknown =>
  (body as { items?: { metadata: { name: string } }[] }).items?.map(({ metadata }) => metadata.name) ?? body;

function selectorCase(kind: "labelSelector" | "fieldSelector", selector: string): Scenario {
  return scenario(`list with ${kind} ${selector}`, async (api) => {
    await giveFive(api);
    const query = `?${kind}=${encodeURIComponent(selector.replace("NAMESPACE", api.namespace))}`;
    await api.send("GET", api.satellites(query), undefined, { pick: namesOf });
  });
}

const continueOf = (body: unknown): string =>
  (body as { metadata: { continue?: string } }).metadata.continue ?? "";

/** Lists: selectors, pages, versions, and the forms that kubectl asks for. */
export const LIST_SCENARIOS: readonly Scenario[] = [
  scenario("list of nothing", (api) => api.get(api.satellites())),
  scenario("list", async (api) => {
    await api.given(satellite("b"), satellite("a"));
    await api.get(api.satellites());
  }),
  scenario("list over a namespace that does not exist", async (api) => {
    await api.get("/apis/satellites.dev/v1alpha1/namespaces/nowhere/satellites");
  }),
  ...[
    "team=x",
    "team==x",
    "team!=x",
    "team in (x,y)",
    "team notin (x)",
    "team",
    "!team",
    "team=x,tier=1",
    "team=x,!tier",
    "team in (x",
    "=x",
    "team=not ok!",
    "tier>0",
  ].map((selector) => selectorCase("labelSelector", selector)),
  ...[
    "metadata.name=a",
    "metadata.name!=a",
    "metadata.namespace=NAMESPACE",
    "metadata.name=a,metadata.namespace=elsewhere",
    "spec.size=large",
    "metadata.name in (a)",
  ].map((selector) => selectorCase("fieldSelector", selector)),
  scenario("list in pages", async (api) => {
    await giveFive(api);
    const first = await api.get(api.satellites("?limit=2"));
    const second = await api.get(api.satellites(`?limit=2&continue=${continueOf(first.body)}`));
    await api.get(api.satellites(`?limit=2&continue=${continueOf(second.body)}`));
  }),
  scenario("list in pages with a selector", async (api) => {
    await giveFive(api);
    const first = await api.get(api.satellites("?limit=1&labelSelector=team%3Dy"));
    await api.get(api.satellites(`?limit=1&labelSelector=team%3Dy&continue=${continueOf(first.body)}`));
  }),
  scenario("later pages show the state of the first one", async (api) => {
    await giveFive(api);
    const first = await api.get(api.satellites("?limit=2"));
    await api.delete(api.satellites("/d"));
    await api.given(satellite("ca"));
    await api.get(api.satellites(`?continue=${continueOf(first.body)}`));
  }),
  scenario("list with a limit that is none", async (api) => {
    await giveFive(api);
    await api.send("GET", api.satellites("?limit=x"), undefined);
    await api.send("GET", api.satellites("?limit=-1"), undefined, { pick: namesOf });
    await api.send("GET", api.satellites("?limit=0"), undefined, { pick: namesOf });
  }),
  scenario("list with a token that is none", (api) => api.get(api.satellites("?continue=nonsense"))),
  scenario("list at a version", async (api) => {
    await api.given(satellite("a"));
    await api.get(api.satellites("?resourceVersion=0&resourceVersionMatch=NotOlderThan"));
    const version = await api.version();
    await api.given(satellite("b"));
    await api.get(api.satellites(`?resourceVersion=${version}&resourceVersionMatch=Exact`));
    await api.get(api.satellites("?resourceVersionMatch=Exact"));
    await api.get(api.satellites("?resourceVersion=x"));
  }),
  scenario("list of all namespaces by name", async (api) => {
    await api.given(satellite(`only-${api.namespace}`));
    await api.get(
      `/apis/satellites.dev/v1alpha1/satellites?fieldSelector=metadata.name%3Donly-${api.namespace}`,
    );
  }),
  scenario("Table of a list", async (api) => {
    await api.given(satellite("a", { size: "large" }), satellite("b", { desiredPower: "off" }));
    await api.mergePatch(api.satellites("/a/status"), {
      status: { phase: "Running", machine: { id: "i-1", size: "large", type: "m7i.large" } },
    });
    await api.get(api.satellites(), { accept: TABLE });
  }),
  scenario("Table of one object", async (api) => {
    await api.given(satellite("a"));
    await api.get(api.satellites("/a"), { accept: TABLE });
    await api.get(api.satellites("/a?includeObject=Object"), { accept: TABLE });
    await api.get(api.satellites("/a?includeObject=None"), { accept: TABLE });
    await api.get(api.satellites("/none"), { accept: TABLE });
  }),
  scenario("Table of nothing", (api) => api.get(api.satellites(), { accept: TABLE })),
  scenario("metadata only", async (api) => {
    await api.given(satellite("a"));
    await api.get(api.satellites(), { accept: METADATA_LIST });
  }),
  scenario("accept that nobody can serve", async (api) => {
    // The refusal itself may come as protobuf, so only its status compares.
    const pick = (): string => "refused";
    await api.send("GET", api.satellites(), undefined, { accept: "text/html", pick });
    await api.send("GET", api.satellites(), undefined, {
      accept: "application/vnd.kubernetes.protobuf",
      pick,
    });
  }),
  scenario("accept of protobuf or else JSON", (api) =>
    api.get(api.satellites(), { accept: "application/vnd.kubernetes.protobuf,application/json" }),
  ),
  scenario("pages of a history that is forgotten", async (api) => {
    await giveFive(api);
    const first = await api.get(api.satellites("?limit=2"));
    const { resourceVersion } = identityOf(first);
    await api.given(satellite("f"));
    await api.server.forgetHistory();
    await api.get(api.satellites(`?limit=2&continue=${continueOf(first.body)}`));
    await api.get(api.satellites(`?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`));
    await api.watch(api.satellites(`?watch=1&resourceVersion=${resourceVersion}`), 1);
  }),
];
