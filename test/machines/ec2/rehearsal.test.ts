import { expect } from "chai";
import type { ClassFacts } from "../../../src/machines/cloud.ts";
import { CLASS, createAccount, launchOne, type Account } from "./ec2-account.ts";

const HOUR_MS = 3_600_000;

/** What each action is refused with where the operator's identity lacks the right. */
function deny(account: Account, action: string, containing?: string): void {
  account.endpoint.faults.add({
    action,
    kind: "refuse",
    code: "UnauthorizedOperation",
    message: "You are not authorized to perform this operation.",
    status: 403,
    times: 1_000,
    ...(containing === undefined ? {} : { containing }),
  });
}

describe("a class's rehearsal", () => {
  const inspect = (account: Account, isFresh = false, cloud: object = CLASS): Promise<ClassFacts> =>
    account.run(
      account.cloud.inspect({ classSpec: { ec2: cloud }, types: ["m7i.large", "m7g.large"], isFresh }),
    );
  const dryRuns = (account: Account): string[] =>
    account.endpoint.log
      .calls()
      .filter(({ action }) => action.startsWith("DryRun "))
      .map(({ action, outcome }) => `${action.slice(7)} ${outcome}`);
  const failure = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  it("asks EC2 for a launch of each architecture, which launches nothing", async () => {
    const account = createAccount();
    const { architectures } = await inspect(account);
    expect(architectures).to.deep.equal(["amd64", "arm64"]);
    expect(dryRuns(account)).to.deep.equal(["RunInstances DryRunOperation", "RunInstances DryRunOperation"]);
    expect(await account.run(account.cloud.list())).to.deep.equal([]);
    expect(account.endpoint.log.calls("RunInstances")).to.deep.equal([]);
  });

  it("says what the operator may not do, before the first satellite", async () => {
    const account = createAccount();
    deny(account, "RunInstances");
    expect(await failure(inspect(account))).to.include({ class: "permission", reason: "NotPermitted" });
    expect(String(await failure(inspect(account)))).to.contain("RunInstances: UnauthorizedOperation");
  });

  it("shows the tags that an organisation may ask for, the class's and ours", async () => {
    for (const tag of ["satellites.dev/cluster", "team"]) {
      const account = createAccount();
      deny(account, "RunInstances", tag);
      expect(await failure(inspect(account)), tag).to.include({ reason: "NotPermitted" });
    }
  });

  for (const action of ["StartInstances", "StopInstances", "TerminateInstances", "CreateTags"]) {
    it(`says that ${action} is not allowed once there is a machine to ask about`, async () => {
      const account = createAccount();
      deny(account, action);
      await inspect(account);
      const { machine } = await launchOne(account);
      await account.run(account.cloud.list());
      expect(String(await failure(inspect(account)))).to.contain(`${action}: UnauthorizedOperation`);
      expect(account.model.instances.truth(machine.id).state).to.equal("running");
    });
  }

  it("does nothing to the machine that it asks about", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    await account.run(account.cloud.list());
    await inspect(account);
    expect(dryRuns(account).slice(2)).to.deep.equal([
      "StartInstances DryRunOperation",
      "StopInstances DryRunOperation",
      "TerminateInstances DryRunOperation",
      "CreateTags DryRunOperation",
    ]);
    await account.run(account.model.settled());
    const { state, tags } = account.model.instances.truth(machine.id);
    expect([state, tags]).to.deep.equal(["running", machine.tags]);
  });

  it("asks again after six hours, or when the class was changed, and not in between", async () => {
    const account = createAccount();
    await inspect(account);
    await inspect(account);
    await account.clock.advance(6 * HOUR_MS - 60_000);
    await inspect(account);
    expect(dryRuns(account)).to.have.length(2);
    await account.clock.advance(60_000);
    await inspect(account);
    expect(dryRuns(account)).to.have.length(4);
    await inspect(account, true);
    expect(dryRuns(account)).to.have.length(6);
    await inspect(account, false, { ...CLASS, tags: { team: "b" } });
    expect(dryRuns(account)).to.have.length(8);
  });

  it("asks again each time after a refusal, and is content when the right is there", async () => {
    const account = createAccount();
    deny(account, "RunInstances");
    await failure(inspect(account));
    await failure(inspect(account));
    expect(dryRuns(account)).to.have.length(2);
    account.endpoint.faults.clear();
    await inspect(account);
    await inspect(account);
    expect(dryRuns(account)).to.have.length(4);
  });

  it("keeps a class waiting for its turn no longer than 20 s, and hears the answer at the next look", async () => {
    // One request an hour, and a launch has taken this hour's.
    const limit = { requests: { burst: 1, refillPerSecond: 1 / 3600 } };
    const account = createAccount({ cloud: { limits: { RunInstances: limit } } });
    deny(account, "RunInstances", "dry-run");
    await launchOne(account);
    const startedMs = account.clock.monotonicMs();
    await inspect(account);
    expect(account.clock.monotonicMs() - startedMs).to.be.within(40_000, 41_000);
    expect(dryRuns(account)).to.deep.equal([]);
    await account.clock.advance(2 * HOUR_MS);
    expect(await failure(inspect(account))).to.include({ reason: "NotPermitted" });
    expect(dryRuns(account).slice(0, 2)).to.deep.equal(Array(2).fill("RunInstances UnauthorizedOperation"));
  });

  it("takes nothing from an answer that says nothing about rights", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    await account.run(account.cloud.list());
    account.model.terminate([machine.id]);
    await account.clock.advance(2 * HOUR_MS);
    expect(await inspect(account))
      .to.have.property("architectures")
      .with.length(2);
    expect(dryRuns(account).slice(2)[0]).to.equal("StartInstances InvalidInstanceID.NotFound");
    const again = dryRuns(account).length;
    await inspect(account);
    expect(dryRuns(account).length).to.equal(again + 4);
  });
});
