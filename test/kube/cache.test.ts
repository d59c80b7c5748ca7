import { expect } from "chai";
import { ObjectCache } from "../../src/kube/cache.ts";
import type { KubeObject } from "../../src/kube/objects.ts";
import { compareResourceVersions } from "../../src/kube/resource-version.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const object = (name: string, resourceVersion: string, uid = `${name}-1`, zone = "z1"): KubeObject => ({
  metadata: { namespace: "apps", name, resourceVersion, uid, labels: { zone } },
});

describe("ObjectCache", () => {
  let clock: VirtualClock;
  let cache: ObjectCache<KubeObject>;
  let story: string[];

  beforeEach(() => {
    clock = new VirtualClock();
    cache = new ObjectCache({
      clock,
      logger: silentLogger,
      indexes: {
        byZone: ({ metadata }) => (metadata.labels?.["zone"] === undefined ? [] : [metadata.labels["zone"]]),
      },
    });
    story = [];
    const show = ({ metadata }: KubeObject): string => `${metadata.name}@${metadata.resourceVersion}`;
    cache.subscribe({
      added: (added) => story.push(`+${show(added)}`),
      updated: (updated) => story.push(`~${show(updated)}`),
      deleted: (deleted) => story.push(`-${show(deleted)}`),
    });
  });

  const versionOf = (name: string): string | undefined => cache.get(`apps/${name}`)?.metadata.resourceVersion;
  const inZone = (zone: string): string[] =>
    cache.byIndex("byZone", zone).map(({ metadata }) => metadata.name);

  it("finds objects by key and by index, as they change", () => {
    cache.observe(object("a", "1"));
    cache.observe(object("b", "2"));
    expect(inZone("z1")).to.deep.equal(["a", "b"]);
    cache.observe(object("a", "3", "a-1", "z2"));
    expect([inZone("z1"), inZone("z2")]).to.deep.equal([["b"], ["a"]]);
    cache.observeDeletion(object("b", "4"));
    expect([inZone("z1"), inZone("z2"), inZone("z3")]).to.deep.equal([[], ["a"], []]);
    expect(() => cache.byIndex("byColour", "red")).to.throw('no index "byColour"');
  });

  it("tells a late subscriber what is there", () => {
    cache.observe(object("a", "1"));
    const seen: string[] = [];
    const end = cache.subscribe({ added: ({ metadata }) => seen.push(metadata.name) });
    cache.observe(object("b", "2"));
    end();
    cache.observe(object("c", "3"));
    expect(seen).to.deep.equal(["a", "b"]);
  });

  describe("after an own write", () => {
    it("shows it at once, and ignores the events that led to it", () => {
      cache.observe(object("a", "1"));
      expect(cache.upsert(object("a", "10"))).to.equal(true);
      cache.observe(object("a", "5"));
      cache.observe(object("a", "10"));
      cache.observe(object("a", "11"));
      expect(story).to.deep.equal(["+a@1", "~a@10", "~a@11"]);
    });

    it("keeps what is newer than the write's answer", () => {
      cache.observe(object("a", "12"));
      expect(cache.upsert(object("a", "10"))).to.equal(false);
      expect(versionOf("a")).to.equal("12");
    });

    it("does not go back with a listing that is older", () => {
      cache.observe(object("a", "1"));
      cache.upsert(object("a", "10"));
      cache.upsert(object("new", "11"));
      cache.replaceAll([object("a", "1")], "9");
      expect([versionOf("a"), versionOf("new")]).to.deep.equal(["10", "11"]);
      cache.replaceAll([object("a", "10")], "12");
      expect([versionOf("a"), versionOf("new")]).to.deep.equal(["10", undefined]);
    });

    it("believes a server that went back in time once the write is five minutes old", async () => {
      cache.upsert(object("a", "1000"));
      await clock.advance(300_000);
      cache.replaceAll([object("a", "3")], "4");
      expect(versionOf("a")).to.equal("3");
    });
  });

  describe("after a deletion", () => {
    it("does not bring the object back by the late answer of a write, an event or a listing", () => {
      cache.observe(object("a", "1"));
      cache.observeDeletion(object("a", "5"));
      expect(cache.upsert(object("a", "4"))).to.equal(false);
      cache.observe(object("a", "3"));
      cache.replaceAll([object("a", "3")], "4");
      expect(versionOf("a")).to.equal(undefined);
      expect(story).to.deep.equal(["+a@1", "-a@1"]);
    });

    it("remembers the last 10,000 of them", () => {
      for (let number = 0; number <= 10_000; number += 1) {
        cache.observe(object(`a-${number}`, "1"));
        cache.observeDeletion(object(`a-${number}`, "5"));
      }
      cache.observe(object("a-0", "3"));
      cache.observe(object("a-1", "3"));
      expect([versionOf("a-0"), versionOf("a-1")]).to.deep.equal(["3", undefined]);
    });

    it("takes a new object of the same name", () => {
      cache.observe(object("a", "1"));
      cache.observeDeletion(object("a", "5"));
      cache.observe(object("a", "6", "a-2"));
      expect(versionOf("a")).to.equal("6");
    });

    it("does not lose a younger object of that name to the older one's deletion", () => {
      cache.observe(object("a", "1"));
      cache.upsert(object("a", "7", "a-2"));
      cache.observeDeletion(object("a", "5"));
      expect(versionOf("a")).to.equal("7");
    });
  });

  describe("by a listing", () => {
    it("deletes what is missing, adds what is new, and says nothing of what is the same", () => {
      for (const name of ["a", "b", "c"]) {
        cache.observe(object(name, "1"));
      }
      story.length = 0;
      cache.replaceAll([object("a", "1"), object("b", "8"), object("d", "9")], "10");
      expect(story).to.deep.equal(["~b@8", "+d@9", "-c@1"]);
    });

    it("tells the end of an object that was made anew under its name", () => {
      cache.observe(object("a", "1"));
      cache.replaceAll([object("a", "9", "a-2")], "10");
      expect(story).to.deep.equal(["+a@1", "-a@1", "+a@9"]);
      expect(inZone("z1")).to.deep.equal(["a"]);
    });
  });
});

describe("compareResourceVersions", () => {
  it("compares decimal numbers of any length", () => {
    expect(compareResourceVersions("9", "10")).to.be.below(0);
    expect(compareResourceVersions("9007199254740993", "9007199254740992")).to.be.above(0);
    expect(compareResourceVersions("7", "7")).to.equal(0);
  });

  it("knows no order between anything else", () => {
    for (const other of ["abc", "", "0x10", "1.5", "01", undefined]) {
      expect(compareResourceVersions("7", other)).to.equal(undefined);
      expect(compareResourceVersions(other, "7")).to.equal(undefined);
    }
  });
});
