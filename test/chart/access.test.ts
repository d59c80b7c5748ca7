import { expect } from "chai";
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

describe("who reaches the chart's router", function () {
  this.timeout(60_000);
  let sidecar: Manifest[];
  let exposed: Manifest[];

  before(async () => {
    sidecar = await renderChart();
    exposed = await renderChart(EXPOSED);
  });

  describe("without tokens", () => {
    it("keeps the router on loopback, and makes no Service for it", () => {
      const router = flags(container(podTemplate(sidecar, "sat-satellites"), "router"));
      expect(router["listen"]).to.equal("127.0.0.1:8372");
      expect(router).to.include({ anonymous: "" }).and.not.have.property("insecure-anonymous");
      const services = sidecar.filter(({ kind }) => kind === "Service").map(({ metadata }) => metadata.name);
      expect(services).to.deep.equal(["sat-satellites-metrics"]);
    });

    it("stays on loopback in deployment mode too", async () => {
      const manifests = await renderChart({ router: { mode: "deployment" } });
      const router = flags(container(podTemplate(manifests, "sat-satellites-router"), "router"));
      expect(router["listen"]).to.equal("127.0.0.1:8372");
    });

    it("listens on every address when told so, with a Service that says HTTP/2 without TLS", () => {
      const router = flags(container(podTemplate(exposed, "sat-satellites-router"), "router"));
      expect(router).to.include({ listen: "0.0.0.0:8372", "insecure-anonymous": "" });
      const { spec } = findManifest(exposed, "Service", "sat-satellites-router");
      expect(spec).to.deep.include({
        ports: [{ name: "grpc", port: 8372, targetPort: "grpc", appProtocol: "kubernetes.io/h2c" }],
      });
    });

    it("warns in the notes, and tells how to reach a router on loopback", async () => {
      const notes = async (...settings: string[]): Promise<string> => {
        const args = ["install", "sat", CHART, "--dry-run=client", "--namespace", "sat-system"];
        const set = ["image.repository=example/satellites", ...settings].join(",");
        const { stdout, code, stderr } = await helm([...args, "--set", set]);
        expect(code, stderr).to.equal(0);
        return stdout.slice(stdout.indexOf("NOTES:"));
      };
      expect(await notes()).to.include("port-forward deployment/sat-satellites 8372");
      expect(await notes("router.mode=deployment")).to.include(
        "port-forward deployment/sat-satellites-router 8372",
      );
      expect(await notes("router.access.mode=insecureAnonymous")).to.include("WARNING");
      const tokens = await notes("router.access.mode=kubernetes", "router.tls.secretName=router-tls");
      expect(tokens).to.include("create token ACCOUNT --audience satellites.dev").and.not.include("WARNING");
    });
  });

  describe("with tokens", () => {
    const kubernetes = (more: Values): Values => ({
      router: { mode: "deployment", access: { mode: "kubernetes" }, ...more },
    });

    it("listens on every address, by TLS, and lets nobody in unasked", async () => {
      const manifests = await renderChart(kubernetes({ tls: { secretName: "router-tls" } }));
      const router = flags(container(podTemplate(manifests, "sat-satellites-router"), "router"));
      expect(router).to.include({ listen: "0.0.0.0:8372", "tls-cert": "/tls/tls.crt" });
      expect(router).to.not.have.any.keys("anonymous", "insecure-anonymous", "insecure-cleartext");
      const { ports } = findManifest(manifests, "Service", "sat-satellites-router")["spec"] as {
        ports: { appProtocol: string }[];
      };
      expect(ports[0]?.appProtocol).to.equal("https");
    });

    it("insists on TLS, or on a word that something else protects the way", async () => {
      const args = ["template", "sat", CHART, "--set", "image.repository=example/satellites"];
      const mode = ["--set", "router.access.mode=kubernetes"];
      const { code, stderr } = await helm([...args, ...mode]);
      expect(code).to.not.equal(0);
      expect(stderr).to.include("router.access.mode kubernetes needs router.tls.secretName");
      expect((await helm([...args, ...mode, "--set", "router.access.insecureCleartext=true"])).code).to.equal(
        0,
      );
      const ca = await helm([...args, "--set", "router.tls.clientCA=true"]);
      expect(ca.stderr).to.include("router.tls.clientCA needs router.tls.secretName");
    });
  });

  describe("with tokens of OIDC issuers", () => {
    const values = (oidc: readonly object[], mode = "kubernetes"): Values => ({
      router: { mode: "deployment", access: { mode, oidc }, tls: { secretName: "router-tls" } },
    });

    it("hands each issuer to the router with what is said of it, also signs that YAML would take for its own", async () => {
      const manifests = await renderChart(
        values([
          {
            issuer: "https://token.actions.githubusercontent.com",
            usernamePrefix: "github:",
            groupsClaim: "repository",
            groupsPrefix: "gh: #",
            requiredClaims: { repository_owner_id: "0123", ref_protected: "true" },
          },
          { issuer: "https://gitlab.example", audiences: ["builds", "*"], caConfigMap: "gitlab-ca" },
        ]),
      );
      const template = podTemplate(manifests, "sat-satellites-router");
      const { args, volumeMounts } = container(template, "router");
      expect(args.filter((arg) => arg.startsWith("--oidc"))).to.deep.equal([
        "--oidc-issuer=https://token.actions.githubusercontent.com",
        "--oidc-groups-claim=repository",
        "--oidc-groups-prefix=gh: #",
        "--oidc-username-prefix=github:",
        "--oidc-required-claim=ref_protected=true",
        "--oidc-required-claim=repository_owner_id=0123",
        "--oidc-issuer=https://gitlab.example",
        "--oidc-audience=builds",
        "--oidc-audience=*",
        "--oidc-ca-file=/oidc/1/ca.crt",
      ]);
      expect(volumeMounts).to.deep.equal([
        { name: "tls", mountPath: "/tls", readOnly: true },
        { name: "oidc-1", mountPath: "/oidc/1", readOnly: true },
      ]);
      expect(template.spec.volumes).to.deep.equal([
        { name: "tls", secret: { secretName: "router-tls" } },
        { name: "oidc-1", configMap: { name: "gitlab-ca" } },
      ]);
    });

    it("refuses what the router would refuse at its start", async () => {
      const stderr = async (...parameters: Parameters<typeof values>): Promise<string> => {
        const args = ["template", "sat", CHART];
        return (await helm(args, { values: { ...REQUIRED_VALUES, ...values(...parameters) } })).stderr;
      };
      expect(await stderr([{ issuer: "http://a.example" }])).to.match(/oidc.*issuer/);
      expect(await stderr([{ issuer: "https://a.example", groupsPrefix: "system:" }])).to.match(
        /groupsPrefix/,
      );
      expect(await stderr([{ audiences: ["a"] }])).to.match(/missing propert.*issuer/);
      expect(await stderr([{ issuer: "https://a.example" }], "loopback")).to.include(
        "router.access.oidc needs router.access.mode kubernetes",
      );
    });
  });

  describe("by network policy", () => {
    const policy = (manifests: readonly Manifest[]): { ingress: unknown[]; policyTypes: string[] } =>
      findManifest(manifests, "NetworkPolicy", "sat-satellites")["spec"] as {
        ingress: unknown[];
        policyTypes: string[];
      };

    it("lets nobody but scrapers in while the router is on loopback", () => {
      expect(policy(sidecar)).to.deep.include({
        policyTypes: ["Ingress"],
        ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: "operator" }, { port: "router" }] }],
      });
    });

    it("lets the named clients in where it is exposed, and limits egress when told", async () => {
      const clients = [{ podSelector: { matchLabels: { app: "builder" } } }];
      const egress = [{ ports: [{ port: 443 }] }];
      const { ingress, policyTypes } = policy(
        await renderChart({ ...EXPOSED, networkPolicy: { clients, egress } }),
      );
      expect(ingress[1]).to.deep.equal({ from: clients, ports: [{ port: "grpc" }] });
      expect(policyTypes).to.deep.equal(["Ingress", "Egress"]);
    });

    it("selects by labels that the pods bear, everywhere", () => {
      for (const manifests of [sidecar, exposed]) {
        const templates = manifests
          .filter(({ kind }) => kind === "Deployment")
          .map(({ metadata }) => podTemplate(manifests, metadata.name));
        const selectors = manifests.flatMap(({ kind, metadata, spec }) => {
          const { selector, podSelector } = (spec ?? {}) as {
            selector?: { matchLabels?: object };
            podSelector?: { matchLabels?: object };
          };
          const labels = kind === "Service" ? { matchLabels: selector } : (selector ?? podSelector);
          return labels?.matchLabels === undefined
            ? []
            : [{ of: `${kind}/${metadata.name}`, labels: labels.matchLabels }];
        });
        expect(selectors.length).to.be.greaterThan(3);
        for (const { of, labels } of selectors) {
          const selected = templates.filter(({ metadata }) =>
            Object.entries(labels).every(([key, value]) => metadata.labels[key] === value),
          );
          expect(selected, of).to.not.have.length(0);
        }
      }
    });
  });
});
