import { expect } from "chai";
import { SatelliteError } from "../../../src/base/errors.ts";
import { compileRules } from "../../../src/local/kubernetes/cel-rules.ts";
import { applyDefaults, dropForbiddenNulls } from "../../../src/local/kubernetes/defaulting.ts";
import type { JsonObject, JsonValue } from "../../../src/local/kubernetes/json.ts";
import { prune } from "../../../src/local/kubernetes/pruning.ts";
import { validateListTypes, validateSchema } from "../../../src/local/kubernetes/schema-validation.ts";
import type { StructuralSchema, ValidationRule } from "../../../src/local/kubernetes/structural-schema.ts";
import { causes, TestApi } from "./support.ts";

const found = (value: JsonValue, schema: StructuralSchema, old?: JsonValue): string[] =>
  validateSchema(value, schema, "", old).map(({ type, field }) => `${type} ${field}`);

const text: StructuralSchema = { type: "string" };
const object = (
  properties: Record<string, StructuralSchema>,
  more: StructuralSchema = {},
): StructuralSchema => ({
  type: "object",
  properties,
  ...more,
});

describe("schema validation", () => {
  const cases: readonly [string, JsonValue, StructuralSchema, string[]][] = [
    ["a missing field", {}, object({ a: text }, { required: ["a"] }), ["FieldValueRequired a"]],
    ["another type", { a: 1 }, object({ a: text }), ["FieldValueTypeInvalid a"]],
    ["null", { a: null }, object({ a: text }), ["FieldValueTypeInvalid a"]],
    ["null where allowed", { a: null }, object({ a: { ...text, nullable: true } }), []],
    [
      "a value outside of an enum",
      { a: "x" },
      object({ a: { ...text, enum: ["y"] } }),
      ["FieldValueNotSupported a"],
    ],
    ["a pattern", { a: "x" }, object({ a: { ...text, pattern: "^y$" } }), ["FieldValueInvalid a"]],
    ["a text too long", { a: "xyz" }, object({ a: { ...text, maxLength: 2 } }), ["FieldValueTooLong a"]],
    ["code points, not bytes", { a: "🚀🚀" }, object({ a: { ...text, maxLength: 2 } }), []],
    ["a text too short", { a: "" }, object({ a: { ...text, minLength: 1 } }), ["FieldValueInvalid a"]],
    ["a bad time", { a: "x" }, object({ a: { ...text, format: "date-time" } }), ["FieldValueTypeInvalid a"]],
    [
      "an impossible day",
      { a: "2026-02-30T00:00:00Z" },
      object({ a: { ...text, format: "date-time" } }),
      ["FieldValueTypeInvalid a"],
    ],
    [
      "a fraction for an integer",
      { a: 1.5 },
      object({ a: { type: "integer" } }),
      ["FieldValueTypeInvalid a"],
    ],
    ["a number too small", { a: 1 }, object({ a: { type: "integer", minimum: 2 } }), ["FieldValueInvalid a"]],
    [
      "a number beyond int32",
      { a: 2 ** 31 },
      object({ a: { type: "integer", format: "int32" } }),
      ["FieldValueInvalid <nil>"],
    ],
    ["too many items", { a: [1, 2] }, object({ a: { type: "array", maxItems: 1 } }), ["FieldValueTooMany a"]],
    [
      "an item",
      { a: ["x", 1] },
      object({ a: { type: "array", items: text } }),
      ["FieldValueTypeInvalid a[1]"],
    ],
    [
      "too many properties",
      { a: { x: 1, y: 2 } },
      object({ a: { type: "object", maxProperties: 1 } }),
      ["FieldValueTooMany a"],
    ],
    [
      "a value of a map",
      { a: { x: 1 } },
      object({ a: { type: "object", additionalProperties: text } }),
      ["FieldValueTypeInvalid a.x"],
    ],
    [
      "int or string",
      { a: "50%", b: 5 },
      object({ a: { "x-kubernetes-int-or-string": true }, b: { "x-kubernetes-int-or-string": true } }),
      [],
    ],
    [
      "oneOf",
      { a: "x" },
      object({ a: text }, { oneOf: [{ required: ["b"] }, { required: ["c"] }] }),
      ["FieldValueInvalid <nil>"],
    ],
  ];
  for (const [what, value, schema, errors] of cases) {
    it(`reports ${what} as ${errors.join(", ") || "fine"}`, () => {
      expect(found(value, schema)).to.deep.equal(errors);
    });
  }

  it("does not complain about what was wrong before and did not change", () => {
    const schema = object({ a: { ...text, maxLength: 2 }, b: { ...text, maxLength: 2 } });
    expect(found({ a: "long", b: "x" }, schema, { a: "long", b: "y" })).to.deep.equal([]);
    expect(found({ a: "long", b: "new" }, schema, { a: "long", b: "y" })).to.deep.equal([
      "FieldValueTooLong b",
    ]);
  });

  it("finds duplicates in sets and in lists with keys", () => {
    const set = { type: "array", "x-kubernetes-list-type": "set" };
    const map = { type: "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"] };
    const errors = validateListTypes(
      { s: [1, 2, 1], m: [{ k: "a" }, { k: "a", v: 1 }] },
      object({ s: set, m: map }),
      "",
    );
    expect(errors.map(({ type, field }) => `${type} ${field}`)).to.deep.equal([
      "FieldValueDuplicate s[2]",
      "FieldValueDuplicate m[1]",
    ]);
  });
});

describe("pruning and defaulting", () => {
  const schema = object({
    known: object({ a: { ...text, default: "x" } }, { default: {} }),
    free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    map: { type: "object", additionalProperties: object({ v: { type: "integer", default: 1 } }) },
    list: { type: "array", items: object({ v: { type: "integer", default: 1 } }) },
  });

  it("drops what the schema does not know, and names it", () => {
    const value: JsonObject = {
      apiVersion: "v1",
      kind: "K",
      metadata: { anything: 1 },
      known: { b: 1 },
      free: { c: 1 },
      map: { k: { w: 1 } },
      list: [{ w: 1 }],
      more: 1,
    };
    expect(prune(value, schema)).to.have.members(["known.b", "map.k.w", "list[0].w", "more"]);
    expect(value).to.deep.equal({
      apiVersion: "v1",
      kind: "K",
      metadata: { anything: 1 },
      known: {},
      free: { c: 1 },
      map: { k: {} },
      list: [{}],
    });
  });

  it("fills in defaults below defaults, in maps and in lists", () => {
    const value: JsonObject = { map: { k: {} }, list: [{}] };
    applyDefaults(value, schema);
    expect(value).to.deep.equal({ known: { a: "x" }, map: { k: { v: 1 } }, list: [{ v: 1 }] });
  });

  it("takes null for absent unless null is allowed", () => {
    const nullable = object({
      a: { ...text, default: "x" },
      b: text,
      c: { ...text, nullable: true, default: "y" },
    });
    const value: JsonObject = { a: null, b: null, c: null };
    dropForbiddenNulls(value, nullable);
    applyDefaults(value, nullable);
    expect(value).to.deep.equal({ a: "x", c: null });
  });
});

describe("CEL rules", () => {
  const check = (
    rule: ValidationRule,
    schema: StructuralSchema,
    value: JsonObject,
    old?: JsonObject,
  ): string[] => {
    const rules = compileRules({ ...schema, "x-kubernetes-validations": [rule] }, "test");
    return rules!.validate(value, old).map(({ type, field, detail }) => `${type} ${field}: ${detail}`);
  };
  const spec = object({
    spec: object({
      n: { type: "integer" },
      "x-y": text,
      m: { type: "object", additionalProperties: text },
      list: { type: "array", items: text },
      when: { ...text, format: "date-time" },
    }),
  });

  const holding: readonly [string, JsonObject][] = [
    ["self.spec.n + 1 == 3", { n: 2 }],
    ["self.spec.x__dash__y.startsWith('a')", { "x-y": "ab" }],
    ["'k' in self.spec.m && self.spec.m['k'] == 'v'", { m: { k: "v" } }],
    ["self.spec.list.all(x, x.matches('^[a-z]+$')) && self.spec.list.size() == 2", { list: ["a", "b"] }],
    ["self.spec.list.exists_one(x, x == 'a')", { list: ["a", "b"] }],
    ["has(self.spec.n) ? self.spec.n > 0 : true", {}],
    ["self.spec.when > timestamp('2020-01-01T00:00:00Z')", { when: "2026-01-01T00:00:00Z" }],
    ["self.spec.list.isSorted() && self.spec.list.indexOf('b') == 1", { list: ["a", "b"] }],
    ["sets.contains(self.spec.list, ['a'])", { list: ["a", "b"] }],
    ["self.metadata.name == 'x'", {}],
    ["duration('90m') == duration('1h30m')", {}],
  ];
  for (const [rule, value] of holding) {
    it(`evaluates ${rule}`, () => {
      const whole = { metadata: { name: "x" }, spec: value };
      expect(check({ rule }, spec, whole)).to.deep.equal([]);
      expect(check({ rule: `!(${rule})` }, spec, whole), "its negation").to.have.length(1);
    });
  }

  it("evaluates rules on oldSelf for updates only, also where the value is new", () => {
    const rule = { rule: "self.spec.n >= oldSelf.spec.n", message: "may not fall", fieldPath: ".spec.n" };
    expect(check(rule, spec, { spec: { n: 1 } })).to.deep.equal([]);
    expect(check(rule, spec, { spec: { n: 1 } }, { spec: { n: 2 } })).to.deep.equal([
      "FieldValueInvalid spec.n: may not fall",
    ]);
  });

  it("gives oldSelf as an optional value where the rule asks for it", () => {
    const rule = {
      rule: "oldSelf.hasValue() ? self.spec.n >= oldSelf.value().spec.n : self.spec.n == 0",
      optionalOldSelf: true,
    };
    expect(check(rule, spec, { spec: { n: 1 } })).to.have.length(1);
    expect(check(rule, spec, { spec: { n: 0 } })).to.deep.equal([]);
    expect(check(rule, spec, { spec: { n: 3 } }, { spec: { n: 2 } })).to.deep.equal([]);
  });

  it("does not complain of an unchanged value that a later rule would refuse", () => {
    const same = { spec: { n: 1 } };
    expect(check({ rule: "self.spec.n > 5" }, spec, same, same)).to.deep.equal([]);
  });

  it("uses the rule's reason and the evaluated message", () => {
    const rule: ValidationRule = {
      rule: "self.spec.n > 5",
      reason: "FieldValueForbidden",
      messageExpression: "'got ' + string(self.spec.n)",
    };
    expect(check(rule, spec, { spec: { n: 1 } })).to.deep.equal(["FieldValueForbidden <nil>: got 1"]);
  });

  for (const rule of [
    "self.spec.nothere == 1",
    "unknown == 1",
    "self.spec.n.frobnicate()",
    "self.spec.n ==",
    "quantity('1Gi').isGreaterThan(quantity('1Mi'))",
    "self.metadata.labels.x == 'y'",
  ]) {
    it(`stops start-up for ${rule}`, () => {
      expect(() => check({ rule }, spec, {})).to.throw(SatelliteError, /cannot be compiled/);
    });
  }
});

describe("validation of requests", () => {
  it("reports every cause, and does not evaluate rules over values of the wrong shape", () => {
    const api = new TestApi();
    const { status, body } = api.create("a", { mode: true, count: -1, timeout: "1s" });
    expect([status, body["reason"]]).to.deep.equal([422, "Invalid"]);
    expect(causes(body)).to.deep.equal([
      "FieldValueInvalid <nil>",
      "FieldValueInvalid spec.count",
      "FieldValueNotSupported spec.mode",
      "FieldValueTypeInvalid spec.mode",
    ]);
  });

  it("reports rules with their paths and messages", () => {
    const api = new TestApi();
    const { body } = api.create("a", { timeout: "1s" });
    expect(causes(body)).to.deep.equal(["FieldValueInvalid spec.timeout"]);
    expect(body["message"]).to.contain("too short: 1s");
    api.create("b", { count: 5 });
    expect(causes(api.mergePatch("b", { spec: { count: 4 } }).body)).to.deep.equal([
      "FieldValueInvalid spec.count",
    ]);
  });

  it("refuses names, labels, annotations and finalizers that Kubernetes refuses", () => {
    const api = new TestApi();
    const { body } = api.create(
      "Bad_Name",
      {},
      {
        labels: { "a b": "c" },
        annotations: { "/x": "y" },
        finalizers: ["no good"],
      },
    );
    expect(causes(body)).to.deep.equal([
      "FieldValueInvalid metadata.annotations",
      "FieldValueInvalid metadata.finalizers",
      "FieldValueInvalid metadata.labels",
      "FieldValueInvalid metadata.name",
    ]);
  });

  it("fills defaults that came with a later schema into what was stored before", () => {
    const api = new TestApi();
    api.server.store.create("example.dev/probes", "default/old", {
      apiVersion: "example.dev/v1",
      kind: "Probe",
      metadata: { name: "old", namespace: "default" },
      spec: { gone: true },
    });
    expect(api.get("old")["spec"]).to.deep.equal({ mode: "a", count: 0, timeout: "1m" });
  });
});
