import { expect } from "chai";
import type { KubeClient, ListPage } from "../../src/kube/client.ts";
import { ObjectCache } from "../../src/kube/cache.ts";
import type { KubeObject } from "../../src/kube/objects.ts";
import { NAMESPACE } from "../../src/kube/resources.ts";
import { OwnSatellites } from "../../src/operator/own-satellites.ts";
import { HANDOVER_MS, Shard } from "../../src/operator/shard.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { EmbeddedKube } from "../support/embedded-kube.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { satellite } from "./fixtures.ts";

const OF_A = "satellites.dev/shard=a";
const OF_REST = "satellites.dev/shard notin (a)";
const LABEL = "satellites.dev/shard";

describe("a shard", () => {
  let clock: VirtualClock;
  let kube: EmbeddedKube;
  let stop: AbortController;
  let running: Promise<unknown>[];

  beforeEach(() => {
    clock = new VirtualClock();
    kube = new EmbeddedKube();
    stop = new AbortController();
    running = [];
  });
  afterEach(async () => {
    stop.abort();
    await clock.advance(60_000);
    await Promise.all(running);
    expect(clock.pendingTimers).to.equal(0);
  });

  async function start(namespaceSelector: string, client: KubeClient = kube): Promise<Shard> {
    const shard = new Shard({ client, clock, random: () => 0, logger: silentLogger, namespaceSelector });
    running.push(shard.run(stop.signal));
    await clock.settle();
    await shard.synced();
    return shard;
  }

  const create = async (name: string, shard?: string): Promise<void> => {
    const labels: Record<string, string> = shard === undefined ? {} : { [LABEL]: shard };
    await kube.create(NAMESPACE, { metadata: { name, labels } });
    await clock.settle();
  };
  const label = async (name: string, shard: string | null): Promise<void> => {
    const body = { metadata: { labels: { [LABEL]: shard } } };
    await kube.patch(NAMESPACE, { name }, { type: "merge", body });
    await clock.settle();
  };
  const remove = async (name: string): Promise<void> => {
    await kube.delete(NAMESPACE, { name });
    await clock.settle();
  };

  it("acts in the namespaces that its selector matches, from its start on", async () => {
    await create("one", "a");
    await create("two");
    const [a, rest] = [await start(OF_A), await start(OF_REST)];
    expect(["one", "two", "default"].map((name) => [a.owns(name), rest.owns(name)])).to.deep.equal([
      [true, false],
      [false, true],
      [false, true],
    ]);
    expect([a.hasRest, rest.hasRest]).to.deep.equal([false, true]);
  });

  it("refuses a selector that cannot be read", async () => {
    const refused = await start("a in").then(
      () => "taken",
      (error: unknown) => String(error),
    );
    expect(refused).to.include('"a in" is not a label selector');
  });

  it("takes a namespace that was created with its label up at once", async () => {
    const a = await start(OF_A);
    const told: string[] = [];
    a.onChange((name, isOwn) => told.push(`${name} ${isOwn}`));
    await create("new", "a");
    expect(a.owns("new")).to.equal(true);
    expect(told).to.deep.equal(["new true"]);
  });

  it("gives a namespace up at once, and takes one over when the other has surely heard of it", async () => {
    await create("moved", "b");
    const [a, b] = [await start(OF_A), await start("satellites.dev/shard=b")];
    const told: string[] = [];
    a.onChange((name, isOwn) => told.push(`a ${name} ${isOwn}`));
    b.onChange((name, isOwn) => told.push(`b ${name} ${isOwn}`));
    await label("moved", "a");
    expect([a.owns("moved"), b.owns("moved")]).to.deep.equal([false, false]);
    await clock.advance(HANDOVER_MS - 1);
    expect(a.owns("moved")).to.equal(false);
    await clock.advance(1);
    expect([a.owns("moved"), b.owns("moved")]).to.deep.equal([true, false]);
    expect(told).to.deep.equal(["b moved false", "a moved true"]);
  });

  it("waits anew when a namespace was with another one in between", async () => {
    await create("moved");
    const a = await start(OF_A);
    await label("moved", "a");
    await clock.advance(HANDOVER_MS / 2);
    await label("moved", null);
    await label("moved", "a");
    await clock.advance(HANDOVER_MS - 1);
    expect(a.owns("moved")).to.equal(false);
    await clock.advance(1);
    expect(a.owns("moved")).to.equal(true);
  });

  it("waits with a namespace that was another's before it was deleted and created again", async () => {
    await create("again", "b");
    const a = await start(OF_A);
    await remove("again");
    await create("again", "a");
    expect(a.owns("again")).to.equal(false);
    await clock.advance(HANDOVER_MS);
    expect(a.owns("again")).to.equal(true);
    await remove("again");
    await create("again", "a");
    expect(a.owns("again"), "its own before").to.equal(true);
  });

  it("waits after its start with a namespace that was changed a moment ago", async () => {
    await create("one", "a");
    const changedAt = new Date(clock.now().getTime() + 50_000).toISOString();
    await clock.advance(60_000);
    const a = await start(OF_A, withManagedFields(kube, [{ time: changedAt }]));
    expect(a.owns("one")).to.equal(false);
    await clock.advance(HANDOVER_MS - 10_000 - 1);
    expect(a.owns("one")).to.equal(false);
    await clock.advance(1);
    expect(a.owns("one")).to.equal(true);
    const status = { time: changedAt, subresource: "status" };
    const again = await start(OF_A, withManagedFields(kube, [status]));
    expect(again.owns("one"), "only its status was changed").to.equal(true);
  });

  it("may not act while its watch brings nothing, and may again when it does", async () => {
    const a = await start(OF_A);
    await clock.advance(119_999);
    expect(a.isCurrent()).to.equal(true);
    await clock.advance(1);
    expect(a.isCurrent()).to.equal(false);
    await create("news");
    expect(a.isCurrent()).to.equal(true);
  });

  it("acts on no satellite of a namespace that it does not know, and one shard alone judges the machines of such", async () => {
    const [a, rest] = [await start(OF_A), await start(OF_REST)];
    expect([a.owns("gone"), rest.owns("gone")]).to.deep.equal([false, false]);
    expect([a.judges("gone"), rest.judges("gone")]).to.deep.equal([false, true]);
    await create("mine", "a");
    expect([a.judges("mine"), rest.judges("mine")]).to.deep.equal([true, false]);
    await label("mine", null);
    expect([a.judges("mine"), rest.judges("mine")], "while it changes hands").to.deep.equal([false, false]);
  });

  it("shows its own satellites alone, as they come and go with their namespaces", async () => {
    await create("mine", "a");
    await create("other");
    const a = await start(OF_A);
    const all = new ObjectCache<Satellite>({ clock, logger: silentLogger });
    const own = new OwnSatellites(all, a);
    const told: string[] = [];
    const end = own.subscribe({
      added: ({ metadata }) => told.push(`+${metadata.name}`),
      updated: ({ metadata }) => told.push(`~${metadata.name}`),
      deleted: ({ metadata }) => told.push(`-${metadata.name}`),
    });
    let version = 0;
    const at = (namespace: string, name: string): Satellite => {
      const one = satellite({ name });
      const metadata = { ...one.metadata, uid: `uid-${name}`, namespace, resourceVersion: `${++version}` };
      return { ...one, metadata };
    };
    const take = (): string[] => told.splice(0);
    all.observe(at("mine", "ada"));
    all.observe(at("other", "grace"));
    all.observe(at("mine", "ada"));
    all.observe(at("other", "grace"));
    expect(take()).to.deep.equal(["+ada", "~ada"]);
    expect(own.list().map(({ metadata }) => metadata.name)).to.deep.equal(["ada"]);
    await label("other", "a");
    await clock.advance(HANDOVER_MS);
    expect(take()).to.deep.equal(["+grace"]);
    await label("mine", "b");
    expect(take()).to.deep.equal(["-ada"]);
    all.observe(at("mine", "ada"));
    all.observeDeletion(at("other", "grace"));
    expect(take()).to.deep.equal(["-grace"]);
    end();
    await label("mine", "a");
    await clock.advance(HANDOVER_MS);
    expect(take()).to.deep.equal([]);
  });
});

/** The same, where the API server says when and by whom fields were changed. */
function withManagedFields(kube: EmbeddedKube, managedFields: readonly object[]): KubeClient {
  const list: KubeClient["list"] = async <T extends KubeObject>(
    ...[type, options]: Parameters<KubeClient["list"]>
  ): Promise<ListPage<T>> => {
    const { trim, ...rest } = options ?? {};
    const page = await kube.list<T>(type, rest);
    const items = page.items.map((item) => ({ ...item, metadata: { ...item.metadata, managedFields } }));
    return { ...page, items: items.map((item) => trim?.(item) ?? item) as T[] };
  };
  return new Proxy<KubeClient>(kube, {
    get: (target, name: keyof KubeClient) => (name === "list" ? list : target[name].bind(target)),
  });
}
