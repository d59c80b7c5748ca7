import { expect } from "chai";
import { Reflector } from "../../src/kube/reflector.ts";
import { KubeError } from "../../src/kube/errors.ts";
import type { KubeObject } from "../../src/kube/objects.ts";
import { NAMESPACE, SECRET } from "../../src/kube/resources.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { EmbeddedKube } from "../support/embedded-kube.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const key = (name: string): { namespace: string; name: string } => ({ namespace: "apps", name });
const secret = (name: string, labels: Record<string, string> = {}): KubeObject => ({
  metadata: { ...key(name), labels },
});

const CHANGE = { type: "merge", body: { metadata: { labels: { of: "x" } } } } as const;

describe("Reflector", () => {
  let clock: VirtualClock;
  let kube: EmbeddedKube;
  let logger: CollectingLogger;
  let reflector: Reflector<KubeObject>;
  let story: string[];
  let stop: AbortController;
  let ended: Promise<void>;

  beforeEach(async () => {
    clock = new VirtualClock();
    kube = new EmbeddedKube({ namespaces: ["apps", "system"] });
    logger = new CollectingLogger();
    story = [];
    stop = new AbortController();
    for (const name of ["a", "b", "c"]) {
      await kube.create(SECRET, secret(name));
    }
    kube.calls.length = 0;
    reflector = new Reflector({ client: kube, type: SECRET, clock, random: () => 0, logger, pageSize: 2 });
    reflector.cache.subscribe({
      added: ({ metadata }) => story.push(`+${metadata.name}`),
      updated: ({ metadata }, before) =>
        story.push(`~${metadata.name} ${before.metadata.resourceVersion}→${metadata.resourceVersion}`),
      deleted: ({ metadata }) => story.push(`-${metadata.name}`),
    });
  });

  afterEach(async () => {
    stop.abort();
    kube.before = () => {};
    await clock.advance(60_000);
    await ended;
    expect(kube.watcherCount).to.equal(0);
    expect(clock.pendingTimers).to.equal(0);
  });

  const start = async (): Promise<void> => {
    ended = reflector.run(stop.signal);
    await clock.settle();
  };
  const verbs = (): string[] => kube.calls.map(({ verb }) => verb);
  const broken = new KubeError({ reason: "Unreachable", status: 0, message: "cut by the test" });
  const refused = new KubeError({ reason: "Forbidden", status: 403, message: "roles are not loaded yet" });

  it("lists in pages, is synced, then follows events", async () => {
    expect(reflector.ageMs()).to.equal(Infinity);
    await start();
    await reflector.synced();
    expect(verbs()).to.deep.equal(["list", "list", "watch"]);
    expect(story.splice(0)).to.deep.equal(["+a", "+b", "+c"]);
    const created = await kube.create(SECRET, secret("d"));
    const changed = await kube.patch(SECRET, key("d"), CHANGE);
    await kube.delete(SECRET, key("a"));
    await clock.settle();
    const versions = [created, changed].map(({ metadata }) => metadata.resourceVersion);
    expect(story).to.deep.equal(["+d", `~d ${versions.join("→")}`, "-a"]);
    expect(versions[0]).to.not.equal(versions[1]);
    expect(reflector.cache.list().map(({ metadata }) => metadata.name)).to.have.members(["b", "c", "d"]);
  });

  it("is not synced while no listing succeeds", async () => {
    kube.before = () => {
      throw broken;
    };
    await start();
    await clock.advance(120_000);
    expect(reflector.hasSynced).to.equal(false);
    expect(reflector.ageMs()).to.equal(Infinity);
  });

  it("resumes an ended watch where it was, without listing again and without a pause", async () => {
    await start();
    await clock.advance(5_000);
    kube.calls.length = 0;
    story.length = 0;
    kube.endWatches();
    await kube.create(SECRET, secret("d"));
    await clock.settle();
    expect(verbs()).to.deep.equal(["create", "watch"]);
    expect(story).to.deep.equal(["+d"]);
  });

  it("resumes a broken watch after a pause, and misses nothing", async () => {
    await start();
    kube.calls.length = 0;
    story.length = 0;
    kube.endWatches({ error: broken });
    await clock.settle();
    await kube.create(SECRET, secret("d"));
    await kube.delete(SECRET, key("d"));
    await clock.advance(799);
    expect(verbs()).to.not.include("watch");
    await clock.advance(1);
    expect(verbs()).to.include("watch").and.not.include("list");
    expect(story).to.deep.equal(["+d", "-d"]);
  });

  it("resumes from a bookmark although nothing of its own changed and history is gone", async () => {
    await start();
    await kube.create(NAMESPACE, { metadata: { name: "others" } });
    kube.bookmark();
    kube.compact();
    await clock.advance(2_000);
    kube.calls.length = 0;
    kube.endWatches();
    await clock.settle();
    expect(verbs()).to.deep.equal(["watch"]);
    expect(kube.watcherCount).to.equal(1);
  });

  it("lists again at once when its version is too old, and tells what was missed", async () => {
    await start();
    story.length = 0;
    await kube.unnoticed(() => kube.delete(SECRET, key("b")));
    kube.calls.length = 0;
    await kube.patch(SECRET, key("c"), CHANGE);
    kube.compact();
    story.length = 0;
    const error = new KubeError({ reason: "Expired", status: 410, message: "too old" });
    kube.endWatches({ error });
    await clock.advance(0);
    expect(verbs()).to.deep.equal(["patch", "list", "watch"]);
    expect(story).to.include("-b");
    expect(reflector.cache.get("apps/b")).to.equal(undefined);
    expect(reflector.cache.get("apps/c")?.metadata.labels).to.deep.equal({ of: "x" });
  });

  it("starts a listing anew when its continue token expires on the way", async () => {
    let pages = 0;
    kube.before = async ({ verb }) => {
      pages += verb === "list" ? 1 : 0;
      if (verb === "list" && pages === 2) {
        await kube.create(SECRET, secret("d"));
        kube.compact();
      }
    };
    await start();
    await clock.advance(1_000);
    expect(reflector.hasSynced).to.equal(true);
    expect(reflector.cache.size).to.equal(4);
  });

  for (const [what, error, tail] of [
    ["30 s while it is refused", refused, [6_400, 12_800, 25_600, 30_000, 30_000]],
    ["5 s while nobody answers", broken, [5_000, 5_000, 5_000]],
  ] as const) {
    it(`backs off from 0.8 s to ${what}, with a warning each time`, async () => {
      const times: number[] = [];
      kube.before = () => {
        times.push(clock.monotonicMs());
        throw error;
      };
      const pauses = [800, 1_600, 3_200, ...tail];
      await start();
      await clock.advance(pauses.reduce((sum, pause) => sum + pause, 0));
      expect(times.slice(1).map((time, index) => time - (times[index] ?? 0))).to.deep.equal(pauses);
      expect(logger.lines.filter(({ level }) => level === "warn")).to.have.length(times.length);
    });
  }

  it("lists soon after the API server is back, however long it was away and although it refuses at first", async () => {
    const answers = [refused, refused];
    kube.before = () => {
      if (clock.monotonicMs() < 60_000) {
        throw broken;
      }
      const refusal = answers.shift();
      if (refusal !== undefined) {
        throw refusal;
      }
    };
    await start();
    await clock.advance(60_000);
    expect(reflector.hasSynced).to.equal(false);
    // Five seconds until it asks the first time, then 0.8 s and 1.6 s.
    await clock.advance(7_400);
    expect(reflector.hasSynced).to.equal(true);
  });

  it("waits as long as the server asks", async () => {
    const times: number[] = [];
    kube.before = ({ verb }) => {
      if (verb === "list") {
        times.push(clock.monotonicMs());
        throw new KubeError({
          reason: "TooManyRequests",
          status: 429,
          message: "busy",
          retryAfterSeconds: 7,
        });
      }
    };
    await start();
    await clock.advance(7_000);
    expect(times).to.deep.equal([0, 7_000]);
  });

  it("backs off when the server ends each watch at once", async () => {
    kube.before = ({ verb }) => {
      if (verb === "watch") {
        setImmediate(() => kube.endWatches());
      }
    };
    await start();
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
    }
    expect(verbs().filter((verb) => verb === "watch").length).to.be.within(4, 10);
  });

  it("lists again when the server refuses its version as one from the future", async () => {
    await start();
    const error = new KubeError({
      reason: "Timeout",
      status: 504,
      message: "Too large resource version",
      causes: [{ reason: "ResourceVersionTooLarge" }],
    });
    kube.calls.length = 0;
    kube.endWatches({ error });
    await clock.advance(1_000);
    expect(verbs()).to.deep.equal(["list", "list", "watch"]);
  });

  it("does not list again because the server was away for a while", async () => {
    await start();
    kube.calls.length = 0;
    kube.endWatches({ error: new KubeError({ reason: "ServiceUnavailable", status: 503, message: "away" }) });
    await clock.advance(1_000);
    expect(verbs()).to.deep.equal(["watch"]);
  });

  it("gives up a watch that is silent for 150 s, and goes on from where it was", async () => {
    await start();
    kube.calls.length = 0;
    await clock.advance(149_999);
    expect(verbs()).to.deep.equal([]);
    await clock.advance(1_001);
    expect(verbs()).to.deep.equal(["watch"]);
    expect(kube.watcherCount).to.equal(1);
  });

  it("keeps a watch on which only bookmarks come", async () => {
    await start();
    kube.calls.length = 0;
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(60_000);
      kube.bookmark();
    }
    expect(verbs()).to.deep.equal([]);
  });

  it("shows the cache's age: since the last answer, event or bookmark", async () => {
    await start();
    expect(reflector.ageMs()).to.equal(0);
    await clock.advance(70_000);
    expect(reflector.ageMs()).to.equal(70_000);
    kube.bookmark();
    await clock.settle();
    expect(reflector.ageMs()).to.equal(0);
    kube.before = () => {
      throw broken;
    };
    kube.endWatches({ error: broken });
    await clock.advance(600_000);
    expect(reflector.ageMs()).to.equal(600_000);
  });

  it("survives a handler that throws, and tells the others", async () => {
    reflector.cache.subscribe({
      added: () => {
        throw new Error("broken handler");
      },
    });
    const others: string[] = [];
    reflector.cache.subscribe({ added: ({ metadata }) => others.push(metadata.name) });
    await start();
    expect(others).to.deep.equal(["a", "b", "c"]);
    const errors = logger.lines.filter(({ level }) => level === "error");
    expect(errors).to.have.length(3);
    expect(errors[0]?.fields["error"]).to.have.property("message", "broken handler");
  });

  it("ends with its signal, in a watch as in a pause", async () => {
    await start();
    stop.abort();
    await ended;
    expect(kube.watcherCount).to.equal(0);
    stop = new AbortController();
    kube.before = () => {
      throw broken;
    };
    const second = new Reflector({ client: kube, type: SECRET, clock, random: () => 0, logger });
    ended = second.run(stop.signal);
    await clock.settle();
    stop.abort();
    await ended;
  });
});
