import { expect } from "chai";
import { ageOf, humanDuration } from "../../../src/local/kubernetes/human-duration.ts";
import type { JsonObject } from "../../../src/local/kubernetes/json.ts";
import { valueAt } from "../../../src/local/kubernetes/json.ts";
import { PROBES, TestApi, TOKEN } from "./support.ts";

const TABLE = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" };

describe("tables", () => {
  it("carry the CRD's columns, with ages for dates and null for what is not there", async () => {
    const api = new TestApi();
    api.create("a");
    const status = { seen: "2026-01-01T00:00:00Z", conditions: [{ type: "Ready", status: "True" }] };
    api.mergePatch("a", { status }, "/status");
    api.create("b");
    await api.clock.advance(200_000);
    const { body } = api.call("GET", PROBES, undefined, TABLE);
    const columns = body["columnDefinitions"] as JsonObject[];
    expect(columns.map(({ name, type, priority }) => [name, type, priority])).to.deep.equal([
      ["Name", "string", 0],
      ["Mode", "string", 0],
      ["Ready", "string", 0],
      ["Seen", "date", 0],
      ["Count", "integer", 1],
    ]);
    const rows = body["rows"] as JsonObject[];
    expect(rows.map(({ cells }) => cells)).to.deep.equal([
      ["a", "a", "True", "3m20s", 0],
      ["b", "a", null, null, 0],
    ]);
    expect(valueAt(rows[0], "object", "kind")).to.equal("PartialObjectMetadata");
  });

  it("come in watches too", () => {
    const api = new TestApi();
    api.create("a");
    const response = api.server.handle({
      method: "GET",
      path: PROBES,
      query: new URLSearchParams("watch=true"),
      headers: { authorization: `Bearer ${TOKEN}`, ...TABLE },
      body: "",
    });
    const lines: string[] = [];
    if (typeof response.body === "string" || response.body instanceof Uint8Array) {
      throw new Error("not a watch");
    }
    response.body.start({ write: (line) => void lines.push(line), end: () => {} })();
    const [first] = lines.map((line) => JSON.parse(line) as JsonObject);
    expect([first!["type"], valueAt(first, "object", "kind")]).to.deep.equal(["ADDED", "Table"]);
  });
});

describe("other representations", () => {
  it("give metadata alone, and 406 for what nobody can give", () => {
    const api = new TestApi();
    api.create("a");
    const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    const { body } = api.call("GET", `${PROBES}/a`, undefined, { accept });
    expect(Object.keys(body)).to.have.members(["kind", "apiVersion", "metadata"]);
    expect(api.call("GET", `${PROBES}/a`, undefined, { accept: "text/html" }).status).to.equal(406);
  });
});

describe("humanDuration", () => {
  // The steps of apimachinery's duration.HumanDuration.
  const cases: readonly [number, string][] = [
    [-5, "<invalid>"],
    [0, "0s"],
    [119, "119s"],
    [120, "2m"],
    [150, "2m30s"],
    [600, "10m"],
    [10_799, "179m"],
    [10_800, "3h"],
    [12_000, "3h20m"],
    [28_800, "8h"],
    [172_800, "2d"],
    [180_000, "2d2h"],
    [691_200, "8d"],
    [63_072_000, "2y"],
    [63_158_400, "2y1d"],
    [252_288_000, "8y"],
  ];
  for (const [seconds, text] of cases) {
    it(`writes ${seconds} s as ${text}`, () => {
      expect(humanDuration(seconds * 1000)).to.equal(text);
    });
  }

  it("says so when there is no time", () => {
    expect(ageOf("", new Date())).to.equal("<unknown>");
  });
});
