import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { findManifest, type Manifest, renderChart } from "../support/helm.ts";
import { container, EXPOSED, flags, podTemplate } from "./pods.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const ALL_OPTIONS = {
  operator: { ec2Endpoint: "https://ec2.example" },
  router: {
    access: {
      mode: "kubernetes",
      audiences: ["a", "b"],
      insecureCleartext: true,
      oidc: [
        {
          issuer: "https://issuer.example",
          audiences: ["c"],
          usernameClaim: "email",
          usernamePrefix: "ci:",
          groupsClaim: "groups",
          groupsPrefix: "-",
          requiredClaims: { owner: "acme" },
          caConfigMap: "issuer-ca",
        },
      ],
    },
    tls: { secretName: "router-tls", clientCA: true },
    proxyProtocolFrom: ["10.0.0.0/8", "fd00::/8"],
    limits: { maxHeldPerIdentity: 7, wakeBurst: 8, wakesPerMinute: 9 },
    watchNamespace: "team-a",
    domain: "satellites.example",
    defaultNamespace: "team-a",
    defaultSatellite: "team-a/ada",
  },
};

describe("the chart's pods", function () {
  this.timeout(60_000);
  let sidecar: Manifest[];
  let exposed: Manifest[];

  before(async () => {
    sidecar = await renderChart();
    exposed = await renderChart(EXPOSED);
  });

  describe("have arguments that", () => {
    for (const [program, component] of [
      ["operator", "operator"],
      ["router", "router"],
    ] as const) {
      it(`are flags that the ${component} knows`, async () => {
        const help = execFileSync(process.execPath, [MAIN, program, "--help"], { encoding: "utf8" });
        const known = new Set([...help.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name));
        const manifests = await renderChart(ALL_OPTIONS);
        const { args } = container(podTemplate(manifests, "sat-satellites"), component);
        expect(args[0]).to.equal(program);
        const used = Object.keys(flags(container(podTemplate(manifests, "sat-satellites"), component)));
        expect(used).to.have.length.greaterThan(5);
        expect(used.filter((flag) => !known.has(flag))).to.deep.equal([]);
      });
    }

    it("take up every value that stands for one", async () => {
      const template = podTemplate(await renderChart(ALL_OPTIONS), "sat-satellites");
      expect(flags(container(template, "operator"))).to.include({
        namespace: "sat-system",
        "ec2-endpoint": "https://ec2.example",
        "health-address": "0.0.0.0:8081",
      });
      expect(container(template, "router").args).to.include.members([
        "--token-audience=a",
        "--token-audience=b",
      ]);
      expect(flags(container(template, "router"))).to.include({
        "insecure-cleartext": "",
        "tls-cert": "/tls/tls.crt",
        "tls-key": "/tls/tls.key",
        "client-ca": "/tls/ca.crt",
        "proxy-protocol-from": "10.0.0.0/8,fd00::/8",
        "max-held-per-identity": "7",
        "wake-burst": "8",
        "wakes-per-minute": "9",
        "watch-namespace": "team-a",
        domain: "satellites.example",
        "default-namespace": "team-a",
        "default-satellite": "team-a/ada",
        "health-address": "0.0.0.0:8082",
      });
    });

    it("give the router its pod's name as identity, to which the admission policy holds it", () => {
      for (const template of [
        podTemplate(sidecar, "sat-satellites"),
        podTemplate(exposed, "sat-satellites-router"),
      ]) {
        const router = container(template, "router");
        expect(flags(router)["router-id"]).to.equal("$(POD_NAME)");
        expect(router.env).to.deep.include({
          name: "POD_NAME",
          valueFrom: { fieldRef: { fieldPath: "metadata.name" } },
        });
      }
    });

    it("that name files in TLS mode point into the Secret's volume", async () => {
      const router = { ...ALL_OPTIONS.router, access: { mode: "kubernetes" } };
      const { spec } = podTemplate(await renderChart({ router }), "sat-satellites");
      expect(spec["volumes"]).to.deep.equal([{ name: "tls", secret: { secretName: "router-tls" } }]);
      const [operator, beside] = spec.containers;
      expect(beside?.["volumeMounts"]).to.deep.equal([{ name: "tls", mountPath: "/tls", readOnly: true }]);
      expect(operator).to.not.have.property("volumeMounts");
    });

    it("bind to IPv6 where that is wished", async () => {
      const template = podTemplate(
        await renderChart({ ...EXPOSED, listenHost: "[::]" }),
        "sat-satellites-router",
      );
      expect(flags(container(template, "router"))).to.include({
        listen: "[::]:8372",
        "health-address": "[::]:8082",
      });
    });
  });

  it("meet the restricted Pod Security Standard", () => {
    const templates = [
      podTemplate(sidecar, "sat-satellites"),
      podTemplate(exposed, "sat-satellites"),
      podTemplate(exposed, "sat-satellites-router"),
    ];
    for (const { spec } of templates) {
      expect(spec.securityContext).to.deep.equal({
        runAsNonRoot: true,
        runAsUser: 65_532,
        runAsGroup: 65_532,
        seccompProfile: { type: "RuntimeDefault" },
      });
      for (const { securityContext } of spec.containers) {
        expect(securityContext).to.deep.equal({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
      }
    }
  });

  it("hold operator and router in sidecar mode, and keep AWS credentials from the router", () => {
    const { metadata, spec } = podTemplate(sidecar, "sat-satellites");
    expect(spec.containers.map(({ name }) => name)).to.deep.equal(["operator", "router"]);
    expect(metadata.annotations).to.include({ "eks.amazonaws.com/skip-containers": "router" });
  });

  it("are apart in deployment mode, each with its own account", () => {
    const operator = podTemplate(exposed, "sat-satellites");
    const router = podTemplate(exposed, "sat-satellites-router");
    expect(operator.spec.containers.map(({ name }) => name)).to.deep.equal(["operator"]);
    expect(router.spec.containers.map(({ name }) => name)).to.deep.equal(["router"]);
    expect(operator.spec.serviceAccountName).to.equal("sat-satellites");
    expect(router.spec.serviceAccountName).to.equal("sat-satellites-router");
  });

  it("get the IAM role for the operator's account alone", async () => {
    const roleARN = "arn:aws:iam::111122223333:role/satellites";
    const manifests = await renderChart({ ...EXPOSED, serviceAccount: { roleARN } });
    const annotations = (name: string): unknown =>
      findManifest(manifests, "ServiceAccount", name).metadata.annotations;
    expect(annotations("sat-satellites")).to.deep.equal({ "eks.amazonaws.com/role-arn": roleARN });
    expect(annotations("sat-satellites-router")).to.equal(undefined);
  });

  it("live longer than the router drains", async () => {
    const manifests = await renderChart({
      router: { ...EXPOSED.router, graceSeconds: 600, preStopSeconds: 7 },
    });
    const { spec } = podTemplate(manifests, "sat-satellites-router");
    expect(spec.terminationGracePeriodSeconds).to.equal(600 + 7 + 30);
    expect(flags(container(podTemplate(manifests, "sat-satellites-router"), "router"))).to.include({
      "grace-seconds": "600",
    });
    expect(spec.containers[0]?.lifecycle).to.deep.equal({ preStop: { sleep: { seconds: 7 } } });
  });

  it("are probed at the ports where the programs serve their health", () => {
    const { spec } = podTemplate(sidecar, "sat-satellites");
    for (const each of spec.containers) {
      const port = each.ports.find(({ name }) => name === each.name)?.containerPort;
      expect(flags(each)["health-address"]).to.equal(`0.0.0.0:${port ?? ""}`);
      for (const [probe, path] of [
        ["startupProbe", "/healthz"],
        ["livenessProbe", "/healthz"],
        ["readinessProbe", "/readyz"],
      ] as const) {
        expect(each[probe]).to.deep.include({ httpGet: { path, port: each.name } });
      }
    }
  });

  it("are spread over zones and nodes, by labels that they bear", () => {
    for (const [manifests, name] of [
      [sidecar, "sat-satellites"],
      [exposed, "sat-satellites-router"],
    ] as const) {
      const { metadata, spec } = podTemplate(manifests, name);
      expect(spec.topologySpreadConstraints.map(({ topologyKey }) => topologyKey)).to.deep.equal([
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
      ]);
      for (const { labelSelector } of spec.topologySpreadConstraints) {
        expect(metadata.labels).to.include(labelSelector.matchLabels);
      }
    }
  });

  it("take the digest before the tag", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const image = { repository: "example/satellites", tag: "1.2.3", digest };
    const manifests = await renderChart({ image });
    expect(container(podTemplate(manifests, "sat-satellites"), "operator").image).to.equal(
      `example/satellites@${digest}`,
    );
  });
});
