import { expect } from "chai";
import { parseLabelSelector } from "../../src/base/label-selector.ts";

describe("label selectors", () => {
  const selects = (selector: string, labels: Record<string, string>): boolean =>
    parseLabelSelector(selector)(labels);
  const cases: readonly [string, Record<string, string>, boolean][] = [
    ["a=b", { a: "b" }, true],
    ["a==b", { a: "c" }, false],
    ["a!=b", {}, true],
    ["a!=b", { a: "b" }, false],
    ["a", { a: "" }, true],
    ["!a", { a: "" }, false],
    ["!a", {}, true],
    ["a in (b, c)", { a: "c" }, true],
    ["a in (b,c),d", { a: "c" }, false],
    ["a notin (b)", { a: "b" }, false],
    ["a notin (b)", {}, true],
    ["a>1", { a: "2" }, true],
    ["a<1", { a: "2" }, false],
    ["x.dev/a=b,c=d", { "x.dev/a": "b", c: "d" }, true],
    ["a=", { a: "" }, true],
    ["", {}, true],
    ["satellites.dev/shard notin (a, b)", { other: "a" }, true],
  ];
  for (const [selector, labels, expected] of cases) {
    it(`${selector} ${expected ? "selects" : "does not select"} ${JSON.stringify(labels)}`, () => {
      expect(selects(selector, labels)).to.equal(expected);
    });
  }

  for (const selector of ["a b", "=b", "a in b", "a in (b", "a,,b", "a=b=c", "-=x", "a>x"]) {
    it(`refuses ${selector}`, () => {
      expect(() => parseLabelSelector(selector))
        .to.throw(/is not a label selector/)
        .with.property("code", "InvalidLabelSelector");
    });
  }
});
