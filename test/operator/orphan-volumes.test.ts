import { expect } from "chai";
import type { Volume } from "../../src/machines/cloud.ts";
import { dataVolumeTags, ownerTags, Tag } from "../../src/machines/tags.ts";
import { NO_MEMORY, type OrphanMemory } from "../../src/operator/orphan-rules.ts";
import { judgeOrphanVolumes } from "../../src/operator/orphan-volumes.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { CLUSTER, satellite } from "./fixtures.ts";

const MINUTE = 60_000;
const START = Date.parse("2026-01-01T00:00:00Z");
const at = (minute: number): string => new Date(START + minute * MINUTE).toISOString();

/** The data volume of "team-a/gone". */
function volume(init: Partial<Volume> = {}): Volume {
  return {
    id: "vol-1",
    state: "available",
    zone: "eu-west-1a",
    createdAt: at(0),
    ...init,
    tags: {
      ...dataVolumeTags(ownerTags(CLUSTER, { namespace: "team-a", name: "gone", uid: "uid-gone" })),
      ...init.tags,
    },
  };
}

const other = satellite({ name: "other", status: { volume: { id: "vol-other", attempt: 0, zone: "a" } } });

/** Judges the same lists at each of `minutes`, and says what is to be done at the last. */
function judgeAt(
  minutes: readonly number[],
  volumes: readonly Volume[],
  satellites: readonly Satellite[],
): string[] {
  let memory: OrphanMemory = NO_MEMORY;
  let said: string[] = [];
  for (const minute of minutes) {
    const verdict = judgeOrphanVolumes(
      {
        cluster: CLUSTER,
        items: volumes,
        satellites,
        nowMs: minute * MINUTE,
        now: new Date(START + minute * MINUTE),
      },
      memory,
      defaultSettings,
    );
    memory = verdict.memory;
    said = verdict.steps.map((step) => `${step.kind} ${step.item.id}`);
  }
  return said;
}

const marked = { [Tag.orphanedAt]: at(0) };

describe("orphaned data volumes", () => {
  it("are tagged once two lists ten minutes apart have shown them, and deleted a week later", () => {
    expect(judgeAt([0, 9], [volume()], [other])).to.deep.equal([]);
    expect(judgeAt([100], [volume()], [other])).to.deep.equal([]);
    expect(judgeAt([0, 10], [volume()], [other])).to.deep.equal(["Mark vol-1"]);
    expect(judgeAt([1000, 10_079], [volume({ tags: marked })], [other])).to.deep.equal([]);
    expect(judgeAt([1000, 10_080], [volume({ tags: marked })], [other])).to.deep.equal(["Delete vol-1"]);
  });

  it("are never deleted while they are attached, nor without our cluster's tag, nor by an empty list", () => {
    const inUse = volume({ state: "in-use", tags: marked });
    expect(judgeAt([0, 30_000], [inUse], [other])).to.deep.equal([]);
    const theirs = volume({ tags: { ...marked, [Tag.cluster]: "another" } });
    expect(judgeAt([0, 30_000], [theirs], [other])).to.deep.equal([]);
    const retained = volume({ tags: { ...marked, [Tag.cluster]: "", [Tag.uid]: "" } });
    expect(judgeAt([0, 30_000], [retained], [other])).to.deep.equal([]);
    expect(judgeAt([0, 30_000], [volume({ tags: marked })], [])).to.deep.equal([]);
  });

  it("are nobody's only when no satellite may take them", () => {
    const uid = "uid-gone";
    const used = satellite({ uid, status: { volume: { id: "vol-1", attempt: 0, zone: "a" } } });
    const writing = satellite({ uid, status: { volume: { attempt: 0, token: "t", zone: "a" } } });
    const restored = satellite({ name: "gone", uid: "uid-new" });
    for (const owner of [used, writing, restored]) {
      expect(judgeAt([0, 30_000], [volume()], [other, owner])).to.deep.equal([]);
    }
    const another = satellite({ uid, status: { volume: { id: "vol-2", attempt: 1, zone: "a" } } });
    expect(judgeAt([0, 10], [volume()], [other, another])).to.deep.equal(["Mark vol-1"]);
  });

  it("that are used again lose their tag", () => {
    const owner = satellite({ uid: "uid-gone", status: { volume: { id: "vol-1", attempt: 0, zone: "a" } } });
    expect(judgeAt([0], [volume({ tags: marked })], [owner])).to.deep.equal(["Unmark vol-1"]);
  });

  it("are touched few at a time", () => {
    const many = Array.from({ length: 30 }, (_, index) => volume({ id: `vol-${index}` }));
    expect(judgeAt([0, 10], many, [other])).to.have.length(3);
  });
});
