import { expect } from "chai";
import * as fc from "fast-check";
import { memoryJournal, type Journal } from "../../../src/local/kubernetes/journal.ts";
import type { JsonObject } from "../../../src/local/kubernetes/json.ts";
import { Store } from "../../../src/local/kubernetes/store.ts";

const object = (value: number): JsonObject => ({ metadata: { name: "x" }, value });
const newStore = (historyLimit = 100): Store => new Store({ journal: memoryJournal(), historyLimit });

describe("Store", () => {
  it("gives each change the next revision, over all collections", () => {
    const store = newStore();
    expect(store.create("a", "x", object(1)).revision).to.equal(2);
    expect(store.create("b", "x", object(1)).revision).to.equal(3);
    expect(store.update("a", "x", object(2)).revision).to.equal(4);
    store.remove("a", "x");
    expect(store.revision).to.equal(5);
  });

  it("does not move for a write that changes nothing", () => {
    const store = newStore();
    const { revision, object: stored } = store.create("a", "x", object(1));
    expect(store.update("a", "x", stored).revision).to.equal(revision);
    expect(store.changesSince(revision)).to.have.length(0);
  });

  it("tells what changed after a revision, with the state before", () => {
    const store = newStore();
    const { revision } = store.create("a", "x", object(1));
    store.update("a", "x", object(2));
    store.remove("a", "x");
    const seen = store.changesSince(revision);
    expect(seen.map(({ type }) => type)).to.deep.equal(["MODIFIED", "DELETED"]);
    expect(seen.map(({ previous }) => previous?.["value"])).to.deep.equal([1, 2]);
    expect(seen[1]!.object["metadata"]).to.have.property("resourceVersion", "4");
  });

  it("forgets the oldest changes beyond its limit and says so", () => {
    const store = newStore(4);
    store.create("a", "x", object(0));
    for (let value = 1; value <= 20; value++) {
      store.update("a", "x", object(value));
    }
    expect(store.covers(2)).to.equal(false);
    expect(store.covers(store.revision)).to.equal(true);
    expect(store.changesSince(store.revision - 3)).to.have.length(3);
  });

  it("tells of each change that is durable, also where its journal cannot drop the oldest ones yet", () => {
    let refuses = true;
    const dropped: number[] = [];
    const journal: Journal = {
      ...memoryJournal(),
      compact: (revision) => {
        if (refuses) {
          throw new Error("database or disk is full");
        }
        dropped.push(revision);
      },
    };
    const store = new Store({ journal, historyLimit: 4 });
    const told: number[] = [];
    store.onChange(({ revision }) => told.push(revision));
    store.create("a", "x", object(0));
    for (let value = 1; value <= 10; value++) {
      expect(store.update("a", "x", object(value)).revision).to.equal(value + 2);
    }
    expect(told).to.deep.equal([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    refuses = false;
    store.update("a", "x", object(11));
    expect(dropped).to.have.length(1);
    expect(store.covers(dropped[0] ?? 0)).to.equal(true);
  });

  it("shows the past as it was", () => {
    type Step = readonly ["put" | "drop", string, number];
    const step = fc.tuple(
      fc.constantFrom("put", "drop"),
      fc.constantFrom("a", "b", "c"),
      fc.nat(3),
    ) as fc.Arbitrary<Step>;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const store = newStore();
        const past: [number, JsonObject[]][] = [];
        for (const [action, key, value] of steps) {
          past.push([store.revision, store.list("c")]);
          const exists = store.get("c", key) !== undefined;
          if (action === "drop") {
            store.remove("c", key);
          } else if (exists) {
            store.update("c", key, object(value));
          } else {
            store.create("c", key, object(value));
          }
        }
        for (const [revision, objects] of past) {
          expect(store.listAt("c", revision)).to.deep.equal(objects);
        }
      }),
    );
  });
});
