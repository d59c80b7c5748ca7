import { expect } from "chai";
import { Installation, type OperatorProcess, type RouterProcess } from "../support/installation.ts";

/** The product's main job on kube-apiserver: operator and router are processes, VMs answer at their addresses. */
describe("operator and router on kube-apiserver", function () {
  this.timeout(180_000);
  let product: Installation;
  let router: RouterProcess;
  let operator: OperatorProcess;

  before(async () => {
    product = await Installation.start({ changeMs: 200, leaseSeconds: 60 });
    operator = await product.startOperator("operator-0");
    router = await product.startRouter("router-0");
  });
  after(() => product?.stop());

  it("launch, answer, hibernate when idle, wake by a request with memory kept, and delete without a trace", async () => {
    await product.create("ada", { idleTimeout: "5s" });
    const running = await product.untilPhase("ada", "Running");
    expect(running.status.power.epoch).to.equal(1);

    const first = await product.connect(router, "ada").describe(30_000);
    const asleep = await product.untilPhase("ada", "Asleep");
    expect(asleep.spec.desiredPower).to.equal("off");
    expect(asleep.status.sleep).to.include({ kind: "Hibernated" });

    const second = await product.connect(router, "ada").describe(30_000);
    expect(second.bootId).to.equal(first.bootId);
    const awake = await product.untilPhase("ada", "Running");
    expect([awake.spec.desiredPower, awake.status.power.epoch]).to.deep.equal(["on", 2]);

    const metrics = await operator.metrics();
    for (const state of ["awake", "asleep"]) {
      expect(metrics).to.match(
        new RegExp(
          `^satellites_state_seconds_total\\{[^}]*class="default",state="${state}"\\} (?!0$)\\d`,
          "m",
        ),
      );
    }
    // The launch began before the operator knew of a machine, and counts as well.
    expect(metrics).to.match(/^satellites_starts_total\{satellite_namespace="[^"]+",class="default"\} 2$/m);

    await product.delete("ada");
    await product.untilGone("ada");
    expect(product.instances("ada").map(({ state }) => state)).to.deep.equal(["terminated"]);
    const changes = ["RunInstances", "StopInstances", "StartInstances", "TerminateInstances"];
    expect(changes.map((action) => product.callsAbout("ada", action))).to.deep.equal(
      changes.map(() => ["ok"]),
    );
  });

  it("wake once for many requests", async () => {
    await product.asleep("burst");
    const clients = Array.from({ length: 50 }, () => product.connect(router, "burst"));
    const answers = await Promise.all(clients.map((client) => client.describe(30_000)));
    expect(new Set(answers.map(({ bootId }) => bootId))).to.have.property("size", 1);
    expect(product.callsAbout("burst", "StartInstances")).to.deep.equal(["ok"]);
  });

  it("go on after the API server was killed, and lose no satellite", async () => {
    await product.asleep("restart");
    await product.server.restart("SIGKILL");
    const { bootId } = await product.connect(router, "restart").describe(60_000);
    expect(bootId).to.not.equal("");
    expect(product.callsAbout("restart", "StartInstances")).to.deep.equal(["ok"]);
    expect([operator.isRunning(), router.isRunning()]).to.deep.equal([true, true]);
    expect((await product.leaderLease()).leaseTransitions, "the leader kept its lead").to.equal(0);
  });

  it("go on after etcd has forgotten what they had seen last", async () => {
    await product.asleep("compacted");
    await product.server.compact();
    await product.server.restart();
    await product.connect(router, "compacted").describe(60_000);
    await product.untilPhase("compacted", "Running");
    expect(product.callsAbout("compacted", "StartInstances")).to.deep.equal(["ok"]);
  });
});
