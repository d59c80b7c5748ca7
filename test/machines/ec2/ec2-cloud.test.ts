import { expect } from "chai";
import { sleep } from "../../../src/base/clock.ts";
import { Registry } from "@prometheus-io/client";
import { DOCUMENTED_LIMITS } from "../../../src/local/ec2/request-buckets.ts";
import { defaultNetwork } from "../../../src/local/ec2/network.ts";
import { createEc2Cloud } from "../../../src/machines/ec2/ec2-cloud.ts";
import type { ClassFacts, GuestWords } from "../../../src/machines/cloud.ts";
import { dataVolumeTags, ownerTags, Tag } from "../../../src/machines/tags.ts";
import { CloudError } from "../../../src/machines/errors.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import {
  AMD64_IMAGE,
  ARM64_IMAGE,
  CLASS,
  CLUSTER,
  CREDENTIALS,
  REGION,
  createAccount,
  launchOne,
  launchRequest,
  seeded,
  type Account,
} from "./ec2-account.ts";

const STOP = { hibernate: false, force: false };
const HIBERNATE = { hibernate: true, force: false };

async function failure(account: Account, work: Promise<unknown>): Promise<CloudError> {
  const [outcome] = await account.run(Promise.allSettled([work]));
  if (outcome?.status !== "rejected" || !(outcome.reason instanceof CloudError)) {
    throw new TypeError(`expected a CloudError, got ${JSON.stringify(outcome)}`);
  }
  return outcome.reason;
}

const calls = (account: Account, action: string): number => account.endpoint.log.calls(action).length;

/** Launches whose turn does not come within half a minute say so, and are to be sent again. */
async function patiently<T>({ clock }: Account, launch: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await launch();
    } catch (error) {
      if (!(error instanceof CloudError) || error.code !== "WaitsForItsTurn") {
        throw error;
      }
      await sleep(clock, 1000);
    }
  }
}

/** An account with `count` machines that are stopped. */
async function sleepers(account: Account, count: number): Promise<string[]> {
  const request = launchRequest();
  const { plan } = await account.run(account.cloud.resolve(request));
  const launches = Array.from({ length: count }, (_, index) =>
    patiently(account, () => account.cloud.launch({ ...plan, token: `token-${index}` }, request.userData)),
  );
  const ids = (await account.run(Promise.all(launches))).map(({ id }) => id);
  await account.run(account.model.settled());
  await account.run(Promise.all(ids.map((id) => account.cloud.stop(id, HIBERNATE))));
  await account.run(account.model.settled());
  account.endpoint.log.clear();
  await account.clock.advance(600_000);
  return ids;
}

describe("EC2 cloud", () => {
  describe("a life", () => {
    it("says of a launch whose turn does not come in half a minute that it waits, and sends it when it is asked again", async () => {
      const account = createAccount({
        model: { network: defaultNetwork(REGION, ["127.64.0.0/20", "127.65.0.0/20"]) },
        endpoint: { limits: DOCUMENTED_LIMITS },
      });
      const request = launchRequest();
      const { plan } = await account.run(account.cloud.resolve(request));
      const launch = (index: number): Promise<unknown> =>
        account.cloud.launch({ ...plan, token: `token-${index}` }, request.userData);
      const beganMs = account.clock.monotonicMs();
      const outcomes = await account.run(
        Promise.allSettled(Array.from({ length: 100 }, (_, index) => launch(index))),
      );
      expect(account.clock.monotonicMs() - beganMs).to.be.within(30_000, 40_000);
      const waiting = outcomes.flatMap((outcome, index) => (outcome.status === "rejected" ? [index] : []));
      // Five at once, and two a second (EC2 developer guide, "Request throttling").
      expect(waiting.length).to.be.within(30, 36);
      expect(outcomes[waiting[0] ?? 0])
        .to.have.property("reason")
        .that.includes({
          class: "throttled",
          reason: "Throttled",
          outcomeUnknown: false,
        });
      expect(calls(account, "RunInstances")).to.equal(100 - waiting.length);
      await account.run(Promise.all(waiting.map(launch)));
      expect(calls(account, "RunInstances")).to.equal(100);
    });

    it("launches, hibernates, starts and terminates, and leaves nothing", async () => {
      const account = createAccount({ script: { launchMs: 5_000, hibernateMs: 20_000, resumeMs: 2_000 } });
      const { cloud, hypervisor, model } = account;
      const { machine } = await launchOne(account);
      expect(machine).to.include({ state: "pending", address: "127.77.0.4", hibernationConfigured: true });
      const boot = hypervisor.vm(machine.id)?.boot;

      await account.run(cloud.stop(machine.id, HIBERNATE));
      expect(await account.run(cloud.describe(machine.id, 0))).to.include({ state: "stopping" });
      await account.run(model.settled());
      const asleep = await account.run(cloud.describe(machine.id, 0));
      expect(asleep).to.include({ state: "stopped", address: "127.77.0.4" });
      expect(asleep?.stateReason?.code).to.equal("Client.UserInitiatedHibernate");

      await account.run(cloud.start(machine.id));
      await account.run(model.settled());
      expect(await account.run(cloud.describe(machine.id, 0))).to.include({ state: "running" });
      expect(hypervisor.vm(machine.id)?.boot).to.equal(boot);

      await account.run(cloud.terminate(machine.id));
      await account.run(model.settled());
      expect(await account.run(cloud.describe(machine.id, 0))).to.include({ state: "terminated" });
      expect(hypervisor.ids()).to.deep.equal([]);
    });

    it("tags the instance and its volume, encrypts the volume and makes it hold the memory", async () => {
      const account = createAccount();
      const { machine } = await launchOne(account);
      const instance = account.model.instances.truth(machine.id);
      const tags = {
        team: "a",
        "satellites.dev/cluster": CLUSTER,
        "satellites.dev/namespace": "team-a",
        "satellites.dev/name": "ada",
        "satellites.dev/uid": "11111111-0000-4000-8000-000000000001",
        Name: "team-a/ada",
      };
      expect(machine.tags).to.deep.equal(tags);
      expect(instance.volume.tags).to.deep.equal(tags);
      expect(instance.volume).to.include({ encrypted: true, deleteOnTermination: true, sizeGiB: 4 + 8 });
      expect(instance.metadataOptions).to.deep.equal({ httpTokens: "required", hopLimit: 1 });
    });
  });

  describe("launch", () => {
    it("asks for no public address, whatever the subnet would give", async () => {
      const bodies: string[] = [];
      const account = createAccount();
      const { handle } = account.endpoint;
      const watched = createAccount({
        clock: account.clock,
        cloud: {
          transport: (request) => {
            bodies.push(request.body);
            return handle(request);
          },
        },
      });
      const { plan } = await account.run(watched.cloud.resolve(launchRequest()));
      await account.run(watched.cloud.launch(plan, ""));
      expect(bodies.at(-1)).to.include("NetworkInterface.1.AssociatePublicIpAddress=false");
    });

    it("finds the machine of an answer that was lost, by sending the same again", async () => {
      const account = createAccount();
      const request = launchRequest();
      const { plan } = await account.run(account.cloud.resolve(request));
      account.endpoint.faults.add({ action: "RunInstances", kind: "forget" });
      const lost = await failure(account, account.cloud.launch(plan, request.userData));
      expect(lost).to.include({ class: "server", outcomeUnknown: true });
      const machine = await account.run(account.cloud.launch(plan, request.userData));
      expect(account.model.instances.truths().map(({ id }) => id)).to.deep.equal([machine.id]);
    });

    it("finds the machine of an answer that was lost also when the next request is refused", async () => {
      for (const code of ["UnauthorizedOperation", "VcpuLimitExceeded", "InvalidParameterValue"]) {
        const account = createAccount();
        const { machine, plan } = await launchOne(account);
        account.endpoint.faults.add({ action: "RunInstances", kind: "refuse", code });
        const again = await account.run(account.cloud.launch(plan, launchRequest().userData));
        expect(again.id).to.equal(machine.id);
      }
    });

    it("does not know the outcome when a request is refused and the machines cannot be listed", async () => {
      const account = createAccount();
      const { plan } = await account.run(account.cloud.resolve(launchRequest()));
      account.endpoint.faults.add({ action: "RunInstances", kind: "refuse", code: "UnauthorizedOperation" });
      account.endpoint.faults.add({
        action: "DescribeInstances",
        kind: "refuse",
        code: "UnauthorizedOperation",
      });
      const error = await failure(account, account.cloud.launch(plan, launchRequest().userData));
      expect(error).to.include({ code: "LaunchNotVisible", outcomeUnknown: true });
    });

    it("finds the machine by its token when the request has changed in between", async () => {
      const account = createAccount();
      const { machine, plan } = await launchOne(account);
      const again = await account.run(account.cloud.launch(plan, "#!/bin/sh\necho other\n"));
      expect(again.id).to.equal(machine.id);
    });

    it("never takes a machine that is not visible yet for none", async () => {
      const account = createAccount({ model: { visibilityDelayMs: () => 60_000 } });
      const { plan } = await account.run(account.cloud.resolve(launchRequest()));
      await account.run(account.cloud.launch(plan, "one"));
      expect(await failure(account, account.cloud.launch(plan, "two"))).to.include({
        code: "LaunchNotVisible",
        outcomeUnknown: true,
      });
      await account.clock.advance(60_000);
      await account.run(account.cloud.launch(plan, "two"));
      expect(account.model.instances.truths()).to.have.length(1);
    });

    it("can be looked for by its token without being sent", async () => {
      const account = createAccount();
      const request = launchRequest();
      const { plan } = await account.run(account.cloud.resolve(request));
      expect(await account.run(account.cloud.findLaunched(plan))).to.equal(undefined);
      const { id } = await account.run(account.cloud.launch(plan, request.userData));
      expect(await account.run(account.cloud.findLaunched(plan))).to.include({ id });
      expect(calls(account, "RunInstances")).to.equal(1);
    });

    it("says that a token is used up when its machine was terminated", async () => {
      const account = createAccount();
      const { machine, plan } = await launchOne(account);
      await account.run(account.cloud.terminate(machine.id));
      await account.run(account.model.settled());
      const error = await failure(account, account.cloud.launch(plan, launchRequest().userData));
      expect(error).to.include({ code: "IdempotentInstanceTerminated", class: "token" });
    });

    it("finds the machine also when its image is gone meanwhile", async () => {
      const account = createAccount();
      const { machine, plan } = await launchOne(account);
      const other = createEc2Cloud({
        region: REGION,
        cluster: CLUSTER,
        clock: account.clock,
        random: seeded(3),
        logger: silentLogger,
        registry: new Registry(),
        credentials: CREDENTIALS,
        transport: account.endpoint.handle,
      });
      const fault = {
        action: "DescribeImages",
        kind: "refuse",
        code: "InvalidAMIID.NotFound",
        times: 9,
      } as const;
      account.endpoint.faults.add(fault);
      expect((await account.run(other.launch(plan, launchRequest().userData))).id).to.equal(machine.id);
    });
  });

  describe("start", () => {
    it("sends one request for fifty callers of one machine", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      await account.run(Promise.all(Array.from({ length: 50 }, () => account.cloud.start(id))));
      expect(calls(account, "StartInstances")).to.equal(1);
    });

    it("does not delay a single wake", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      const beganMs = account.clock.monotonicMs();
      await account.run(account.cloud.start(id));
      expect(account.clock.monotonicMs()).to.equal(beganMs);
    });

    it("wakes a thousand at once with few calls, within EC2's documented limits", async () => {
      const limits = DOCUMENTED_LIMITS;
      const account = createAccount({
        model: { network: defaultNetwork(REGION, ["127.64.0.0/20", "127.65.0.0/20"]) },
        endpoint: { limits },
        script: { resumeMs: 17_000 },
      });
      const ids = await sleepers(account, 1_000);
      const beganMs = account.clock.monotonicMs();
      await account.run(Promise.all(ids.map((id) => account.cloud.start(id))));
      expect(calls(account, "StartInstances")).to.be.at.most(20);
      expect(account.endpoint.log.calls().every(({ outcome }) => outcome === "ok")).to.equal(true);
      expect(account.clock.monotonicMs() - beganMs).to.be.at.most(2_000);
    }).timeout(60_000);

    it("starts the others when some are gone, in a wrong state or without capacity", async () => {
      const account = createAccount();
      const ids = await sleepers(account, 40);
      const [gone = "", terminated = "", noRoom = ""] = ids;
      account.endpoint.faults.add({
        action: "StartInstances",
        kind: "refuse",
        code: "InvalidInstanceID.NotFound",
        message: `The instance ID '${gone}' does not exist`,
        containing: gone,
        times: 100,
      });
      account.endpoint.faults.add({
        action: "StartInstances",
        kind: "refuse",
        code: "InsufficientInstanceCapacity",
        status: 500,
        containing: noRoom,
        times: 100,
      });
      await account.run(account.cloud.terminate(terminated));
      await account.run(account.model.settled());
      const outcomes = await account.run(Promise.allSettled(ids.map((id) => account.cloud.start(id))));
      const failures = outcomes.map((outcome) =>
        outcome.status === "rejected" ? (outcome.reason as CloudError).class : "ok",
      );
      expect(failures.slice(0, 3)).to.deep.equal(["gone", "state", "capacity"]);
      expect(new Set(failures.slice(3))).to.deep.equal(new Set(["ok"]));
      expect(calls(account, "StartInstances")).to.be.at.most(16);
    });

    for (const [how, message] of [
      [
        "which EC2 names",
        (id: string) => `not authorized to perform: ec2:StartInstances on resource: instance/${id}`,
      ],
      ["which EC2 does not name", () => "You are not authorized to perform this operation."],
    ] as const) {
      it(`starts the others when one may not be started, ${how}`, async () => {
        const account = createAccount();
        const ids = await sleepers(account, 40);
        const forbidden = ids[17] ?? "";
        account.endpoint.faults.add({
          action: "StartInstances",
          kind: "refuse",
          code: "UnauthorizedOperation",
          status: 403,
          message: message(forbidden),
          containing: forbidden,
          times: 100,
        });
        const outcomes = await account.run(Promise.allSettled(ids.map((id) => account.cloud.start(id))));
        const refused = ids.filter((_, index) => outcomes[index]?.status === "rejected");
        expect(refused).to.deep.equal([forbidden]);
        expect(calls(account, "StartInstances")).to.be.at.most(14);
      });
    }

    it("tells all at once that the account may do nothing, however many they are", async () => {
      const account = createAccount();
      const ids = await sleepers(account, 40);
      account.endpoint.faults.add({
        action: "StartInstances",
        kind: "refuse",
        code: "Blocked",
        status: 403,
        times: 100,
      });
      const outcomes = await account.run(Promise.allSettled(ids.map((id) => account.cloud.start(id))));
      expect(outcomes.filter(({ status }) => status === "rejected")).to.have.length(40);
      expect(calls(account, "StartInstances")).to.be.at.most(2);
    });

    it("waits and repeats while EC2 says that there are too many requests", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      const fault = {
        action: "StartInstances",
        kind: "refuse",
        code: "RequestLimitExceeded",
        status: 503,
      } as const;
      account.endpoint.faults.add({ ...fault, times: 2 });
      const beganMs = account.clock.monotonicMs();
      await account.run(account.cloud.start(id));
      expect(calls(account, "StartInstances")).to.equal(3);
      expect(account.clock.monotonicMs() - beganMs).to.be.at.least(1_500);
    });

    describe("with credentials that have expired", () => {
      const EXPIRED = { action: "StartInstances", kind: "refuse", code: "ExpiredToken" } as const;

      /** An account whose credentials are another key each time that they are asked for, and what was asked for. */
      function renewable(isThere: () => boolean = () => true): {
        readonly account: Account;
        readonly asked: string[];
      } {
        const asked: string[] = [];
        const credentials = (): Promise<typeof CREDENTIALS> => {
          asked.push(isThere() ? "given" : "refused");
          return isThere()
            ? Promise.resolve({ ...CREDENTIALS, accessKeyId: `AKIDEXAMPLE${asked.length}` })
            : Promise.reject(new Error("no credentials"));
        };
        return { account: createAccount({ cloud: { credentials } }), asked };
      }

      it("asks for others at once and sends the same again, for all that were refused together", async () => {
        const { account, asked } = renewable();
        const ids = await sleepers(account, 3);
        const before = asked.length;
        account.endpoint.faults.add(EXPIRED);
        const beganMs = account.clock.monotonicMs();
        await account.run(Promise.all(ids.map((id) => account.cloud.start(id))));
        expect(account.clock.monotonicMs() - beganMs).to.be.below(1000);
        expect(calls(account, "StartInstances")).to.equal(2);
        expect(asked.length - before).to.equal(1);
      });

      it("says so when the others are refused, too, and does not ask for more in the same breath", async () => {
        const { account, asked } = renewable();
        const [id = ""] = await sleepers(account, 1);
        account.endpoint.faults.add({ ...EXPIRED, times: 99 });
        const before = asked.length;
        expect(await failure(account, account.cloud.start(id))).to.include({ reason: "CredentialsInvalid" });
        expect(await failure(account, account.cloud.start(id))).to.include({ reason: "CredentialsInvalid" });
        expect(calls(account, "StartInstances")).to.equal(3);
        expect(asked.length - before).to.equal(1);
      });

      it("asks again when the others are refused five seconds later, and not before", async () => {
        const { account, asked } = renewable();
        const [id = ""] = await sleepers(account, 1);
        account.endpoint.faults.add({ ...EXPIRED, times: 99 });
        const before = asked.length;
        await failure(account, account.cloud.start(id));
        await account.clock.advance(4_900);
        await failure(account, account.cloud.start(id));
        expect(asked.length - before).to.equal(1);
        await account.clock.advance(200);
        await failure(account, account.cloud.start(id));
        expect(asked.length - before).to.equal(2);
      });

      it("says so when there are no others", async () => {
        let isThere = true;
        const { account } = renewable(() => isThere);
        const [id = ""] = await sleepers(account, 1);
        account.endpoint.faults.add(EXPIRED);
        isThere = false;
        expect(await failure(account, account.cloud.start(id))).to.include({ code: "ExpiredToken" });
        expect(calls(account, "StartInstances")).to.equal(1);
      });
    });

    it("is not sent by a process that is not the leader any more", async () => {
      let leads = true;
      const account = createAccount({ cloud: { changeBudgetMs: () => (leads ? 10_000 : 0) } });
      const [id = ""] = await sleepers(account, 1);
      leads = false;
      expect(await failure(account, account.cloud.start(id))).to.include({
        code: "LeadershipLost",
        class: "not-sent",
        outcomeUnknown: false,
      });
      expect(calls(account, "StartInstances")).to.equal(0);
    });

    it("is given up when the leader's lease ends before the call's own time", async () => {
      const account = createAccount({ cloud: { changeBudgetMs: () => 4_000 } });
      const [id = ""] = await sleepers(account, 1);
      account.endpoint.faults.add({ action: "StartInstances", kind: "delay", delayMs: 60_000 });
      const beganMs = account.clock.monotonicMs();
      expect(await failure(account, account.cloud.start(id))).to.include({ outcomeUnknown: true });
      expect(account.clock.monotonicMs() - beganMs).to.equal(4_000);
    });

    it("gives up waiting for an answer after ten seconds, not knowing the outcome", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      account.endpoint.faults.add({ action: "StartInstances", kind: "delay", delayMs: 60_000 });
      const beganMs = account.clock.monotonicMs();
      expect(await failure(account, account.cloud.start(id))).to.include({
        class: "server",
        outcomeUnknown: true,
      });
      expect(account.clock.monotonicMs() - beganMs).to.equal(10_000);
    });
  });

  describe("stop", () => {
    it("keeps stopping, hibernating and forcing in requests apart", async () => {
      const account = createAccount({ script: { stopHangs: () => true } });
      const request = launchRequest();
      const { plan } = await account.run(account.cloud.resolve(request));
      const ids: string[] = [];
      for (const token of ["a", "b", "c"]) {
        ids.push((await account.run(account.cloud.launch({ ...plan, token }, request.userData))).id);
      }
      await account.run(account.model.settled());
      const [a = "", b = "", c = ""] = ids;
      await account.run(
        Promise.all([
          account.cloud.stop(a, STOP),
          account.cloud.stop(b, HIBERNATE),
          account.cloud.stop(c, { hibernate: true, force: true }),
        ]),
      );
      expect(account.endpoint.log.calls("StopInstances").map((call) => call.ids)).to.have.deep.members([
        [a],
        [b],
        [c],
      ]);
    });

    it("is told that it is too early to hibernate, and later not", async () => {
      const account = createAccount({ model: { hibernationReadyAfterMs: 120_000 } });
      const { machine } = await launchOne(account);
      const early = await failure(account, account.cloud.stop(machine.id, HIBERNATE));
      expect(early.class).to.equal("hibernation-not-ready");
      await account.clock.advance(120_000);
      await account.run(account.cloud.stop(machine.id, HIBERNATE));
    });
  });

  describe("describe", () => {
    it("serves those that ask together with one request, and later ones from what was read", async () => {
      const account = createAccount();
      const ids = await sleepers(account, 30);
      await account.run(Promise.all(ids.map((id) => account.cloud.describe(id, 0))));
      expect(calls(account, "DescribeInstances")).to.equal(1);
      await account.clock.advance(4_000);
      await account.run(Promise.all(ids.map((id) => account.cloud.describe(id, 5_000))));
      expect(calls(account, "DescribeInstances")).to.equal(1);
      await account.run(Promise.all(ids.map((id) => account.cloud.describe(id, 3_000))));
      expect(calls(account, "DescribeInstances")).to.equal(2);
    });

    it("knows nothing any more of a machine that was changed", async () => {
      const account = createAccount({ script: { resumeMs: 5_000 } });
      const [id = ""] = await sleepers(account, 1);
      expect(await account.run(account.cloud.describe(id, 60_000))).to.include({ state: "stopped" });
      await account.run(account.cloud.start(id));
      expect(await account.run(account.cloud.describe(id, 60_000))).to.include({ state: "pending" });
    });

    it("ignores a read that was sent before a change and answered after it", async () => {
      const account = createAccount({ script: { resumeMs: 5_000 } });
      const [id = ""] = await sleepers(account, 1);
      account.endpoint.faults.add({ action: "DescribeInstances", kind: "delay", delayMs: 1_000 });
      const read = account.cloud.describe(id, 0);
      await account.clock.advance(10);
      await account.run(account.cloud.start(id));
      expect(await account.run(read)).to.include({ state: "stopped" });
      expect(await account.run(account.cloud.describe(id, 60_000))).to.include({ state: "pending" });
    });

    it("returns undefined for a machine that EC2 does not know, and the others all the same", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      const unknown = "i-0123456789abcdef0";
      const [known, missing, malformed] = await account.run(
        Promise.all([id, unknown, "not-an-id"].map((one) => account.cloud.describe(one, 0))),
      );
      expect(known?.id).to.equal(id);
      expect([missing, malformed]).to.deep.equal([undefined, undefined]);
    });

    it("repeats a read that fails, three times in all", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      const fault = {
        action: "DescribeInstances",
        kind: "refuse",
        code: "InternalError",
        status: 500,
      } as const;
      account.endpoint.faults.add({ ...fault, times: 2 });
      expect(await account.run(account.cloud.describe(id, 0))).to.include({ id });
      account.endpoint.faults.add({ ...fault, times: 3 });
      expect((await failure(account, account.cloud.describe(id, 0))).class).to.equal("server");
    });
  });

  describe("list", () => {
    it("returns this cluster's machines from all pages, and nobody else's", async () => {
      const account = createAccount({
        model: { network: defaultNetwork(REGION, ["127.64.0.0/20", "127.65.0.0/20"]) },
      });
      const ids = await sleepers(account, 1_005);
      const other = createAccount({
        clock: account.clock,
        cloud: { cluster: "another-cluster", transport: account.endpoint.handle },
      });
      const { machine: theirs } = await (async () => {
        const request = launchRequest({ owner: { namespace: "x", name: "x", uid: "x" } });
        const { plan } = await account.run(other.cloud.resolve(request));
        return { machine: await account.run(other.cloud.launch(plan, request.userData)) };
      })();
      const listed = await account.run(account.cloud.list());
      expect(listed.map(({ id }) => id).sort()).to.deep.equal([...ids].sort());
      expect((await account.run(other.cloud.list())).map(({ id }) => id)).to.deep.equal([theirs.id]);
      expect(calls(account, "DescribeInstances")).to.equal(3);
    }).timeout(60_000);

    it("serves later describes too", async () => {
      const account = createAccount();
      const [id = ""] = await sleepers(account, 1);
      await account.run(account.cloud.list());
      await account.run(account.cloud.describe(id, 60_000));
      expect(calls(account, "DescribeInstances")).to.equal(1);
    });
  });

  describe("data volumes", () => {
    const plan = {
      token: "volume-token",
      zone: "eu-west-1a",
      sizeGiB: 200,
      type: "gp3",
      tags: dataVolumeTags(ownerTags(CLUSTER, { namespace: "team-a", name: "ada", uid: "uid-1" })),
    };

    it("are encrypted, tagged and one for one plan", async () => {
      const account = createAccount();
      const { id } = await account.run(account.cloud.createVolume(plan));
      expect((await account.run(account.cloud.createVolume(plan))).id).to.equal(id);
      expect(account.model.volumes.truths()).to.have.length(1);
      const { encrypted, tags } = account.model.volumes.truth(id);
      expect(encrypted).to.equal(true);
      expect(tags).to.include({ [Tag.cluster]: CLUSTER, [Tag.volume]: "data", [Tag.uid]: "uid-1" });
    });

    it("are found after an answer that was lost, also when the next request is refused", async () => {
      const account = createAccount();
      account.endpoint.faults.add({ action: "CreateVolume", kind: "forget" });
      const lost = await failure(account, account.cloud.createVolume(plan));
      expect(lost.outcomeUnknown).to.equal(true);
      account.endpoint.faults.add({ action: "CreateVolume", kind: "refuse", code: "VolumeLimitExceeded" });
      const { id } = await account.run(account.cloud.createVolume(plan));
      expect(account.model.volumes.truths().map((volume) => volume.id)).to.deep.equal([id]);
      account.endpoint.faults.add({ action: "CreateVolume", kind: "refuse", code: "VolumeLimitExceeded" });
      const refused = await failure(account, account.cloud.createVolume({ ...plan, token: "other" }));
      expect(refused).to.include({ class: "quota", outcomeUnknown: false });
    });

    it("can be looked for by their token without being made", async () => {
      const account = createAccount();
      expect(await account.run(account.cloud.findVolume(plan))).to.equal(undefined);
      const { id } = await account.run(account.cloud.createVolume(plan));
      expect(await account.run(account.cloud.findVolume(plan))).to.include({ id });
      expect(calls(account, "CreateVolume")).to.equal(1);
    });

    it("are attached to the machine that shows them, moved, listed and deleted", async () => {
      const account = createAccount();
      const { id } = await account.run(account.cloud.createVolume(plan));
      const { machine } = await launchOne(account);
      await account.run(account.cloud.attachVolume(id, machine.id));
      expect((await account.run(account.cloud.describe(machine.id, 0)))?.volumes).to.deep.equal([id]);
      expect(await account.run(account.cloud.describeVolume(id))).to.deep.include({
        state: "in-use",
        attachment: { machine: machine.id, state: "attached" },
      });
      expect((await failure(account, account.cloud.deleteVolume(id))).class).to.equal("state");
      await account.run(account.cloud.stop(machine.id, STOP));
      await account.run(account.model.settled());
      await account.run(account.cloud.detachVolume(id, machine.id));
      expect((await account.run(account.cloud.describe(machine.id, 0)))?.volumes).to.deep.equal([]);
      expect((await account.run(account.cloud.listVolumes())).map((volume) => volume.id)).to.deep.equal([id]);
      await account.run(account.cloud.deleteVolume(id));
      await account.run(account.cloud.deleteVolume(id));
      expect(await account.run(account.cloud.describeVolume(id))).to.equal(undefined);
    });

    it("hold a launch in their zone", async () => {
      const account = createAccount();
      for (const zone of ["eu-west-1a", "eu-west-1b"]) {
        const { plan: launch } = await account.run(account.cloud.resolve(launchRequest({ zone })));
        expect(launch.zone).to.equal(zone);
      }
      const nowhere = await failure(account, account.cloud.resolve(launchRequest({ zone: "eu-west-1c" })));
      expect(nowhere.message).to.include("data volume").and.include("eu-west-1c");
    });
  });

  describe("events", () => {
    const NOT_BEFORE = "2096-06-01T00:00:00.000Z";

    it("are those that are still to come, for all machines by one call", async () => {
      const account = createAccount();
      const first = await launchOne(account);
      const second = await launchOne(account, { attempt: 1 });
      for (const { machine } of [first, second]) {
        account.model.schedule(machine.id, {
          code: "instance-retirement",
          description: "degraded hardware",
          notBefore: NOT_BEFORE,
        });
      }
      await account.run(account.cloud.stop(second.machine.id, STOP));
      await account.run(account.model.settled());
      await account.run(account.cloud.start(second.machine.id));
      await account.run(account.model.settled());
      const [event, further] = await account.run(account.cloud.events());
      expect(event).to.include({
        machine: first.machine.id,
        code: "instance-retirement",
        notBefore: NOT_BEFORE,
      });
      expect(further).to.equal(undefined);
      expect(calls(account, "DescribeInstanceStatus")).to.equal(1);
    });
  });

  it("reads what a guest has said last on its console, as it is now where EC2 can say that", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    const read = (): Promise<GuestWords | undefined> => account.run(account.cloud.lastWords(machine.id));
    expect(await read()).to.equal(undefined);
    account.hypervisor.script.consoleOf = () => `${"x".repeat(70_000)}\nsatellites: failed: é\n`;
    expect(await read()).to.deep.equal({ text: "é", isFailure: true });
    const refusal = { action: "GetConsoleOutput", kind: "refuse", times: 1 } as const;
    account.endpoint.faults.add({ ...refusal, code: "UnsupportedOperation" });
    expect(await read()).to.deep.equal({ text: "é", isFailure: true });
    account.endpoint.faults.add({ ...refusal, code: "InvalidInstanceID.NotFound" });
    expect(await read()).to.equal(undefined);
    account.endpoint.faults.add({ ...refusal, code: "UnauthorizedOperation", status: 403 });
    const refused: unknown = await read().catch((error: unknown) => error);
    expect(refused).to.include({ class: "permission", reason: "NotPermitted" });
  });

  it("tags, reboots, and changes the type of a stopped machine", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    await account.run(account.cloud.tag(machine.id, { "satellites.dev/orphan-since": "2026-01-01" }));
    const boot = account.hypervisor.vm(machine.id)?.boot ?? 0;
    await account.run(account.cloud.reboot(machine.id));
    await account.run(account.model.settled());
    expect(account.hypervisor.vm(machine.id)?.boot).to.equal(boot + 1);
    expect((await failure(account, account.cloud.changeType(machine.id, "m7i.xlarge"))).class).to.equal(
      "state",
    );
    await account.run(account.cloud.stop(machine.id, STOP));
    await account.run(account.model.settled());
    await account.run(account.cloud.changeType(machine.id, "m7i.xlarge"));
    const described = await account.run(account.cloud.describe(machine.id, 0));
    expect(described).to.include({ type: "m7i.xlarge" });
    expect(described?.tags["satellites.dev/orphan-since"]).to.equal("2026-01-01");
  });

  it("hands a machine over to nobody: retagged, it is not listed any more", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    await account.run(account.cloud.tag(machine.id, { [Tag.cluster]: "", [Tag.retained]: "true" }));
    await account.clock.advance(60_000);
    expect(await account.run(account.cloud.list())).to.deep.equal([]);
    expect((await account.run(account.cloud.describe(machine.id, 0)))?.tags).to.include({
      [Tag.cluster]: "",
    });
  });

  it("knows which types a zone has for an architecture", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    const types = ["m7i.xlarge", "no.such", "m7g.large", "m7i.large"];
    const suitable = (architecture: "amd64" | "arm64", zone: string): Promise<string[]> =>
      account.run(account.cloud.suitableTypes({ types, architecture, zone }));
    expect(await suitable("amd64", machine.zone)).to.deep.equal(["m7i.xlarge", "m7i.large"]);
    expect(await suitable("arm64", machine.zone)).to.deep.equal(["m7g.large"]);
    expect(await suitable("amd64", "nowhere-1a")).to.deep.equal([]);
  });

  describe("inspect", () => {
    const inspect = (account: Account, change: Record<string, unknown>): Promise<ClassFacts> =>
      account.run(
        account.cloud.inspect({ classSpec: { ec2: { ...CLASS, ...change } }, types: ["m7i.large"] }),
      );

    it("says what a class comes to", async () => {
      const facts = await inspect(createAccount(), {});
      expect(facts.images).to.deep.equal({ amd64: AMD64_IMAGE, arm64: ARM64_IMAGE });
      expect(facts.architectures).to.deep.equal(["amd64"]);
      expect(facts.details["subnets"]).to.have.length(2);
      expect(facts.details["securityGroups"]).to.have.length(1);
    });

    it("names as many subnets and groups as the status has room for, where its tags match more", async () => {
      const base = defaultNetwork(REGION);
      const many = Array.from({ length: 17 }, (_, index) => String(index).padStart(2, "0"));
      const network = {
        ...base,
        subnets: many.map((number) => ({ ...base.subnets[0]!, id: `subnet-${number}` })),
      };
      const { details } = await inspect(createAccount({ model: { network } }), {});
      expect(details["subnets"]).to.deep.equal(many.slice(0, 16).map((number) => `subnet-${number}`));
    });

    it("reads images and networks anew when what was read lately is not believed", async () => {
      const account = createAccount();
      const reads = (): number => account.endpoint.log.calls("DescribeSubnets").length;
      await inspect(account, {});
      await inspect(account, {});
      expect(reads()).to.equal(1);
      await account.run(
        account.cloud.inspect({ classSpec: { ec2: CLASS }, types: ["m7i.large"], isFresh: true }),
      );
      expect(reads()).to.equal(2);
    });

    it("takes an image for one architecture for what it is", async () => {
      const facts = await inspect(createAccount(), { image: { id: ARM64_IMAGE } });
      expect(facts).to.deep.include({ images: { arm64: ARM64_IMAGE }, architectures: [] });
    });

    it("refuses a class that comes to nothing", async () => {
      const account = createAccount();
      const wrong = account.cloud.inspect({
        classSpec: { ec2: { ...CLASS, image: { id: "ami-0" } } },
        types: [],
      });
      expect(await failure(account, wrong)).to.include({ class: "parameter", reason: "ImageNotFound" });
      const elsewhere = account.cloud.inspect({
        classSpec: { ec2: { ...CLASS, region: "us-east-1" } },
        types: [],
      });
      expect(await failure(account, elsewhere)).to.include({ class: "parameter" });
    });
  });

  it("counts calls by action and outcome, for all regions in one registry", async () => {
    const account = createAccount();
    const second = createAccount({ cloud: { registry: account.registry } });
    await launchOne(account);
    await launchOne(second);
    await failure(account, account.cloud.start("i-0123456789abcdef0"));
    const text = await account.registry.metrics();
    expect(text).to.include('satellites_ec2_calls_total{action="RunInstances",outcome="ok"} 2');
    expect(text).to.include(
      'satellites_ec2_calls_total{action="StartInstances",outcome="InvalidInstanceID.NotFound"} 1',
    );
    expect(text).to.include("satellites_ec2_call_duration_seconds_count");
    expect(text).to.include('satellites_ec2_batch_size_count{action="StartInstances"} 1');
  });
});
