import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { ALERT_CASES, type AlertCase } from "./alert-cases.ts";
import { alertGroups, type AlertRule, TARGET_LABELS } from "./chart.ts";
import { requirePrometheus } from "./programs.ts";

type Groups = Awaited<ReturnType<typeof alertGroups>>;

/** `name{labels}` with the labels that Prometheus adds to what it scrapes, save those that are given. */
function scraped(series: string): string {
  const [, name = "", given = ""] = /^(\w+)\{(.*)\}$/.exec(series) ?? [];
  const labels = Object.entries(TARGET_LABELS)
    .filter(([label]) => !new RegExp(`(?:^|,)${label}=`).test(given))
    .map(([label, value]) => `${label}="${value}"`);
  return `${name}{${[given, ...labels].join(",")}}`;
}

/** An alert as promtool expects it. */
function expected({ labels, annotations }: AlertRule, own: Readonly<Record<string, string>>): unknown {
  const filled = Object.entries(annotations).map(([key, text]) => [
    key,
    text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => own[label] ?? ""),
  ]);
  return { exp_labels: { ...labels, ...own }, exp_annotations: Object.fromEntries(filled) };
}

function unitTest(rule: AlertRule, { series, quiet, fires = [], labels = {} }: AlertCase): unknown {
  const at = (minute: number, alerts: readonly unknown[]): unknown => ({
    eval_time: `${minute}m`,
    alertname: rule.alert,
    exp_alerts: alerts,
  });
  return {
    interval: "1m",
    input_series: Object.entries(series).map(([name, values]) => ({ series: scraped(name), values })),
    alert_rule_test: [
      ...quiet.map((minute) => at(minute, [])),
      ...fires.map((minute) => at(minute, [expected(rule, labels)])),
    ],
  };
}

describe("the chart's alerts, by promtool", function () {
  this.timeout(60_000);
  let promtool: string;
  let groups: Groups;

  before(async () => {
    ({ promtool } = await requirePrometheus());
    groups = await alertGroups();
  });

  const ruleOf = (name: string): AlertRule => {
    const rule = groups.flatMap(({ rules }) => rules).find(({ alert }) => alert === name);
    expect(rule, `the chart has ${name}`).to.not.equal(undefined);
    return rule as AlertRule;
  };

  /** What promtool says of a unit test; empty when it holds. */
  function faultsOf(rule: AlertRule, alertCase: AlertCase): string {
    const folder = mkdtempSync(join(tmpdir(), "satellites-promtool-"));
    try {
      writeFileSync(
        join(folder, "rules.yaml"),
        stringify({ groups: [{ name: "satellites", rules: [rule] }] }),
      );
      const tests = {
        rule_files: ["rules.yaml"],
        evaluation_interval: "1m",
        tests: [unitTest(rule, alertCase)],
      };
      writeFileSync(join(folder, "test.yaml"), stringify(tests));
      const { status, stdout, stderr } = spawnSync(promtool, ["test", "rules", "test.yaml"], {
        cwd: folder,
        encoding: "utf8",
      });
      return status === 0 ? "" : `${stdout}${stderr}`;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it("have cases for each of them", () => {
    const names = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    expect(Object.keys(ALERT_CASES)).to.have.members(names);
  });

  for (const [name, cases] of Object.entries(ALERT_CASES)) {
    for (const alertCase of cases) {
      const verb = (alertCase.fires ?? []).length > 0 ? "fires, and not before its time" : "is quiet";
      it(`${name} ${verb}: ${alertCase.what}`, () => {
        expect(faultsOf(ruleOf(name), alertCase)).to.equal("");
      });
    }
  }

  it("SatellitesNoLeader fires where one shard alone has no leader", async () => {
    const sharded = await alertGroups({ router: { mode: "deployment" }, operator: { shards: ["a", "b"] } });
    const rule = sharded.flatMap(({ rules }) => rules).find(({ alert }) => alert === "SatellitesNoLeader");
    const leads = (lease: string, pod: string): string =>
      `leader_election_master_status{name="satellites-operator${lease}",pod="${pod}"}`;
    const alertCase = {
      what: "the leader of shard b stops",
      series: {
        [leads("", "first-0")]: "0x9 1x20",
        [leads("", "first-1")]: "1x9 0x20",
        [leads("-a", "a-0")]: "1x30",
        [leads("-b", "b-0")]: "1x9 stale",
        [leads("-b", "b-1")]: "0x30",
      },
      quiet: [5, 11],
      fires: [12, 29],
    };
    expect(faultsOf(rule as AlertRule, alertCase)).to.equal("");
  });

  it("would be found to fire too early, or never", () => {
    for (const [name, [alertCase]] of Object.entries(ALERT_CASES)) {
      const rule = ruleOf(name);
      const sooner = {
        ...rule,
        for: "0s",
        expr: `${rule.expr.replace(/ [<>] [\d.* ]+$/, "")} < bool -1 or vector(1)`,
      };
      expect(faultsOf(sooner, alertCase as AlertCase), `${name}, at once`).to.contain("FAILED");
      expect(
        faultsOf({ ...rule, expr: "vector(1) < 0" }, alertCase as AlertCase),
        `${name}, never`,
      ).to.contain("FAILED");
    }
  });
});
