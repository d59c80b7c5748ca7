import { expect } from "chai";
import * as fc from "fast-check";
import { ApiError } from "../../../src/local/kubernetes/api-error.ts";
import { applyJsonPatch, decodeJsonPatch } from "../../../src/local/kubernetes/json-patch.ts";
import { equalJson, type JsonObject, type JsonValue } from "../../../src/local/kubernetes/json.ts";

function apply(document: JsonObject, patch: JsonValue): JsonValue {
  return applyJsonPatch(document, decodeJsonPatch(patch).operations);
}

function codeOf(action: () => unknown): number {
  try {
    action();
  } catch (error) {
    return error instanceof ApiError ? error.status : -1;
  }
  return 200;
}

/** A document that looks like an object of the API: nested maps, lists and scalars. */
const document = fc.dictionary(
  fc.constantFrom("a", "b", "c/d", "e~f", ""),
  fc.oneof(
    fc.integer(),
    fc.string({ maxLength: 3 }),
    fc.constant(null),
    fc.array(fc.integer(), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom("x", "y"), fc.integer()),
  ),
) as fc.Arbitrary<JsonObject>;

const pointer = (...keys: string[]): string =>
  keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

describe("JSON patch", () => {
  it("applies add, replace, remove, move, copy and test in order", () => {
    const patched = apply({ spec: { list: [1, 2], name: "x" } }, [
      { op: "test", path: "/spec/name", value: "x" },
      { op: "add", path: "/spec/list/-", value: 3 },
      { op: "add", path: "/spec/list/0", value: 0 },
      { op: "replace", path: "/spec/name", value: "y" },
      { op: "copy", from: "/spec/name", path: "/spec/copy" },
      { op: "move", from: "/spec/copy", path: "/spec/moved" },
      { op: "remove", path: "/spec/list/1" },
    ]);
    expect(patched).to.deep.equal({ spec: { list: [0, 2, 3], name: "y", moved: "y" } });
  });

  it("leaves the document alone when a later operation fails", () => {
    const original: JsonObject = { a: 1 };
    const patch = [
      { op: "add", path: "/b", value: 2 },
      { op: "test", path: "/a", value: 5 },
    ];
    expect(codeOf(() => apply(original, patch))).to.equal(422);
    expect(original).to.deep.equal({ a: 1 });
  });

  const refused: Readonly<Record<string, JsonValue>> = {
    "a failed test": [{ op: "test", path: "/a", value: 2 }],
    "a test below a missing parent": [{ op: "test", path: "/no/such", value: null }],
    "an add below a missing parent": [{ op: "add", path: "/no/such", value: 1 }],
    "a removal of what is not there": [{ op: "remove", path: "/no" }],
    "a move of what is not there": [{ op: "move", from: "/no", path: "/b" }],
    "an index beyond the end": [{ op: "add", path: "/list/5", value: 1 }],
    "an index that is no number": [{ op: "test", path: "/list/x", value: 1 }],
    "an unknown operation": [{ op: "frob", path: "/a" }],
    "a missing path": [{ op: "add", value: 1 }],
  };
  for (const [what, patch] of Object.entries(refused)) {
    it(`answers 422 to ${what}`, () => {
      expect(codeOf(() => apply({ a: 1, list: [1] }, patch))).to.equal(422);
    });
  }

  it("answers 400 to what is not a list of operations, and 413 to too many", () => {
    for (const body of [{}, "x", [1], [{ op: 1 }]] as JsonValue[]) {
      expect(
        codeOf(() => decodeJsonPatch(body)),
        JSON.stringify(body),
      ).to.equal(400);
    }
    const many = Array.from({ length: 10_001 }, () => ({ op: "test", path: "/a" }));
    expect(codeOf(() => decodeJsonPatch(many))).to.equal(413);
  });

  it("is as lenient as the library of kube-apiserver: replace sets a missing key, null equals absent", () => {
    expect(apply({}, [{ op: "replace", path: "/a", value: 1 }])).to.deep.equal({ a: 1 });
    expect(apply({}, [{ op: "test", path: "/a", value: null }])).to.deep.equal({});
    expect(apply({ list: [1, 2] }, [{ op: "remove", path: "/list/-1" }])).to.deep.equal({ list: [1] });
  });

  it("does not reach into prototypes", () => {
    const patched = apply({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
    expect(Object.getPrototypeOf(patched)).to.equal(Object.prototype);
    expect(Reflect.get({}, "polluted")).to.equal(undefined);
    expect(codeOf(() => apply({}, [{ op: "test", path: "/constructor/name", value: "Object" }]))).to.equal(
      422,
    );
  });

  it("tests exactly for equality, whatever the order of keys", () => {
    fc.assert(
      fc.property(document, document, fc.constantFrom("a", "b", "c/d", "e~f", ""), (left, right, key) => {
        const code = codeOf(() =>
          apply(left, [{ op: "test", path: pointer(key), value: right[key] ?? null }]),
        );
        expect(code === 200).to.equal(equalJson(left[key] ?? null, right[key] ?? null));
      }),
    );
  });

  it("undoes an add of a new key by a removal", () => {
    fc.assert(
      fc.property(document, fc.string({ minLength: 4 }), fc.integer(), (original, key, value) => {
        const path = pointer(key);
        const both = [
          { op: "add", path, value },
          { op: "test", path, value },
          { op: "remove", path },
        ];
        expect(apply(original, both)).to.deep.equal(original);
      }),
    );
  });
});
