import { satellite, scenario, type Scenario } from "../scenario.ts";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";

/** Watches: order, resumption, selectors, bookmarks, ends. */
export const WATCH_SCENARIOS: readonly Scenario[] = [
  scenario("watch tells of create, change and delete", async (api) => {
    const version = await api.version();
    await api.watch(api.satellites(`?watch=1&resourceVersion=${version}`), 3, async () => {
      await api.given(satellite("a"));
      await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
      await api.delete(api.satellites("/a"));
    });
  }),
  scenario("watch resumes after a version", async (api) => {
    const [a] = await api.given(satellite("a"));
    await api.given(satellite("b"), satellite("c"));
    await api.watch(api.satellites(`?watch=1&resourceVersion=${a?.resourceVersion}`), 2);
  }),
  scenario("watch without a version begins with what is there", async (api) => {
    await api.given(satellite("b"), satellite("a"));
    await api.watch(api.satellites("?watch=1"), 3, () => api.given(satellite("c")));
  }),
  scenario("watch from version 0", async (api) => {
    await api.given(satellite("a"));
    await api.watch(api.satellites("?watch=true&resourceVersion=0"), 1);
  }),
  scenario("watch tells nothing of a write that changes nothing", async (api) => {
    await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
    const version = await api.version();
    await api.watch(api.satellites(`?watch=1&resourceVersion=${version}`), 1, async () => {
      await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
      await api.mergePatch(api.satellites("/a"), { spec: { size: "small" } });
    });
  }),
  scenario("watch with a label selector turns changes into ADDED and DELETED", async (api) => {
    const version = await api.version();
    await api.watch(
      api.satellites(`?watch=1&labelSelector=on%3Dyes&resourceVersion=${version}`),
      3,
      async () => {
        await api.given(satellite("a"));
        await api.mergePatch(api.satellites("/a"), { metadata: { labels: { on: "yes" } } });
        await api.mergePatch(api.satellites("/a"), { spec: { size: "large" } });
        await api.mergePatch(api.satellites("/a"), { metadata: { labels: { on: "no" } } });
      },
    );
  }),
  scenario("watch of one name", async (api) => {
    const version = await api.version();
    const query = `?watch=1&fieldSelector=metadata.name%3Db&resourceVersion=${version}`;
    await api.watch(api.satellites(query), 1, () => api.given(satellite("a"), satellite("b")));
  }),
  scenario("watch of a deletion that waits for a finalizer", async (api) => {
    await api.given(satellite("a", {}, { finalizers: ["satellites.dev/test"] }));
    const version = await api.version();
    await api.watch(api.satellites(`?watch=1&resourceVersion=${version}`), 2, async () => {
      await api.delete(api.satellites("/a"));
      await api.mergePatch(api.satellites("/a"), { metadata: { finalizers: null } });
    });
  }),
  scenario("watch ends after timeoutSeconds", async (api) => {
    await api.given(satellite("a"));
    await api.watch(api.satellites("?watch=1&timeoutSeconds=1"), "all");
  }),
  scenario("watch gets a bookmark before it ends, of a version that it told nothing of", async (api) => {
    const version = await api.version();
    const query = `?watch=1&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dnone&timeoutSeconds=5`;
    await api.watch(api.satellites(`${query}&resourceVersion=${version}`), "all", () =>
      api.given(satellite("a")),
    );
  }),
  scenario("watch gets no bookmark when no version moved", async (api) => {
    const [a] = await api.given(satellite("a"));
    const query = `?watch=1&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion=${a?.resourceVersion}`;
    await api.watch(api.satellites(query), "all");
  }),
  scenario("watch with initial events ends them with an annotated bookmark", async (api) => {
    await api.given(satellite("a"), satellite("b"));
    const query =
      "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    await api.watch(api.satellites(query), 3);
  }),
  scenario("watch with initial events needs its other options", async (api) => {
    await api.send("GET", api.satellites("?watch=1&sendInitialEvents=true"), undefined);
    await api.send(
      "GET",
      api.satellites("?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
      undefined,
    );
  }),
  scenario("watch from too old a version", (api) =>
    api.watch(api.satellites("?watch=1&resourceVersion=1"), 1),
  ),
  scenario("watch from a version that is none", async (api) => {
    await api.send("GET", api.satellites("?watch=1&resourceVersion=x"), undefined);
  }),
  scenario("watch as a Table", async (api) => {
    await api.given(satellite("a"));
    const watch = await api.server.admin.watch(api.satellites("?watch=1"), { accept: TABLE });
    const event = await watch.next();
    await watch.close();
    await api.send("GET", api.satellites("/a"), undefined, { pick: () => event });
  }),
  scenario("watch in the old path form", async (api) => {
    await api.given(satellite("a"));
    await api.watch(
      `/apis/satellites.dev/v1alpha1/watch/namespaces/${api.namespace}/satellites?timeoutSeconds=1`,
      "all",
    );
  }),
];
