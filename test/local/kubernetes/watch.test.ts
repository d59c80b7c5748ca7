import { expect } from "chai";
import { valueAt } from "../../../src/local/kubernetes/json.ts";
import { PROBES, resourceVersion, summary, TestApi } from "./support.ts";

describe("watch", () => {
  let api: TestApi;
  beforeEach(() => {
    api = new TestApi({ bookmarkIntervalMs: 10_000 });
  });

  it("goes on after a resourceVersion: history first, then what happens", () => {
    api.create("a");
    const { revision } = api.server.store;
    api.create("b");
    const { lines } = api.watch(`resourceVersion=${revision}`);
    api.mergePatch("b", { spec: { count: 1 } });
    api.call("DELETE", `${PROBES}/a`);
    expect(summary(lines)).to.deep.equal(["ADDED b", "MODIFIED b", "DELETED a"]);
    const versions = lines.map(({ object }) => resourceVersion(object));
    expect(versions).to.deep.equal([revision + 1, revision + 2, revision + 3]);
  });

  it("begins with all objects when no resourceVersion is given", () => {
    api.create("b");
    api.create("a");
    expect(summary(api.watch("").lines)).to.deep.equal(["ADDED a", "ADDED b"]);
    expect(summary(api.watch("resourceVersion=0").lines)).to.deep.equal(["ADDED a", "ADDED b"]);
  });

  it("sends only what comes after a resourceVersion that is still to come", () => {
    const { lines } = api.watch(`resourceVersion=${api.server.store.revision + 1}`);
    api.create("a");
    api.create("b");
    expect(summary(lines)).to.deep.equal(["ADDED b"]);
  });

  it("sends nothing of writes that change nothing", () => {
    api.create("a");
    api.mergePatch("a", {});
    const { lines } = api.watch(`resourceVersion=${api.server.store.revision}`);
    api.mergePatch("a", {});
    expect(lines).to.deep.equal([]);
  });

  it("adds and deletes objects as they begin and cease to match its selector", () => {
    const { lines } = api.watch(`labelSelector=x%3D1&resourceVersion=${api.server.store.revision}`);
    api.create("a", {}, { labels: { x: "1" } });
    api.mergePatch("a", { metadata: { labels: { x: "2" } } });
    api.mergePatch("a", { metadata: { labels: { x: "1" } } });
    api.call("DELETE", `${PROBES}/a`);
    expect(summary(lines)).to.deep.equal(["ADDED a", "DELETED a", "ADDED a", "DELETED a"]);
    expect(valueAt(lines[1]!.object, "metadata", "labels", "x"), "the last matching state").to.equal("1");
  });

  it("keeps to its namespace and its kind", () => {
    const { lines } = api.watch(`resourceVersion=${api.server.store.revision}`);
    api.call("POST", PROBES.replace("default", "kube-system"), {
      apiVersion: "example.dev/v1",
      kind: "Probe",
      metadata: { name: "x" },
    });
    api.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "x" } });
    expect(lines).to.deep.equal([]);
  });

  it("answers a compacted resourceVersion with one ERROR of 410 Expired", () => {
    const { revision } = api.server.store;
    api.create("a");
    api.server.store.compact();
    const { lines, isOver } = api.watch(`resourceVersion=${revision}`);
    expect(lines.map(({ type, object }) => [type, object["code"], object["reason"]])).to.deep.equal([
      ["ERROR", 410, "Expired"],
    ]);
    expect(isOver()).to.equal(true);
  });

  it("sends bookmarks in quiet times and before its end, to those who asked", async () => {
    const asked = api.watch(
      `allowWatchBookmarks=true&timeoutSeconds=25&resourceVersion=${api.server.store.revision}`,
    );
    const other = api.watch(`timeoutSeconds=25&resourceVersion=${api.server.store.revision}`);
    api.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "elsewhere" } });
    await api.clock.advance(10_000);
    expect(summary(asked.lines)).to.deep.equal(["BOOKMARK"]);
    expect(resourceVersion(asked.lines[0]!.object)).to.equal(api.server.store.revision);
    await api.clock.advance(15_000);
    expect(summary(asked.lines)).to.deep.equal(["BOOKMARK", "BOOKMARK", "BOOKMARK"]);
    expect([asked.isOver(), other.isOver(), other.lines.length]).to.deep.equal([true, true, 0]);
    expect(api.clock.pendingTimers).to.equal(0);
  });

  it("marks the end of the initial events when asked", () => {
    api.create("a");
    const { lines } = api.watch(
      "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    );
    expect(summary(lines)).to.deep.equal(["ADDED a", "BOOKMARK"]);
    expect(valueAt(lines[1]!.object, "metadata", "annotations")).to.deep.equal({
      "k8s.io/initial-events-end": "true",
    });
  });

  it("leaves no timer and no listener behind when its client goes", () => {
    const { lines, stop } = api.watch("allowWatchBookmarks=true");
    stop();
    api.create("a");
    expect([lines.length, api.clock.pendingTimers]).to.deep.equal([0, 0]);
  });
});
