import { expect } from "chai";
import { cpSync, lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { readCrds } from "../support/crds.ts";
import {
  CHART,
  helm,
  helmSucceeds,
  type Manifest,
  manifestsOf,
  renderChart,
  REQUIRED_VALUES,
} from "../support/helm.ts";
import { EXPOSED } from "./pods.ts";

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  /** Of no effect any more; taken so that `helm upgrade --reuse-values` goes on to work. */
  readonly deprecated?: boolean;
}

/** Resources and maps of free content, which the chart passes on as they are. */
const OPAQUE = /(?:resources|labels|limits|strategy|podSecurityContext)$/;

/** Paths of all values, such as "router.access.mode". */
function pathsOf(values: object, prefix = ""): string[] {
  return Object.entries(values)
    .flatMap(([key, value]: [string, unknown]) => {
      const path = `${prefix}${key}`;
      const inner =
        typeof value === "object" && value !== null && !Array.isArray(value) && !OPAQUE.test(path);
      return inner && Object.keys(value).length > 0 ? pathsOf(value, `${path}.`) : [path];
    })
    .toSorted();
}

function pathsOfSchema({ properties = {} }: Schema, prefix = ""): string[] {
  return Object.entries(properties)
    .filter(([key, { deprecated }]) => key !== "global" && deprecated !== true)
    .flatMap(([key, schema]) => {
      const path = `${prefix}${key}`;
      return schema.properties === undefined || OPAQUE.test(path)
        ? [path]
        : pathsOfSchema(schema, `${path}.`);
    })
    .toSorted();
}

const kindsOf = (manifests: readonly Manifest[]): string[] => manifests.map(({ kind }) => kind);

describe("the chart", function () {
  this.timeout(60_000);
  let sidecar: Manifest[];
  let exposed: Manifest[];

  before(async () => {
    sidecar = await renderChart();
    exposed = await renderChart(EXPOSED);
  });

  for (const name of ["sidecar", "exposed", "sharded"]) {
    it(`passes helm's lint with the values for ${name} installs`, async () => {
      const outcome = await helm(["lint", "--strict", CHART, "--values", `${CHART}/ci/${name}-values.yaml`]);
      expect(outcome.stdout).to.include("0 chart(s) failed");
      expect(outcome.code).to.equal(0);
    });
  }

  it("says what to do when the image is not named", async () => {
    const { code, stderr } = await helm(["template", "sat", CHART]);
    expect(code).to.not.equal(0);
    expect(stderr).to.include("image.repository is required");
  });

  it("refuses Kubernetes without ValidatingAdmissionPolicy", async () => {
    const { stderr } = await helm(["template", "sat", CHART, "--kube-version", "1.29.0"]);
    expect(stderr).to.include(">=1.30");
  });

  it("names every namespaced object's namespace, so that no context decides it", () => {
    const clusterScoped = new Set([
      "ClusterRole",
      "ClusterRoleBinding",
      "CustomResourceDefinition",
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionPolicyBinding",
    ]);
    for (const { kind, metadata } of [...sidecar, ...exposed]) {
      const expected = clusterScoped.has(kind) ? undefined : "sat-system";
      expect(metadata.namespace, `${kind}/${metadata.name}`).to.equal(expected);
    }
  });

  describe("CustomResourceDefinitions", () => {
    it("are those of crds/, and kept whatever happens to the release", () => {
      const rendered = sidecar.filter(({ kind }) => kind === "CustomResourceDefinition");
      const specs = (crds: readonly object[]): unknown[] =>
        crds.map((crd) => Reflect.get(crd, "spec") as unknown);
      expect(rendered).to.have.length(2);
      expect(specs(rendered)).to.deep.equal(specs(readCrds()));
      for (const { metadata } of rendered) {
        expect(metadata.annotations).to.include({
          "helm.sh/resource-policy": "keep",
          "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        });
      }
    });

    it("are real files of the chart, which archives without links hold too", () => {
      const folder = join(CHART, "files/crds");
      expect(lstatSync(folder).isDirectory()).to.equal(true);
      const originals = join(CHART, "../../crds");
      expect(readdirSync(folder)).to.deep.equal(readdirSync(originals));
      for (const file of readdirSync(folder)) {
        expect(readFileSync(join(folder, file), "utf8")).to.equal(
          readFileSync(join(originals, file), "utf8"),
        );
      }
    });

    it("fail to render where one of them is missing", async () => {
      const copy = mkdtempSync(join(tmpdir(), "satellites-chart-"));
      try {
        cpSync(CHART, copy, { recursive: true });
        rmSync(join(copy, "files/crds/satellites.satellites.dev.yaml"));
        const rendering = helmSucceeds(["template", "sat", copy, "--kube-version", "1.37.0"], {
          values: REQUIRED_VALUES,
        });
        const error = await rendering.then(
          () => undefined,
          (thrown: unknown) => String(thrown),
        );
        expect(error).to.contain("the chart lacks files/crds/satellites.satellites.dev.yaml");
      } finally {
        rmSync(copy, { recursive: true });
      }
    });

    it("are not in the category all, so that `kubectl delete all --all` deletes no VM", () => {
      for (const { spec } of readCrds() as unknown as { spec: { names: { categories?: string[] } } }[]) {
        expect(spec.names.categories ?? []).to.not.include("all");
      }
    });

    it("are in the package too", async () => {
      const folder = mkdtempSync(join(tmpdir(), "satellites-package-"));
      try {
        await helmSucceeds(["package", CHART, "--destination", folder]);
        const [archive = ""] = readdirSync(folder);
        expect(archive).to.match(/^satellites-.*\.tgz$/);
        const args = ["template", "sat", join(folder, archive), "--namespace", "sat-system"];
        const packaged = await helmSucceeds([...args, "--kube-version", "1.37.0"], {
          values: REQUIRED_VALUES,
        });
        expect(manifestsOf(packaged)).to.deep.equal(sidecar);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("can be left to somebody else", async () => {
      expect(kindsOf(await renderChart({ crds: { install: false } }))).to.not.include(
        "CustomResourceDefinition",
      );
    });
  });

  it("explains every value, and its schema knows every one", () => {
    const values = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as object;
    const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as Schema;
    const readme = readFileSync(join(CHART, "README.md"), "utf8");
    const [, table = ""] = readme.split("## Values");
    expect(pathsOf(values)).to.deep.equal(pathsOfSchema(schema));
    // "`a.b`, `.c`" in the table stands for a.b and a.c.
    const unexplained = pathsOf(values).filter(
      (path) => !table.includes(`\`${path}\``) && !table.includes(`\`.${path.split(".").at(-1) ?? ""}\``),
    );
    expect(unexplained).to.deep.equal([]);
  });

  it("takes the engine that values of an earlier release name, and does without it", async () => {
    expect(await renderChart({ router: { engine: "multiplexed" } })).to.deep.equal(await renderChart());
  });

  describe("the schema of values refuses", () => {
    const wrong: [string, string, RegExp][] = [
      ["an unknown mode of the router", "router.mode=both", /\/router\/mode.*'sidecar', 'deployment'/],
      [
        "an unknown value, such as a typing error",
        "replica=3",
        /additional properties 'replica' not allowed/,
      ],
      ["a typing error deeper down", "router.access.kind=x", /\/router\/access.*'kind' not allowed/],
      [
        "access that there is not",
        "router.access.mode=open",
        /'loopback', 'kubernetes', 'insecureAnonymous'/,
      ],
      ["an engine that there never was", "router.engine=fast", /\/router\/engine.*'direct', 'multiplexed'/],
      ["no replicas", "replicas=0", /\/replicas.*minimum/],
      ["more routers than a Satellite has room for", "replicas=3,router.workers=22", /not be above 64/],
      [
        "a tag in the repository",
        "image.repository=example/satellites:1",
        /\/image\/repository.*does not match/,
      ],
      ["what is no role", "serviceAccount.roleARN=satellites", /\/serviceAccount\/roleARN.*does not match/],
      ["a port out of range", "router.port=70000", /\/router\/port.*maximum/],
      ["a default satellite without namespace", "router.defaultSatellite=ada", /\/router\/defaultSatellite/],
      ["text for a number", "operator.concurrency=many", /\/operator\/concurrency.*want integer/],
    ];
    for (const [what, setting, message] of wrong) {
      it(what, async () => {
        const set = ["--set", `image.repository=example/satellites`, "--set", setting];
        const { code, stderr } = await helm(["template", "sat", CHART, ...set]);
        expect(code).to.not.equal(0);
        expect(stderr).to.match(message);
      });
    }
  });
});
