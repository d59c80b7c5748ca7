import { execFileSync } from "node:child_process";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ec2 from "@aws-sdk/client-ec2";
import * as ssm from "@aws-sdk/client-ssm";
import { expect } from "chai";
import { parse, parseAllDocuments } from "yaml";
import type { ApiClient } from "../support/api-client.ts";
import { installCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import {
  findManifest,
  type Manifest,
  manifestsOf,
  helmSucceeds,
  CHART,
  type Values,
} from "../support/helm.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";

const ROOT = join(import.meta.dirname, "../..");
const EXAMPLES = join(ROOT, "examples/aws/eks");
/** Whose CustomResourceDefinitions are in its Go module. */
const CERT_MANAGER = "github.com/cert-manager/cert-manager@v1.21.2";

const text = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const json = (file: string): unknown => JSON.parse(text(`examples/aws/eks/${file}`));
const manifests = (file: string): Manifest[] =>
  parseAllDocuments(text(file)).map((document) => document.toJS() as Manifest);

interface Policy {
  readonly Statement: readonly { readonly Action: string | readonly string[] }[];
}

const actionsOf = (policy: Policy): string[] => policy.Statement.flatMap(({ Action }) => Action);

function certManagerCrds(): object[] {
  const told = execFileSync("go", ["mod", "download", "-json", CERT_MANAGER], {
    encoding: "utf8",
    cwd: tmpdir(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { Dir } = JSON.parse(told) as { readonly Dir: string };
  return globSync("deploy/crds/cert-manager.io_{certificates,issuers}.yaml", { cwd: Dir }).map(
    (file) => parse(readFileSync(join(Dir, file), "utf8")) as object,
  );
}

/** Where objects of a kind are created. */
async function pathOf(admin: ApiClient, { apiVersion, kind, metadata }: Manifest): Promise<string> {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { body } = await admin.request("GET", group);
  const { resources = [] } = body as {
    readonly resources?: readonly { name: string; kind: string; namespaced: boolean }[];
  };
  const found = resources.find((one) => one.kind === kind && !one.name.includes("/"));
  if (found === undefined) throw new Error(`the API server has no ${apiVersion} ${kind}`);
  return found.namespaced
    ? `${group}/namespaces/${metadata.namespace}/${found.name}`
    : `${group}/${found.name}`;
}

describe("the examples for EKS (docs/eks.md)", function () {
  this.timeout(180_000);
  let server: KubeApiServer;
  let rendered: Manifest[];

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
    for (const crd of certManagerCrds()) {
      const answer = await server.admin.request(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        crd,
      );
      expect(answer.status, JSON.stringify(answer.body).slice(0, 500)).to.equal(201);
    }
    for (const plural of ["certificates", "issuers"]) {
      await eventually(`${plural} are served`, async () => {
        const { status } = await server.admin.request("GET", `/apis/cert-manager.io/v1/${plural}`);
        return status === 200;
      });
    }
    for (const name of ["satellites", "team-a"]) {
      await server.admin.request("POST", "/api/v1/namespaces", { metadata: { name } });
    }
    const values = parse(text("examples/aws/eks/values.yaml")) as Values;
    rendered = manifestsOf(
      await helmSucceeds(["template", "satellites", CHART, "--namespace", "satellites"], { values }),
    ).filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] === undefined);
  });
  after(() => server?.stop());

  /** Has the API server look at an object as if it were created, and refuse fields that it does not know. */
  async function tryOut(manifest: Manifest): Promise<string | undefined> {
    const path = await pathOf(server.admin, manifest);
    const { status, body } = await server.admin.request(
      "POST",
      `${path}?dryRun=All&fieldValidation=Strict`,
      manifest,
    );
    // The CRDs are there already.
    const isTaken = status === 201 || (status === 409 && manifest.kind === "CustomResourceDefinition");
    return isTaken ? undefined : `${manifest.kind} ${manifest.metadata.name}: ${JSON.stringify(body)}`;
  }

  const files = readdirSync(EXAMPLES).filter((file) => file.endsWith(".yaml") && file !== "values.yaml");
  for (const file of [...files.map((name) => `examples/aws/eks/${name}`), "examples/aws/buildkit.yaml"]) {
    it(`${file} is taken by kube-apiserver`, async () => {
      for (const manifest of manifests(file)) expect(await tryOut(manifest)).to.equal(undefined);
    });
  }

  it("are refused where a field is not known, so that the above says something", async () => {
    const [issuer] = manifests("examples/aws/eks/issuers.yaml");
    const wrong = { ...issuer!, spec: { selfSigned: {}, mistake: true } };
    expect(await tryOut(wrong)).to.include("mistake");
  });

  it("the chart with the values of the page is taken by kube-apiserver", async () => {
    expect(rendered.length).to.be.greaterThan(10);
    for (const manifest of rendered) {
      const { namespace = "satellites" } = manifest.metadata;
      expect(await tryOut({ ...manifest, metadata: { ...manifest.metadata, namespace } })).to.equal(
        undefined,
      );
    }
  });

  it("name the operator's account as the chart does, and no other", () => {
    const pod = findManifest(rendered, "Deployment", "satellites") as unknown as {
      readonly spec: { readonly template: { readonly spec: { readonly serviceAccountName: string } } };
    };
    const account = pod.spec.template.spec.serviceAccountName;
    expect(JSON.stringify(json("trust-irsa.json"))).to.include(
      `system:serviceaccount:satellites:${account}"`,
    );
    expect(text("docs/eks.md")).to.match(
      new RegExp(`--namespace satellites \\\\\\n\\s+--service-account ${account} `),
    );
    const accounts = rendered.filter(({ kind, metadata }) => {
      return kind === "ServiceAccount" && metadata.annotations?.["eks.amazonaws.com/role-arn"] !== undefined;
    });
    expect(accounts.map(({ metadata }) => metadata.name)).to.deep.equal([account]);
  });

  it("have certificates made by an issuer of their own namespace", () => {
    const issuers = manifests("examples/aws/eks/issuers.yaml")
      .filter(({ kind }) => kind === "Issuer")
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    const certificates = [...rendered, ...manifests("examples/aws/eks/developer.yaml")].filter(
      ({ kind }) => kind === "Certificate",
    );
    expect(certificates).to.have.length(2);
    for (const { metadata, ...certificate } of certificates) {
      const { issuerRef } = (
        certificate as unknown as { spec: { issuerRef: { kind: string; name: string } } }
      ).spec;
      expect(issuers).to.include(`${metadata.namespace}/${issuerRef.name}`);
      expect(issuerRef.kind).to.equal("Issuer");
    }
  });

  it("give a developer who comes by kubeconfig tokens for their own account alone", async () => {
    for (const manifest of manifests("examples/aws/eks/developer-proxy.yaml")) {
      const { status } = await server.admin.request("POST", await pathOf(server.admin, manifest), manifest);
      expect(status).to.equal(201);
    }
    const accounts = "/api/v1/namespaces/team-a/serviceaccounts";
    await server.admin.request("POST", accounts, { metadata: { name: "bob" } });
    const ada = await server.clientFor("ada", ["developers"]);
    const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
    await eventually("the right is known", async () => {
      const { status } = await ada.request("POST", `${accounts}/ada/token`, request);
      return status === 201;
    });
    expect((await ada.request("POST", `${accounts}/bob/token`, request)).status).to.equal(403);
    await ada.close();
  });

  it("allow exactly what the operator calls, by names that AWS has", () => {
    const policy = json("operator-policy.json") as Policy;
    const known = new Set([
      ...Object.keys(ec2).flatMap((name) => (name.endsWith("Command") ? [`ec2:${name.slice(0, -7)}`] : [])),
      ...Object.keys(ssm).flatMap((name) => (name.endsWith("Command") ? [`ssm:${name.slice(0, -7)}`] : [])),
    ]);
    const allowed = new Set(actionsOf(policy));
    expect([...allowed].filter((action) => !known.has(action))).to.deep.equal([]);
    const called = new Set(
      globSync("src/machines/ec2/**/*.ts", { cwd: ROOT }).flatMap((file) =>
        [...text(file).matchAll(/\bnew (\w+)Command\(/g)].map(([, name = ""]) =>
          name === "GetParameter" ? `ssm:${name}` : `ec2:${name}`,
        ),
      ),
    );
    expect([...allowed].toSorted()).to.deep.equal([...called].toSorted());
  });

  it("have the operator's policy as docs/ec2.md explains it", () => {
    const [, shown = ""] = /```json\n([\s\S]*?)```/.exec(text("docs/ec2.md")) ?? [];
    expect(json("operator-policy.json")).to.deep.equal(JSON.parse(shown));
  });
});
