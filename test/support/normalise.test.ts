import { expect } from "chai";
import { differences, Normaliser } from "../conformance/normalise.ts";

const object = (metadata: object): object => ({ kind: "Satellite", metadata, spec: { port: 1 } });

describe("the comparison of the conformance suite", () => {
  it("takes UIDs and versions for equal when they stand in the same relation", () => {
    const [a, b] = [new Normaliser(), new Normaliser()];
    expect(a.body(object({ uid: "x", resourceVersion: "5" }))).to.deep.equal(
      b.body(object({ uid: "y", resourceVersion: "90" })),
    );
    // On the left the second write moved the version, on the right it did not.
    const left = a.body(object({ uid: "x", resourceVersion: "6" }));
    const right = b.body(object({ uid: "y", resourceVersion: "90" }));
    expect(differences(left, right)).to.deep.equal(['metadata.resourceVersion: "version-2" and "version-1"']);
  });

  it("leaves out prose and keeps code, reason and causes", () => {
    const status = (message: string, field: string): object => ({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      code: 422,
      reason: "Invalid",
      message,
      details: { causes: [{ reason: "FieldValueInvalid", message, field }] },
    });
    const normaliser = new Normaliser();
    expect(differences(normaliser.body(status("a", "spec")), normaliser.body(status("b", "spec")))).to.be
      .empty;
    expect(
      differences(normaliser.body(status("a", "spec")), normaliser.body(status("a", "status"))),
    ).to.have.length(1);
  });

  it("sees every other difference: values, types, absent and additional fields, order of items", () => {
    const base = { a: 1, list: ["x", "y"], deep: { b: null } };
    expect(differences(base, { ...base, a: "1" })).to.deep.equal(['a: 1 and "1"']);
    expect(differences(base, { ...base, list: ["y", "x"] })).to.have.length(2);
    expect(differences(base, { ...base, list: ["x"] })).to.have.length(1);
    expect(differences(base, { ...base, deep: {} })).to.deep.equal(["deep.b: null and absent"]);
    expect(differences(base, { ...base, more: true })).to.deep.equal(["more: absent and true"]);
    expect(differences(base, structuredClone(base))).to.be.empty;
  });

  it("keeps the cells of a Table, ages apart", () => {
    const table = (phase: string, age: string): object => ({
      kind: "Table",
      apiVersion: "meta.k8s.io/v1",
      columnDefinitions: [{ name: "Phase", type: "string", description: "text" }],
      rows: [{ cells: [phase, age], object: object({ name: "a" }) }],
    });
    const normaliser = new Normaliser();
    expect(differences(normaliser.body(table("Running", "3s")), normaliser.body(table("Running", "2m5s")))).to
      .be.empty;
    expect(
      differences(normaliser.body(table("Running", "3s")), normaliser.body(table("Asleep", "3s"))),
    ).to.have.length(1);
  });
});
