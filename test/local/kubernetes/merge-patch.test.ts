import { expect } from "chai";
import * as fc from "fast-check";
import { isObject, type JsonObject, type JsonValue } from "../../../src/local/kubernetes/json.ts";
import { applyMergePatch } from "../../../src/local/kubernetes/merge-patch.ts";
import { applyStrategicMergePatch } from "../../../src/local/kubernetes/strategic-merge-patch.ts";

/** Paths to scalars and lists, the leaves to which a merge patch is a list of assignments. */
function leaves(value: JsonValue, path: readonly string[] = []): Map<string, JsonValue> {
  if (!isObject(value)) {
    return new Map([[JSON.stringify(path), value]]);
  }
  return new Map(Object.entries(value).flatMap(([key, child]) => [...leaves(child, [...path, key])]));
}

const nested = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, fc.integer(), fc.array(fc.integer(), { maxLength: 2 }), tie("object")),
  object: fc.dictionary(fc.constantFrom("a", "b", "c"), tie("value")),
})).object;

describe("JSON merge patch", () => {
  // The examples of RFC 7386, appendix A.
  const examples: readonly [JsonValue, JsonValue, JsonValue][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of examples) {
    it(`turns ${JSON.stringify(target)} with ${JSON.stringify(patch)} into ${JSON.stringify(result)}`, () => {
      expect(applyMergePatch(target, patch)).to.deep.equal(result);
    });
  }

  it("is idempotent", () => {
    fc.assert(
      fc.property(nested, nested, (target, patch) => {
        const once = applyMergePatch(target, patch);
        expect(applyMergePatch(once, patch)).to.deep.equal(once);
      }),
    );
  });

  it("leaves every leaf of the patch in the result", () => {
    fc.assert(
      fc.property(nested, nested, (target, patch) => {
        const result = leaves(applyMergePatch(target, patch));
        for (const [path, value] of leaves(patch)) {
          expect(result.get(path)).to.deep.equal(value);
        }
      }),
    );
  });
});

describe("strategic merge patch", () => {
  it("merges finalizers as a set, and owners by UID", () => {
    const target = { metadata: { finalizers: ["a"], ownerReferences: [{ uid: "1", name: "x" }] } };
    const patch = {
      metadata: { finalizers: ["b"], ownerReferences: [{ uid: "1", name: "y" }, { uid: "2" }] },
    };
    expect(applyStrategicMergePatch(target, patch)).to.deep.equal({
      metadata: { finalizers: ["a", "b"], ownerReferences: [{ uid: "1", name: "y" }, { uid: "2" }] },
    });
  });

  it("follows the directives that kubectl writes", () => {
    const target = { data: { a: "1", b: "2" }, metadata: { finalizers: ["x", "y"] } };
    const patch = {
      data: { $retainKeys: ["a"], a: "3" },
      metadata: { "$deleteFromPrimitiveList/finalizers": ["x"], "$setElementOrder/finalizers": ["y"] },
    };
    expect(applyStrategicMergePatch(target, patch)).to.deep.equal({
      data: { a: "3" },
      metadata: { finalizers: ["y"] },
    });
    expect(
      applyStrategicMergePatch({ data: { a: "1" } }, { data: { $patch: "replace", b: "2" } }),
    ).to.deep.equal({
      data: { b: "2" },
    });
  });
});
