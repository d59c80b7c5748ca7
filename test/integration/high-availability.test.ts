import { expect } from "chai";
import type { GuestClient } from "../../src/guest/client.ts";
import type { GuestDescription } from "../../src/guest/schema.ts";
import type { Fault } from "../../src/local/ec2/faults.ts";
import { eventually } from "../support/eventually.ts";
import {
  Installation,
  NAMESPACE,
  type OperatorProcess,
  type RouterProcess,
  SATELLITES_PATH,
} from "../support/installation.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

/** Short, so that a hand-over need not be waited for long; long enough for a machine under load. */
const LEASE_SECONDS = 5;
const CHANGE_MS = 500;
const HELD_REQUESTS = 100;
/** Actions that change machines. */
const CHANGES = new Set([
  "RunInstances",
  "StartInstances",
  "StopInstances",
  "TerminateInstances",
  "CreateTags",
]);

/** Kubernetes writes microseconds, which Date reads too. */
const millis = (time: string | undefined): number => Date.parse(time ?? "");

describe("two operators and three routers on kube-apiserver", function () {
  this.timeout(240_000);
  let product: Installation;
  let routers: RouterProcess[];
  let proxy: TcpProxy;
  let serial = 0;
  const operators: OperatorProcess[] = [];

  before(async () => {
    product = await Installation.start({ changeMs: CHANGE_MS, leaseSeconds: LEASE_SECONDS });
    proxy = await TcpProxy.start(product.server.url);
    routers = await Promise.all([0, 1, 2].map((index) => product.startRouter(`router-${index}`)));
  });
  after(async () => {
    await product?.stop();
    await proxy?.stop();
  });

  // In order, so that the next leader finds the lease free.
  afterEach(async () => {
    proxy.mend();
    await Promise.all(operators.splice(0).map((operator) => operator.stop("SIGTERM")));
  });

  async function startOperator(name: string, through?: string): Promise<OperatorProcess> {
    serial += 1;
    const operator = await product.startOperator(`${name}-${serial}`, through);
    operators.push(operator);
    return operator;
  }

  /** A leader and a follower that is ready to take over, with names of their own. */
  async function startPair(
    through?: string,
  ): Promise<{ leader: OperatorProcess; follower: OperatorProcess }> {
    const leader = await startOperator("leader", through);
    await product.untilLeads(leader.name);
    const follower = await startOperator("follower");
    return { leader, follower };
  }

  /** Requests from as many clients, spread over the routers. */
  function request(name: string, count: number): Promise<PromiseSettledResult<GuestDescription>[]> {
    const clients: GuestClient[] = Array.from({ length: count }, (_, index) =>
      product.connect(routers[index % routers.length] as RouterProcess, name),
    );
    return Promise.allSettled(clients.map((client) => client.describe(60_000)));
  }

  function expectAnswered(answers: readonly PromiseSettledResult<GuestDescription>[]): void {
    const failures = answers
      .filter((answer) => answer.status === "rejected")
      .map(({ reason }) => String(reason));
    expect(failures).to.deep.equal([]);
    const bootIds = answers.map((answer) => (answer.status === "fulfilled" ? answer.value.bootId : ""));
    expect(new Set(bootIds)).to.have.property("size", 1);
  }

  /** State changes of the satellite's one instance so far: one for each stop and start that EC2 carried out. */
  function transitions(name: string): number {
    const instances = product.instances(name);
    expect(instances, `instances of ${name}`).to.have.length(1);
    return instances[0]?.transition ?? -1;
  }

  describe("when the leader is killed during a wake with 100 held requests", () => {
    const moments: readonly { readonly title: string; readonly fault: Fault | undefined }[] = [
      { title: "after EC2 answered", fault: undefined },
      {
        title: "after EC2 began the start, before it answered",
        fault: { action: "StartInstances", kind: "delay", delayMs: 60_000 },
      },
    ];
    for (const [index, { title, fault }] of moments.entries()) {
      it(`all are answered with one start: ${title}`, async () => {
        const name = `killed-${index}`;
        const { leader, follower } = await startPair();
        await product.asleep(name);
        if (fault !== undefined) {
          product.endpoint.faults.add(fault);
        }
        const answers = request(name, HELD_REQUESTS);
        await eventually("the instance starts", () => product.instances(name)[0]?.state === "pending");
        await leader.stop("SIGKILL");
        expectAnswered(await answers);
        await product.untilPhase(name, "Running");
        expect(transitions(name), "one stop and one start").to.equal(2);
        expect(leader.ec2Calls.filter(({ action }) => action === "StartInstances")).to.have.length(1);
        expect(follower.ec2Calls.filter(({ action }) => action === "StartInstances")).to.have.length(0);
      });
    }

    it("all are answered with one start: when the call never reached EC2", async () => {
      const { leader } = await startPair();
      await product.asleep("killed-before");
      product.endpoint.faults.add({ action: "StartInstances", kind: "drop" });
      const answers = request("killed-before", HELD_REQUESTS);
      await eventually("the call is lost", () =>
        leader.ec2Calls.some(({ action }) => action === "StartInstances"),
      );
      await leader.stop("SIGKILL");
      expectAnswered(await answers);
      await product.untilPhase("killed-before", "Running");
      expect(transitions("killed-before")).to.equal(2);
    });
  });

  it("hand the lead over at once when the leader is stopped in order, and within the lease's time when it is killed", async () => {
    const { leader, follower } = await startPair();
    await leader.stop("SIGTERM");
    const released = await product.untilLeads(follower.name);
    const heir = await startOperator("heir");
    const before = await product.leaderLease();
    await follower.stop("SIGKILL");
    const taken = await product.untilLeads(heir.name);

    // Candidates look every 2/15 to 4.4/15 of the lease's time (client-go's retry period with its jitter).
    const lookMs = LEASE_SECONDS * 1000 * (4.4 / 15);
    const slackMs = 2000;
    expect(millis(taken.acquireTime) - millis(before.renewTime)).to.be.within(
      LEASE_SECONDS * 1000,
      LEASE_SECONDS * 2000 + lookMs + slackMs,
    );
    expect(await leader.ended, "stopped in order").to.equal(0);
    expect(released.leaseTransitions).to.equal(before.leaseTransitions ?? 0);
    expect(taken.leaseTransitions).to.equal((before.leaseTransitions ?? 0) + 1);
  });

  /** It says that it leads no more, and goes on as a process that follows. */
  async function laysDown({ name }: { readonly name: string }): Promise<void> {
    await eventually("the lead is laid down", () => product.logOf(name).includes("Laid down the lead"));
    expect(product.logOf(name)).to.include("Lost the lead");
  }

  it("a leader that was paused notices that another leads, follows it, and touches nothing on its way", async () => {
    const { leader, follower } = await startPair();
    const names = Array.from({ length: 10 }, (_, index) => `paused-${index}`);
    await Promise.all(names.map((name) => product.asleep(name)));
    // They are sent one after the other; what is still to be told of the time before the pause is no act after it.
    await eventually("the events of falling asleep are written", async () => {
      const told = await asleepInEvents();
      return names.every((name) => told.has(name));
    });
    leader.signal("SIGSTOP");
    const pausedAt = new Date().toISOString();
    await product.untilLeads(follower.name);
    const callsBefore = leader.ec2Calls.length;
    // Half of what happened while it was paused is done by the new leader; half is still to be done.
    await Promise.all(names.slice(0, 5).map((name) => product.patch(name, { desiredPower: "on" })));
    await Promise.all(names.slice(0, 5).map((name) => product.untilPhase(name, "Running")));
    await Promise.all(names.slice(5).map((name) => product.patch(name, { desiredPower: "on" })));
    leader.signal("SIGCONT");
    await laysDown(leader);

    await Promise.all(names.map((name) => product.untilPhase(name, "Running")));
    const late = leader.ec2Calls.slice(callsBefore).filter(({ action }) => CHANGES.has(action));
    expect(late, "changes asked for by the paused leader").to.deep.equal([]);
    const writes = product.writesOf(leader.name, millis(pausedAt)).map(({ line }) => line);
    expect(writes, "writes of the paused leader").to.deep.equal([]);
    for (const name of names) {
      expect(transitions(name), name).to.equal(2);
    }
  });

  it("a leader that is cut off from the API server steps down before another leads, and the other wakes", async () => {
    const { leader, follower } = await startPair(proxy.address);
    await product.asleep("cut-off");
    proxy.cut();
    const answers = request("cut-off", 10);
    const lease = await product.untilLeads(follower.name);
    await laysDown(leader);
    const lost = logLine(product.logOf(leader.name), "Lost the lead");
    expect(millis(lost.timestamp), "stepped down first").to.be.lessThan(millis(lease.acquireTime));
    proxy.mend();
    expectAnswered(await answers);
    await product.untilPhase("cut-off", "Running");
    expect(transitions("cut-off")).to.equal(2);
    expect(leader.ec2Calls.filter(({ action }) => action === "StartInstances")).to.deep.equal([]);
  });

  /** Ends a router in order while a stream runs through it, which has to run to its end, and starts another. */
  async function replaceRouter(router: RouterProcess, index: number): Promise<RouterProcess> {
    let output = "";
    const flows = Promise.withResolvers<void>();
    const stream = product
      .connect(router, "rollout")
      .run("sh", {
        args: ["-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done"],
        onStdout: (chunk) => {
          output += chunk.toString();
          flows.resolve();
        },
      })
      .then(() => output, String);
    await Promise.race([flows.promise, stream]);
    await router.stop("SIGTERM");
    expect(await router.ended, "exit code").to.equal(0);
    expect(await stream).to.equal("1\n2\n3\n4\n5\n");
    return product.startRouter(`router-${index}`, { port: Number(router.address.split(":")[1]) });
  }

  it("replace all routers one after the other without a failed request", async () => {
    await startPair();
    await product.create("rollout");
    await product.untilPhase("rollout", "Running");
    const everywhere = { address: `ipv4:${routers.map(({ address }) => address).join(",")}` };
    const counts = { answered: 0, failures: [] as string[] };
    const rollout = { isOver: false };
    const workers = Array.from({ length: 6 }, async () => {
      const client = product.connect(everywhere, "rollout");
      while (!rollout.isOver) {
        try {
          await client.describe(30_000);
          counts.answered += 1;
        } catch (error) {
          counts.failures.push(String(error));
        }
      }
    });
    try {
      for (const [index, router] of routers.entries()) {
        routers[index] = await replaceRouter(router, index);
      }
      const atTheEnd = counts.answered;
      await eventually("requests go on", () => counts.answered > atTheEnd + 20);
    } finally {
      rollout.isOver = true;
    }
    await Promise.all(workers);
    expect(counts.failures).to.deep.equal([]);
  });

  it("a manifest without desiredPower, applied in a loop, never fights the router", async () => {
    await startPair();
    const manifest = {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name: "gitops", labels: { "app.kubernetes.io/managed-by": "gitops" } },
      spec: { idleTimeout: "5s", sleepMode: "Hibernate" },
    };
    const gitops = { isOver: false };
    let applied = 0;
    const answers: string[] = [];
    const apply = async (): Promise<void> => {
      const { status, body } = await product.server.admin.request(
        "PATCH",
        `${SATELLITES_PATH}/gitops?fieldManager=gitops`,
        manifest,
        { contentType: "application/apply-patch+yaml" },
      );
      applied += 1;
      if (status !== 200 && status !== 201) {
        answers.push(`${status} ${JSON.stringify(body)}`);
      }
    };
    await apply();
    const loop = (async () => {
      while (!gitops.isOver) {
        await apply();
      }
    })();
    for (const epoch of [2, 3]) {
      await product.untilPhase("gitops", "Asleep");
      const before = applied;
      await eventually("it is applied to the sleeper", () => applied > before + 10);
      expect(product.find("gitops")?.status.phase, "still asleep").to.equal("Asleep");
      const client = product.connect(routers[0] as RouterProcess, "gitops");
      await client.describe(60_000);
      client.close();
      const awake = await product.untilPhase("gitops", "Running");
      expect(awake.status.power.epoch).to.equal(epoch);
    }
    gitops.isOver = true;
    await loop;
    expect(answers).to.deep.equal([]);
    expect(product.callsAbout("gitops", "StartInstances")).to.deep.equal(["ok", "ok"]);
    const { body } = await product.server.admin.request("GET", `${SATELLITES_PATH}/gitops`);
    const { metadata } = body as { metadata: { managedFields: { manager: string }[] } };
    const mine = metadata.managedFields.find(({ manager }) => manager === "gitops");
    expect(JSON.stringify(mine)).to.include("f:idleTimeout").and.not.include("f:desiredPower");
  });

  /** Names of the satellites of which an event says that they fell asleep. */
  async function asleepInEvents(): Promise<Set<string>> {
    const { body } = await product.server.admin.request("GET", `/api/v1/namespaces/${NAMESPACE}/events`);
    const { items } = body as { items: { reason: string; involvedObject: { name: string } }[] };
    const told = items.filter(({ reason }) => ["Hibernated", "Stopped"].includes(reason));
    return new Set(told.map(({ involvedObject }) => involvedObject.name));
  }
});

/** The first line of a JSON log with that message. */
function logLine(log: string, message: string): { readonly timestamp: string } {
  const line = log.split("\n").find((each) => each.includes(`"message":"${message}"`));
  if (line === undefined) {
    throw new Error(`nobody logged "${message}":\n${log}`);
  }
  return JSON.parse(line) as { timestamp: string };
}
