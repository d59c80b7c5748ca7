import { expect } from "chai";
import { derivePlans, scriptedPlans, stateReasonPlans } from "./derive.ts";
import { Judge } from "./judge.ts";
import { formatPlan, parsePlan, type Plan } from "./plan.ts";
import { Pool } from "./pool.ts";
import { randomPlan } from "./random-plan.ts";
import { simulate } from "./simulate.ts";
import { WORKLOADS } from "./workloads.ts";

const THREADS = 2;
const RANDOM_WALKS = 500;
const SMALL = ["manual", "delete-launching"];

/** What is wrong with each plan that did harm, with the command that tells its story again. */
async function harmOf(plans: readonly Plan[], compares: boolean): Promise<string[]> {
  const pool = new Pool(THREADS);
  const harm: string[] = [];
  try {
    await pool.judgeAll(
      plans.map((plan) => ({ plan, compares })),
      (number, faults) => {
        const plan = plans[number];
        if (plan !== undefined && faults.length > 0) {
          const command = `node test/simulation/run.ts --replay '${formatPlan(plan)}'`;
          harm.push(`${command}\n${faults.join("\n")}`);
        }
      },
    );
  } finally {
    await pool.close();
  }
  return harm;
}

describe("the simulation", function () {
  this.timeout(600_000);

  it("tells the same story for the same plan, event by event", async () => {
    const plan = randomPlan(7);
    const first = await simulate(plan);
    const second = await simulate(parsePlan(formatPlan(plan)));
    expect(second.trace.toString()).to.equal(first.trace.toString());
  });

  it("tells another story for another seed", async () => {
    const [first, second] = [1, 2].map((seed) => simulate({ workload: "manual", seed, faults: [] }));
    expect((await first)?.trace.toString()).not.to.equal((await second)?.trace.toString());
  });

  it("lets an operator that was cut off for longer than its lease lay the lead down and stay", async () => {
    const cutOff = { on: "effect", process: "operator-0", index: 3, what: "cut-off", forMs: 45_000 } as const;
    const { befallen, restarts, violations } = await simulate({
      workload: "manual",
      seed: 1,
      faults: [cutOff],
    });
    expect({ befallen, restarts, violations }).to.deep.equal({ befallen: 1, restarts: 0, violations: [] });
  });

  for (const { name } of WORKLOADS) {
    it(`sees nothing wrong with ${name} where nothing goes wrong`, async () => {
      const { violations } = await simulate({ workload: name, seed: 1, faults: [] });
      expect(violations).to.deep.equal([]);
    });
  }

  for (const [what, atMs, missing, minutes] of [
    ["stopped, with the data volume on it", 16_504, "both", 25],
    ["let go of the data volume", 23_135, "both", 25],
    ["been replaced", 24_889, "descriptions", 25],
    ["been replaced, for a while", 23_135, "descriptions", 2],
  ] as const) {
    it(`comes to rest where reads lack an old machine that has ${what}, and show it again`, async () => {
      const fault = { on: "time", atMs, what: { missing, forMs: minutes * 60_000 } } as const;
      const { violations } = await simulate({ workload: "update", seed: 1, faults: [fault] });
      expect(violations).to.deep.equal([]);
    });
  }

  it("sees when a fault really does harm", async () => {
    const { violations } = await simulate({
      workload: "manual",
      seed: 1,
      faults: [{ on: "time", atMs: 0, what: { capacity: 0 } }],
    });
    expect(violations.join("\n")).to.include("did not come to rest");
  });

  for (const workload of SMALL) {
    it(`finds no harm in any plan derived from ${workload}`, async () => {
      const reference = await new Judge().reference({ workload, seed: 1, faults: [] });
      const scripted = scriptedPlans(1).filter(({ plan }) => plan.workload === workload);
      const plans = [...derivePlans(workload, 1, reference), ...scripted].map(({ plan }) => plan);
      expect(plans).to.have.length.above(90);
      expect(await harmOf(plans, true)).to.deep.equal([]);
    });
  }

  it("finds no harm in any launch or start that EC2 accepts and that comes to nothing", async () => {
    const plans = stateReasonPlans(1).filter(({ plan }) => plan.workload !== "update");
    expect(plans).to.have.length.above(100);
    expect(
      await harmOf(
        plans.map(({ plan }) => plan),
        true,
      ),
    ).to.deep.equal([]);
  });

  it(`finds no harm in ${RANDOM_WALKS} random walks`, async () => {
    const walks = Array.from({ length: RANDOM_WALKS }, (_, index) => randomPlan(index + 1));
    expect(await harmOf(walks, false)).to.deep.equal([]);
  });
});
