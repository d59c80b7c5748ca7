import { expect } from "chai";
import { createProgram } from "../../src/command-line.ts";
import {
  CHART,
  findManifest,
  helm,
  type Manifest,
  renderChart,
  REQUIRED_VALUES,
  type Values,
} from "../support/helm.ts";
import { container, EXPOSED, flags, podTemplate } from "./pods.ts";

const OPERATORS = ["sat-satellites", "sat-satellites-shard-a", "sat-satellites-shard-b"] as const;
const SHARDED = { ...EXPOSED, operator: { shards: ["a", "b"], page: { enabled: true } } };

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

describe("the chart's shards", function () {
  this.timeout(60_000);
  let sharded: Manifest[];

  before(async () => {
    sharded = await renderChart(SHARDED);
  });

  const rules = (manifests: readonly Manifest[], kind: string, name: string): readonly Rule[] =>
    findManifest(manifests, kind, name)["rules"] as readonly Rule[];

  it("are operators of their own, each with the namespaces of its label, and one with all others", () => {
    const program = createProgram({}, () => {
      throw new Error("parsing needs no context");
    });
    const operator = program.commands.find((command) => command.name() === "operator");
    const picked = OPERATORS.map((name) => {
      const all = flags(container(podTemplate(sharded, name), "operator"));
      const known = operator?.options.map(({ long }) => long);
      expect(known).to.include.members(Object.keys(all).map((flag) => `--${flag}`));
      const { shard, deployment, "namespace-selector": selector, "page-address": page } = all;
      return [deployment, shard, selector, page];
    });
    expect(picked).to.deep.equal([
      ["sat-satellites", undefined, "satellites.dev/shard notin (a,b)", "127.0.0.1:8083"],
      ["sat-satellites-shard-a", "a", "satellites.dev/shard=a", undefined],
      ["sat-satellites-shard-b", "b", "satellites.dev/shard=b", undefined],
    ]);
  });

  it("differ in nothing else", () => {
    const specs = OPERATORS.map((name) => {
      const { spec } = podTemplate(sharded, name);
      const { topologySpreadConstraints: _spread, containers, ...rest } = spec;
      return { ...rest, containers: containers.map(({ args: _args, ...program }) => program) };
    });
    expect(specs[1]).to.deep.equal(specs[0]);
    expect(specs[2]).to.deep.equal(specs[0]);
  });

  it("have pods that no other Deployment, budget or spread counts", () => {
    for (const [kind, names] of [
      ["Deployment", OPERATORS],
      [
        "PodDisruptionBudget",
        ["sat-satellites-operator", "sat-satellites-shard-a", "sat-satellites-shard-b"],
      ],
    ] as const) {
      for (const [index, name] of names.entries()) {
        const { selector } = findManifest(sharded, kind, name)["spec"] as {
          selector: { matchLabels: Readonly<Record<string, string>> };
        };
        const selected = [...OPERATORS, "sat-satellites-router"].filter((deployment) => {
          const { labels } = podTemplate(sharded, deployment).metadata;
          return Object.entries(selector.matchLabels).every(([key, value]) => labels[key] === value);
        });
        expect(selected, `${kind} ${name}`).to.deep.equal([OPERATORS[index]]);
      }
    }
    for (const name of OPERATORS) {
      const { metadata, spec } = podTemplate(sharded, name);
      for (const { labelSelector } of spec.topologySpreadConstraints) {
        expect(metadata.labels).to.include(labelSelector.matchLabels);
        expect(labelSelector.matchLabels["satellites.dev/shard"]).to.equal(
          metadata.labels["satellites.dev/shard"],
        );
      }
    }
  });

  it("may read namespaces, and write their own Leases", async () => {
    const role = ["Role", "sat-satellites-operator"] as const;
    const everywhere = ["ClusterRole", "sat-system-sat-satellites-operator"] as const;
    const about = (manifests: readonly Manifest[], resource: string): readonly unknown[] =>
      [...rules(manifests, ...role), ...rules(manifests, ...everywhere)]
        .filter(({ resources }) => resources.includes(resource))
        .map(({ verbs, resourceNames }) => [verbs, resourceNames]);
    expect(about(sharded, "namespaces")).to.deep.equal([[["get", "list", "watch"], undefined]]);
    expect(about(sharded, "deployments")).to.deep.equal([[["get"], [...OPERATORS]]]);
    expect(about(sharded, "leases")).to.deep.equal([
      [["create"], undefined],
      [
        ["get", "update"],
        ["satellites-operator", "satellites-operator-a", "satellites-operator-b"],
      ],
    ]);
    const alone = await renderChart(EXPOSED);
    expect(about(alone, "namespaces")).to.deep.equal([[["get"], undefined]]);
    expect(about(alone, "leases")[1]).to.deep.equal([["get", "update"], ["satellites-operator"]]);
    expect(flags(container(podTemplate(alone, "sat-satellites"), "operator"))).to.not.have.any.keys(
      "shard",
      "namespace-selector",
    );
  });

  it("are missed by the alert when one of them is without a leader", async () => {
    const manifests = await renderChart({ ...SHARDED, prometheusRule: { enabled: true } });
    const rule = JSON.stringify(findManifest(manifests, "PrometheusRule", "sat-satellites"));
    expect(rule).to.match(/sum\(max by \(name\) .*name=~\\"satellites-operator\(-\(a\|b\)\)\?\\".*< 3"/);
  });

  it("need a router of its own, and names that can be part of names", async () => {
    const refusal = async (values: Values): Promise<string> =>
      (await helm(["template", "sat", CHART], { values: { ...REQUIRED_VALUES, ...values } })).stderr;
    expect(await refusal({ operator: { shards: ["a"] } })).to.include(
      "operator.shards needs router.mode deployment",
    );
    for (const shards of [["A"], ["a.b"], [""], ["a", "a"], ["a".repeat(41)], "a"]) {
      const said = await refusal({ ...EXPOSED, operator: { shards } });
      expect(said, JSON.stringify(shards)).to.include("/operator/shards");
    }
  });
});
