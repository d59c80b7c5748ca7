import { expect } from "chai";
import type { JsonObject } from "../../../src/local/kubernetes/json.ts";
import { asString, valueAt } from "../../../src/local/kubernetes/json.ts";
import { causes, PROBES, resourceVersion, TestApi } from "./support.ts";

const names = (list: JsonObject): string[] =>
  (list["items"] as JsonObject[]).map((item) => asString(valueAt(item, "metadata", "name")));

describe("lists", () => {
  let api: TestApi;
  beforeEach(() => {
    api = new TestApi();
    for (const name of ["e", "c", "a", "d", "b"]) {
      api.create(name, { mode: name < "c" ? "a" : "b" }, { labels: { name } });
    }
  });
  const list = (query: string): ReturnType<TestApi["call"]> => api.call("GET", `${PROBES}?${query}`);
  const continueOf = (body: JsonObject): string => asString(valueAt(body, "metadata", "continue"));

  it("come in order of their keys, with the store's resourceVersion", () => {
    const { body } = list("");
    expect(names(body)).to.deep.equal(["a", "b", "c", "d", "e"]);
    expect(resourceVersion(body)).to.equal(api.server.store.revision);
  });

  it("show one state over all pages, whatever happens in between", () => {
    const first = list("limit=2").body;
    expect(names(first)).to.deep.equal(["a", "b"]);
    expect(valueAt(first, "metadata", "remainingItemCount")).to.equal(3);
    api.call("DELETE", `${PROBES}/c`);
    api.create("bb");
    const second = list(`limit=2&continue=${continueOf(first)}`).body;
    expect(names(second)).to.deep.equal(["c", "d"]);
    expect(resourceVersion(second)).to.equal(resourceVersion(first));
    const third = list(`limit=2&continue=${continueOf(second)}`).body;
    expect(names(third)).to.deep.equal(["e"]);
    expect(valueAt(third, "metadata", "continue")).to.equal("");
  });

  it("answer 410 with a token to go on with when the state is compacted", () => {
    const first = list("limit=2").body;
    api.create("bb");
    api.server.store.compact();
    const { status, body } = list(`limit=2&continue=${continueOf(first)}`);
    expect([status, body["reason"]]).to.deep.equal([410, "Expired"]);
    expect(names(list(`continue=${continueOf(body)}`).body)).to.deep.equal(["bb", "c", "d", "e"]);
  });

  it("answer for an exact resourceVersion, 410 for one too old, 504 for one to come", () => {
    const { revision } = api.server.store;
    api.create("f");
    expect(names(list(`resourceVersion=${revision}&resourceVersionMatch=Exact`).body)).to.not.include("f");
    expect(names(list(`resourceVersion=${revision}&resourceVersionMatch=NotOlderThan`).body)).to.include("f");
    api.server.store.compact();
    expect(list(`resourceVersion=${revision}&resourceVersionMatch=Exact`).status).to.equal(410);
    const future = list("resourceVersion=99999");
    expect([future.status, future.body["reason"], causes(future.body)]).to.deep.equal([
      504,
      "Timeout",
      ["ResourceVersionTooLarge "],
    ]);
  });

  it("select by fields: name, namespace and those that the CRD declares", () => {
    expect(names(list("fieldSelector=metadata.name%3Dc").body)).to.deep.equal(["c"]);
    expect(names(list("fieldSelector=spec.mode%3Da,metadata.name!%3Da").body)).to.deep.equal(["b"]);
    expect(list("fieldSelector=spec.count%3D0").status).to.equal(400);
  });

  it("refuse options that make no sense", () => {
    expect(list("resourceVersionMatch=Exact").status).to.equal(422);
    expect(list("continue=nonsense").status).to.equal(400);
    expect(list("limit=many").status).to.equal(400);
    expect(list("labelSelector=a%20b").status).to.equal(400);
  });
});
