import { expect } from "chai";
import { TestSystem } from "../e2e/local-system.ts";
import { eventually } from "../support/eventually.ts";
import { alertGroups, dashboardPanels, type Panel, TARGET_LABELS } from "./chart.ts";
import { makeLoad } from "./load.ts";
import { faultsOfPanel, type RunQuery } from "./panel-faults.ts";
import { requirePrometheus } from "./programs.ts";
import { TestPrometheus } from "./prometheus.ts";

/** Longer than the load takes. */
const LOAD_SECONDS = 240;

/** Operator and router as processes; a real Prometheus scrapes them while satellites wake, sleep and fail. */
describe("dashboard and alerts, by what a real Prometheus scraped", function () {
  this.timeout(180_000);
  let test: TestSystem | undefined;
  let scraped: TestPrometheus | undefined;
  let run: RunQuery;

  before(async () => {
    const { prometheus } = await requirePrometheus();
    const system = await TestSystem.start({ virtualVms: { delayMs: 300 } });
    test = system;
    const targets = Object.entries(system.system.metricsUrls).map(([program, url]) => ({
      address: new URL(url).host,
      labels: { ...TARGET_LABELS, pod: "sat-satellites-0", program },
    }));
    const started = await TestPrometheus.start(prometheus, targets);
    scraped = started;
    run = (expression) => started.queryRange(expression, LOAD_SECONDS);
    await makeLoad(system);
    await eventually("the last failure is scraped", async () => {
      const found = await started.query(
        'satellites_router_lease_writes_total{result="failed"} > 0 and on () count(up == 1) == 2',
      );
      return found.length > 0;
    });
  });
  after(async () => {
    await scraped?.stop();
    await test?.destroy();
  });

  it("draws something for every query of every panel, under names that tell it apart", async () => {
    const panels = await dashboardPanels();
    expect(panels).to.have.length.greaterThan(10);
    const faults: string[] = [];
    for (const panel of panels) {
      faults.push(...(await faultsOfPanel(panel, run)));
    }
    expect(faults).to.deep.equal([]);
  });

  it("has what every alert compares with its threshold", async () => {
    const rules = (await alertGroups()).flatMap((group) => group.rules);
    const without: string[] = [];
    for (const { alert, expr } of rules) {
      const compared = expr.replace(/ [<>] [\d.* ]+$/, "");
      expect(compared, alert).to.not.equal(expr);
      const series = await run(compared);
      if (!series.some(({ values }) => values.some(([, value]) => Number.isFinite(value)))) {
        without.push(`${alert}: ${compared}`);
      }
    }
    expect(without).to.deep.equal([]);
  });

  it("counts the first write of a lease that fails", async () => {
    const [begun] = await run('satellites_router_lease_writes_total{result="failed"}');
    expect(begun?.values[0]?.[1], "it was there, and 0, before it happened").to.equal(0);
  });

  it("would be found to draw nothing, or lines that nobody can tell apart", async () => {
    const panel = (expr: string, legendFormat: string): Panel => ({
      title: "P",
      targets: [{ refId: "A", expr, legendFormat }],
      fieldConfig: { defaults: { unit: "short", custom: {} } },
    });
    expect(await faultsOfPanel(panel('satellites_phase{phase="Gone"}', "gone"), run)).to.deep.equal([
      'P: no data for satellites_phase{phase="Gone"}',
    ]);
    expect(await faultsOfPanel(panel("up", "{{zone}}"), run)).to.have.length(2);
    expect(await faultsOfPanel(panel("up", "up"), run)).to.deep.equal(["P: two lines are called up"]);
  });
});
