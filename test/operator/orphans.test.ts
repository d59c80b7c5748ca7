import { expect } from "chai";
import { array, assert, integer, property } from "fast-check";
import type { Machine } from "../../src/machines/cloud.ts";
import { ownerTags, Tag } from "../../src/machines/tags.ts";
import { NO_MEMORY, type OrphanMemory, type OrphanStep } from "../../src/operator/orphan-rules.ts";
import { judgeOrphans } from "../../src/operator/orphans.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { CLUSTER, machine, satellite } from "./fixtures.ts";

const MINUTE = 60_000;
/** In minutes. */
const DAY = 24 * 60;
const START = Date.parse("2026-01-01T00:00:00Z");

/** Judges the same lists at each of `minutes`, and says what is to be done at the last. */
function judgeAt(
  minutes: readonly number[],
  lists: (minute: number) => { machines: readonly Machine[]; satellites: readonly Satellite[] },
): readonly OrphanStep<Machine>[] {
  let memory: OrphanMemory = NO_MEMORY;
  let steps: readonly OrphanStep<Machine>[] = [];
  for (const minute of minutes) {
    const { machines, satellites } = lists(minute);
    const facts = {
      items: machines,
      satellites,
      cluster: CLUSTER,
      nowMs: minute * MINUTE,
      now: new Date(START + minute * MINUTE),
    };
    ({ steps, memory } = judgeOrphans(facts, memory, defaultSettings));
  }
  return steps;
}

const always =
  (machines: readonly Machine[], satellites: readonly Satellite[]) =>
  (): { machines: readonly Machine[]; satellites: readonly Satellite[] } => ({ machines, satellites });

const kinds = (steps: readonly OrphanStep<Machine>[]): string[] =>
  steps.map(({ kind, item: { id } }) => `${kind} ${id}`);

const other = satellite({ name: "other", status: { machine: { id: "i-other" } } });

/** A machine whose satellite is gone. */
const orphan = (id: string, init: Partial<Machine> = {}): Machine =>
  machine({
    id,
    ...init,
    tags: {
      ...ownerTags(CLUSTER, { namespace: "team-a", name: `gone-${id}`, uid: `uid-gone-${id}` }),
      ...init.tags,
    },
  });

describe("orphans", () => {
  it("are tagged and stopped, once two lists two minutes apart have shown them", () => {
    const lists = always([orphan("i-1")], [other]);
    expect(kinds(judgeAt([0], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 1], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 2], lists))).to.deep.equal(["Mark i-1", "Stop i-1"]);
  });

  it("are not touched after one list alone, however late it is", () => {
    expect(kinds(judgeAt([10_000], always([orphan("i-1")], [other])))).to.deep.equal([]);
  });

  it("begin anew when a list in between did not show them so", () => {
    const lists = (minute: number): ReturnType<ReturnType<typeof always>> => ({
      machines: [orphan("i-1")],
      satellites: minute === 1 ? [other, satellite({ uid: "uid-gone-i-1" })] : [other],
    });
    expect(kinds(judgeAt([0, 1, 2], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 1, 2, 4], lists))).to.deep.equal(["Mark i-1", "Stop i-1"]);
  });

  it("are stopped again when somebody has started them, and terminated after seven days", () => {
    const tagged = { [Tag.orphanedAt]: "2026-01-01T00:10:00Z" };
    const running = always([orphan("i-1", { tags: tagged })], [other]);
    expect(kinds(judgeAt([10, 20], running))).to.deep.equal(["Stop i-1"]);
    const stopped = always([orphan("i-1", { tags: tagged, state: "stopped" })], [other]);
    expect(kinds(judgeAt([10, 7 * DAY + 9], stopped))).to.deep.equal([]);
    expect(kinds(judgeAt([10, 7 * DAY + 10], stopped))).to.deep.equal(["Terminate i-1"]);
  });

  it("are left alone while they change state", () => {
    const tagged = { [Tag.orphanedAt]: "2025-01-01T00:00:00Z" };
    for (const state of ["pending", "shutting-down", "terminated"] as const) {
      expect(
        kinds(judgeAt([0, 10], always([orphan("i-1", { tags: tagged, state })], [other]))),
      ).to.deep.equal([]);
    }
  });

  it("are terminated after seven days even where they hang in their stop", () => {
    const tagged = { [Tag.orphanedAt]: "2025-01-01T00:00:00Z" };
    const hung = always([orphan("i-1", { tags: tagged, state: "stopping" })], [other]);
    expect(kinds(judgeAt([0, 10], hung))).to.deep.equal(["Terminate i-1"]);
  });

  it("are stopped, though later, when there is no satellite at all, but never terminated", () => {
    const lists = always([orphan("i-1")], []);
    expect(kinds(judgeAt([0, 9], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 10], lists))).to.deep.equal(["Mark i-1", "Stop i-1"]);
    const tags = { [Tag.orphanedAt]: "2025-01-01T00:00:00Z" };
    const stopped = always([orphan("i-1", { tags, state: "stopped" })], []);
    expect(kinds(judgeAt([0, 20], stopped))).to.deep.equal([]);
  });

  it("begin anew after an empty list of machines", () => {
    const lists = (minute: number): ReturnType<ReturnType<typeof always>> => ({
      machines: minute === 5 ? [] : [orphan("i-1")],
      satellites: [other],
    });
    expect(kinds(judgeAt([0, 5, 10], lists))).to.deep.equal([]);
  });

  it("are only machines with this cluster's tag", () => {
    const foreign = orphan("i-1", { tags: { [Tag.cluster]: "cluster-b" } });
    const lists = always([foreign, orphan("i-2")], [other]);
    expect(kinds(judgeAt([0, 10], lists))).to.deep.equal(["Mark i-2", "Stop i-2"]);
  });

  it("are only machines with a satellite's UID", () => {
    const nameless = machine({ id: "i-1", tags: { [Tag.cluster]: CLUSTER } });
    expect(kinds(judgeAt([0, 10], always([nameless], [other])))).to.deep.equal([]);
  });

  it("are not machines that their satellite left behind on purpose", () => {
    const retained = orphan("i-1", { tags: { [Tag.retained]: "true" } });
    const lists = always([retained, orphan("i-2")], [other]);
    expect(kinds(judgeAt([0, 10], lists))).to.deep.equal(["Mark i-2", "Stop i-2"]);
  });

  it("are not machines that a satellite uses under another UID, as after a restore from a backup", () => {
    const restored = satellite({ uid: "uid-new", status: { machine: { id: "i-1" } } });
    expect(kinds(judgeAt([0, 10], always([machine()], [restored])))).to.deep.equal([]);
  });

  it("are not machines that a restored satellite is about to take up again by name", () => {
    expect(kinds(judgeAt([0, 10], always([machine()], [satellite({ uid: "uid-new" })])))).to.deep.equal([]);
  });

  it("are untagged when they belong to somebody again", () => {
    const machines = [machine({ tags: { ...machine().tags, [Tag.orphanedAt]: "2026-01-01T00:00:00Z" } })];
    const satellites = [satellite({ status: { machine: { id: "i-1" } } })];
    expect(kinds(judgeAt([0], always(machines, satellites)))).to.deep.equal(["Unmark i-1"]);
  });

  const some = (count: number, init: Partial<Machine> = {}): Machine[] =>
    Array.from({ length: count }, (_, index) => orphan(`i-${index}`, init));
  const ripe = { state: "stopped", tags: { [Tag.orphanedAt]: "2025-01-01T00:00:00Z" } } as const;

  it("are terminated one at a time in a small cluster, and within ten minutes a tenth at most in a large one", () => {
    expect(judgeAt([0, 10], always(some(9, ripe), [other]))).to.have.length(1);
    const many = always(some(50, ripe), [other]);
    expect(judgeAt([0, 10], many)).to.have.length(5);
    expect(kinds(judgeAt([0, 10, 11], many))).to.deep.equal(kinds(judgeAt([0, 10], many)));
  });

  it("are stopped at once in a small cluster, and within ten minutes a half at most in a large one", () => {
    const stops = (steps: readonly OrphanStep<Machine>[]): number =>
      steps.filter(({ kind }) => kind === "Stop").length;
    expect(stops(judgeAt([0, 10], always(some(10), [other])))).to.equal(10);
    const many = always(some(50), [other]);
    expect(stops(judgeAt([0, 10], many))).to.equal(25);
    expect(kinds(judgeAt([0, 10, 11], many))).to.deep.equal(kinds(judgeAt([0, 10], many)));
  });

  it("never include a machine in use, whatever the lists", () => {
    const count = integer({ min: 0, max: 12 });
    assert(
      property(count, count, array(integer({ min: 0, max: 60 }), { maxLength: 6 }), (used, lost, at) => {
        const satellites = Array.from({ length: used }, (_, index) =>
          satellite({ name: `s${index}`, status: { machine: { id: `i-used-${index}` } } }),
        );
        const machines = [
          ...satellites.map(({ metadata: { name, uid = "" } }, index) =>
            machine({
              id: `i-used-${index}`,
              tags: ownerTags(CLUSTER, { namespace: "team-a", name, uid }),
            }),
          ),
          ...Array.from({ length: lost }, (_, index) => orphan(`i-lost-${index}`)),
        ];
        const steps = judgeAt(
          at.toSorted((a, b) => a - b),
          always(machines, satellites),
        );
        expect(steps.filter(({ item: { id } }) => id.startsWith("i-used"))).to.deep.equal([]);
      }),
    );
  });
});

describe("a spare machine", () => {
  const user = satellite({ status: { machine: { id: "i-1" } } });

  it("is kept aside and stopped, once two lists a minute apart have shown it: it may be the one that served before", () => {
    const lists = always([machine(), machine({ id: "i-2" })], [user]);
    expect(kinds(judgeAt([0], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 1], lists))).to.deep.equal(["Mark i-2", "Stop i-2"]);
  });

  it("is terminated by nobody but its owner for seven days", () => {
    const tags = { ...machine().tags, [Tag.orphanedAt]: "2026-01-01T00:00:00Z" };
    const lists = always([machine(), machine({ id: "i-2", state: "stopped", tags })], [user]);
    expect(kinds(judgeAt([0, 7 * DAY - 1], lists))).to.deep.equal([]);
    expect(kinds(judgeAt([0, 7 * DAY], lists))).to.deep.equal(["Terminate i-2"]);
  });

  it("stays aside while the satellite has no machine at all", () => {
    const tags = { ...machine().tags, [Tag.orphanedAt]: "2026-01-01T00:00:00Z" };
    const lists = always([machine({ id: "i-2", state: "stopped", tags })], [satellite()]);
    expect(kinds(judgeAt([0, 1, 20], lists))).to.deep.equal([]);
  });

  it("is nothing to judge while the satellite has no machine: it may be the one", () => {
    expect(
      kinds(judgeAt([0, 1, 20], always([machine(), machine({ id: "i-2" })], [satellite()]))),
    ).to.deep.equal([]);
  });

  it("is judged anew when the satellite has changed its machine meanwhile", () => {
    const lists = (minute: number): ReturnType<ReturnType<typeof always>> => ({
      machines: [machine(), machine({ id: "i-2" }), machine({ id: "i-3" })],
      satellites: [satellite({ status: { machine: { id: minute === 0 ? "i-3" : "i-1" } } })],
    });
    expect(kinds(judgeAt([0, 1], lists))).to.deep.equal([]);
  });
});

describe("machines of a satellite that is being replaced", () => {
  const uid = "uid-ada";
  const launch = { attempt: 1, token: "token-1" };
  const lists = (status: Partial<Satellite["status"]>, second: Partial<Machine>): ReturnType<typeof always> =>
    always(
      [machine({ id: "i-1" }), machine({ id: "i-2", ...second })],
      [other, satellite({ uid, status: { machine: { id: "i-1" }, launch, ...status } })],
    );
  const replacement = { state: "Launching", image: "image-2", since: "2026-01-01T00:00:00Z" } as const;

  it("are spared: the new one before its ID is written and after, and the old one", () => {
    const minutes = [0, 5, 100];
    expect(kinds(judgeAt(minutes, lists({ replacement }, { clientToken: "token-1" })))).to.deep.equal([]);
    const named = { ...replacement, machine: { id: "i-2" } };
    expect(kinds(judgeAt(minutes, lists({ replacement: named }, {})))).to.deep.equal([]);
    const retired = { id: "i-2", since: "2026-01-01T00:00:00Z" };
    expect(kinds(judgeAt(minutes, lists({ retired }, {})))).to.deep.equal([]);
  });

  it("are spare where another launch made them, or none is under way", () => {
    const minutes = [0, 5];
    const landedLate = lists({ replacement }, { clientToken: "token-0" });
    expect(kinds(judgeAt(minutes, landedLate))).to.deep.equal(["Mark i-2", "Stop i-2"]);
    const over = lists({ replacement: { ...replacement, state: "Failed" } }, { clientToken: "token-1" });
    expect(kinds(judgeAt(minutes, over))).to.deep.equal(["Mark i-2", "Stop i-2"]);
  });
});
