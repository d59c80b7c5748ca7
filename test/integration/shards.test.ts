import { expect } from "chai";
import type { Lease } from "../../src/kube/resources.ts";
import { Tag } from "../../src/machines/tags.ts";
import { HANDOVER_MS } from "../../src/operator/shard.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { eventually } from "../support/eventually.ts";
import { Installation, NAMESPACE, type OperatorProcess, SYSTEM_NAMESPACE } from "../support/installation.ts";

const CLASS = "/apis/satellites.dev/v1alpha1/satelliteclasses/default";
const LEASES = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/leases`;
const REST = { "namespace-selector": "satellites.dev/shard notin (b)" };
const B = { shard: "b", "namespace-selector": "satellites.dev/shard=b" };
/** Created with the label of shard b; without; and without at first. */
const OF_B = "team-b";
const OF_REST = NAMESPACE;
const MOVED = "moved";
const MAX_AWAKE = 3;
/** A satellite's namespace may change hands meanwhile. */
const PATIENCE = { timeoutMs: HANDOVER_MS + 90_000, pollMs: 100 };
const MERGE = { contentType: "application/merge-patch+json" };

describe("two operators that share a cluster by namespaces", function () {
  this.timeout(600_000);
  let product: Installation;
  let rest: OperatorProcess;
  let b: OperatorProcess;
  let movedAtMs: number;
  let givenUpAtMs: number;
  const all: string[] = [];

  before(async () => {
    product = await Installation.start({ changeMs: 100, leaseSeconds: 5 });
    await merge(CLASS, { spec: { maxAwake: { total: MAX_AWAKE } } });
    await createNamespace(OF_B, { "satellites.dev/shard": "b" });
    await createNamespace(MOVED);
    [rest, b] = await Promise.all([
      product.startOperator("rest", undefined, REST),
      product.startOperator("b", undefined, B),
    ]);
  });
  after(() => product?.stop());

  async function merge(path: string, body: object): Promise<void> {
    const answer = await product.server.admin.request("PATCH", path, body, MERGE);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
  }

  async function createNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    const { status } = await product.server.admin.request("POST", "/api/v1/namespaces", {
      metadata: { name, labels },
    });
    expect(status).to.equal(201);
  }

  async function create(namespace: string, name: string): Promise<void> {
    all.push(`${namespace}/${name}`);
    await product.client.create<Satellite>(SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name, namespace },
      spec: { idleTimeout: "0s" },
    } as Satellite);
  }

  const read = (namespace: string, name: string): Promise<Satellite> =>
    product.client.get<Satellite>(SATELLITES, { namespace, name });

  const isIn = (phase: string, namespace: string, name: string) => async (): Promise<boolean> =>
    (await read(namespace, name)).status?.phase === phase;

  async function power(namespace: string, name: string, desiredPower: "on" | "off"): Promise<void> {
    const patch = { type: "merge", body: { spec: { desiredPower } } } as const;
    await product.client.patch<Satellite>(SATELLITES, { namespace, name }, patch);
  }

  async function reaches(phase: string, namespace: string, name: string): Promise<void> {
    await eventually(`${namespace}/${name} is ${phase}`, isIn(phase, namespace, name), PATIENCE);
  }

  async function leaderOf(lease: string): Promise<string | undefined> {
    const { body } = await product.server.admin.request("GET", `${LEASES}/${lease}`);
    return (body as Lease).spec?.holderIdentity;
  }

  /** Namespaces whose satellites an operator has written, and "" where it wrote a class. */
  function written(operator: OperatorProcess, sinceMs = 0): Set<string> {
    return new Set(
      product
        .writesOf(operator.name, sinceMs)
        .filter(({ uri }) => uri.startsWith("/apis/satellites.dev"))
        .map(({ uri }) => /namespaces\/([^/]+)\/satellites/.exec(uri)?.[1] ?? ""),
    );
  }

  const launches = (operator: OperatorProcess): number =>
    operator.ec2Calls.filter(({ action }) => action === "RunInstances").length;

  const machineOf = (name: string): Readonly<Record<string, string>> =>
    product.instances(name)[0]?.tags ?? {};

  it("each lead by a Lease of their own, and act in their own namespaces alone", async () => {
    await create(OF_REST, "r1");
    await create(OF_B, "b1");
    await create(MOVED, "m1");
    await reaches("Running", OF_REST, "r1");
    await reaches("Running", OF_B, "b1");
    await reaches("Running", MOVED, "m1");
    expect(await leaderOf("satellites-operator")).to.equal(rest.name);
    expect(await leaderOf("satellites-operator-b")).to.equal(b.name);
    expect([launches(rest), launches(b)]).to.deep.equal([2, 1]);
    expect([...written(rest)].toSorted()).to.deep.equal(["", MOVED, OF_REST]);
    expect([...written(b)]).to.deep.equal([OF_B]);
    const phases = async (operator: OperatorProcess): Promise<string[]> =>
      (await operator.metrics()).split("\n").filter((line) => line.startsWith("satellites_phase{"));
    expect(await phases(rest)).to.deep.equal(['satellites_phase{phase="Running"} 2']);
    expect(await phases(b)).to.deep.equal(['satellites_phase{phase="Running"} 1']);
  });

  it("count what is awake of a class together", async () => {
    await create(OF_B, "b2");
    await eventually("b2 waits for its turn", async () => {
      const { conditions } = (await read(OF_B, "b2")).status ?? {};
      return conditions?.find(({ type }) => type === "Ready")?.reason === "AwakeLimitReached";
    });
    await power(OF_REST, "r1", "off");
    await reaches("Running", OF_B, "b2");
    await power(OF_B, "b2", "off");
    await reaches("Asleep", OF_B, "b2");
    expect([launches(rest), launches(b)]).to.deep.equal([2, 2]);
  });

  it("give a namespace up at once when its label changes", async () => {
    await merge(`/api/v1/namespaces/${MOVED}`, { metadata: { labels: { "satellites.dev/shard": "b" } } });
    movedAtMs = Date.now();
    // Its event has come when one that is later has.
    await createNamespace("later");
    await create("later", "l1");
    await reaches("Running", "later", "l1");
    givenUpAtMs = Date.now();
    await power(MOVED, "m1", "off");
    await power("later", "l1", "off");
    await reaches("Asleep", "later", "l1");
    expect(written(rest, givenUpAtMs)).to.not.include(MOVED);
    expect((await read(MOVED, "m1")).status.power.state).to.equal("Running");
  });

  it("leave each other's satellites as they are when one is killed", async () => {
    await b.stop("SIGKILL");
    const killedAtMs = Date.now();
    // Without its finalizer, so that its machine becomes nobody's: one of a namespace that nobody looks after now.
    await merge(`/apis/satellites.dev/v1alpha1/namespaces/${OF_B}/satellites/b2`, {
      metadata: { finalizers: [] },
    });
    await product.client.delete(SATELLITES, { namespace: OF_B, name: "b2" });
    await power(OF_B, "b1", "off");
    await power(OF_REST, "r1", "on");
    await reaches("Running", OF_REST, "r1");
    await power(OF_REST, "r1", "off");
    await reaches("Asleep", OF_REST, "r1");
    expect([...written(rest, killedAtMs)]).to.deep.equal([OF_REST]);
    expect((await read(OF_B, "b1")).status.phase).to.equal("Running");
    b = await product.startOperator("b-again", undefined, B);
    await reaches("Asleep", OF_B, "b1");
  });

  it("take a namespace over when the other has surely heard of it, also after a start", async () => {
    await reaches("Asleep", MOVED, "m1");
    const first = product.writesOf(b.name).find(({ uri }) => uri.includes(`/${MOVED}/`));
    // The API server's clock stands at full seconds in what it says of changes.
    expect(first?.atMs).to.be.at.least(movedAtMs + HANDOVER_MS - 2000);
    expect([...written(b)].toSorted()).to.deep.equal([MOVED, OF_B]);
    expect(written(rest, givenUpAtMs)).to.not.include(MOVED);
  });

  it("judge the machines of their own namespaces alone", async () => {
    await eventually(
      "shard b keeps the machine of b2 aside",
      () => Tag.orphanedAt in machineOf("b2"),
      PATIENCE,
    );
    for (const key of all) {
      const name = key.split("/")[1] ?? "";
      expect(Tag.orphanedAt in machineOf(name), `${key} is kept aside`).to.equal(name === "b2");
    }
    expect(rest.ec2Calls.filter(({ action }) => action === "CreateTags")).to.deep.equal([]);
    expect(b.ec2Calls.filter(({ action }) => action === "CreateTags")).to.not.deep.equal([]);
  });
});
