import { expect } from "chai";
import { KubeError } from "../../src/kube/errors.ts";
import { EventRecorder } from "../../src/kube/events.ts";
import type { KubeObject } from "../../src/kube/objects.ts";
import { EVENT } from "../../src/kube/resources.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { EmbeddedKube } from "../support/embedded-kube.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface StoredEvent extends KubeObject {
  count: number;
  message: string;
  reason: string;
  firstTimestamp: string;
  lastTimestamp: string;
}

describe("EventRecorder", () => {
  const subject: KubeObject = {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: { namespace: "apps", name: "web", uid: "u-1", resourceVersion: "7" },
  };
  const woke = { type: "Normal", reason: "Woke", message: "woke for a request" } as const;
  let clock: VirtualClock;
  let kube: EmbeddedKube;
  let logger: CollectingLogger;
  let recorder: EventRecorder;

  beforeEach(() => {
    clock = new VirtualClock();
    kube = new EmbeddedKube({ namespaces: ["apps", "system"] });
    logger = new CollectingLogger();
    let seed = 0;
    recorder = new EventRecorder({
      client: kube,
      clock,
      random: () => (seed += 1 / 1024),
      logger,
      component: "satellites-operator",
      instance: "operator-0",
    });
  });

  const stored = async (): Promise<StoredEvent[]> => (await kube.list<StoredEvent>(EVENT)).items;
  const verbs = (): string[] => kube.calls.map(({ verb }) => verb);

  it("writes what kubectl describe shows", async () => {
    recorder.record(subject, woke);
    await recorder.flush();
    const [event] = await stored();
    const { metadata, ...rest } = event!;
    expect(metadata.namespace).to.equal("apps");
    expect(metadata.name).to.match(/^web\.[0-9a-f]+$/);
    expect(rest).to.deep.equal({
      apiVersion: "v1",
      kind: "Event",
      // The server writes it into every event.
      eventTime: null,
      involvedObject: {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        name: "web",
        namespace: "apps",
        uid: "u-1",
        resourceVersion: "7",
      },
      ...woke,
      count: 1,
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:00:00Z",
      source: { component: "satellites-operator", host: "operator-0" },
      reportingComponent: "satellites-operator",
      reportingInstance: "operator-0",
    });
  });

  it("puts events about cluster-scoped objects into the namespace default", async () => {
    recorder.record({ ...subject, metadata: { name: "class", uid: "u-2" } }, woke);
    await recorder.flush();
    expect((await stored())[0]?.metadata.namespace).to.equal("default");
  });

  it("counts repetitions on one Event object", async () => {
    for (let repetition = 0; repetition < 3; repetition++) {
      recorder.record(subject, woke);
      await recorder.flush();
      await clock.advance(60_000);
    }
    const events = await stored();
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({
      count: 3,
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:02:00Z",
    });
  });

  it("sends repetitions that wait as one", async () => {
    const gate = Promise.withResolvers<void>();
    kube.before = ({ verb }) => (verb === "create" ? gate.promise : undefined);
    for (let repetition = 0; repetition < 5; repetition++) {
      recorder.record(subject, woke);
    }
    gate.resolve();
    await recorder.flush();
    expect(verbs()).to.deep.equal(["create", "patch"]);
    expect((await stored())[0]?.count).to.equal(5);
  });

  it("makes the Event anew when the server has forgotten it", async () => {
    recorder.record(subject, woke);
    await recorder.flush();
    const [event] = await stored();
    await kube.delete(EVENT, { namespace: "apps", name: event!.metadata.name });
    recorder.record(subject, woke);
    await recorder.flush();
    expect((await stored()).map(({ count }) => count)).to.deep.equal([2]);
  });

  it("combines more than ten different messages of one reason", async () => {
    for (let attempt = 1; attempt <= 14; attempt++) {
      recorder.record(subject, { ...woke, message: `attempt ${attempt}` });
      await recorder.flush();
    }
    const events = await stored();
    expect(events).to.have.length(11);
    expect(events.at(-1)).to.deep.include({
      message: "(combined from similar events): attempt 14",
      count: 4,
    });
  });

  it("takes 25 messages about one object, then one every five minutes, without harm to others", async () => {
    const burst = async (): Promise<number | undefined> => {
      for (let repetition = 0; repetition < 40; repetition++) {
        recorder.record(subject, woke);
      }
      await recorder.flush();
      return (await stored())[0]?.count;
    };
    expect(await burst()).to.equal(25);
    await clock.advance(300_000);
    expect(await burst()).to.equal(26);
    recorder.record({ ...subject, metadata: { ...subject.metadata, name: "other", uid: "u-9" } }, woke);
    await recorder.flush();
    expect(await stored()).to.have.length(2);
  });

  it("tries again while the server is away, once only on the server in the end", async () => {
    let failures = 3;
    kube.after = ({ verb }) => {
      if (verb === "create" && failures-- > 0) {
        throw new KubeError({ reason: "Unreachable", status: 0, message: "answer lost by the test" });
      }
    };
    recorder.record(subject, woke);
    await clock.advance(20_000);
    await recorder.flush();
    expect(await stored()).to.have.length(1);
    expect(logger.lines).to.deep.equal([]);
  });

  it("drops, with a warning, what the server refuses or never takes", async () => {
    kube.before = () => {
      throw new KubeError({ reason: "Forbidden", status: 403, message: "namespace is being terminated" });
    };
    recorder.record(subject, woke);
    await recorder.flush();
    kube.before = () => {
      throw new KubeError({ reason: "Unreachable", status: 0, message: "away" });
    };
    recorder.record(subject, { ...woke, reason: "Slept" });
    await clock.advance(120_000);
    await recorder.flush();
    expect(logger.lines.map(({ level, fields }) => [level, fields["reason"]])).to.deep.equal([
      ["warn", "Woke"],
      ["warn", "Slept"],
    ]);
  });

  it("lets its caller go on, whatever the client does", () => {
    kube.before = () => {
      throw new TypeError("a mistake");
    };
    expect(() => recorder.record(subject, woke)).to.not.throw();
  });

  it("closes: sends what it can in the time given, then takes no more", async () => {
    kube.before = () => new Promise(() => {});
    recorder.record(subject, woke);
    const closed = recorder.close(5_000);
    await clock.advance(5_000);
    await closed;
    kube.before = () => {};
    recorder.record(subject, { ...woke, reason: "Slept" });
    await recorder.flush();
    expect(await stored()).to.deep.equal([]);
    expect(logger.lines.map(({ level }) => level)).to.deep.equal(["warn"]);
  });
});
