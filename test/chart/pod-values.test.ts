import { expect } from "chai";
import {
  CHART,
  findManifest,
  helm,
  type Manifest,
  manifestsOf,
  renderChart,
  REQUIRED_VALUES,
  type Values,
} from "../support/helm.ts";
import { container, EXPOSED, flags, podTemplate } from "./pods.ts";

/** Every value for pods, each with what it becomes in the pod's spec. */
const POD_VALUES: Readonly<
  Record<string, { readonly value: unknown; readonly spec: Readonly<Record<string, unknown>> }>
> = {
  nodeSelector: { value: { pool: "a" }, spec: { nodeSelector: { pool: "a" } } },
  tolerations: { value: [{ key: "a" }], spec: { tolerations: [{ key: "a" }] } },
  affinity: { value: { podAffinity: {} }, spec: { affinity: { podAffinity: {} } } },
  priorityClassName: { value: "high", spec: { priorityClassName: "high" } },
  runtimeClassName: { value: "gvisor", spec: { runtimeClassName: "gvisor" } },
  hostNetwork: { value: true, spec: { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" } },
  dnsPolicy: { value: "Default", spec: { dnsPolicy: "Default" } },
  dnsConfig: { value: { nameservers: ["10.0.0.2"] }, spec: { dnsConfig: { nameservers: ["10.0.0.2"] } } },
  volumes: {
    value: [{ name: "ca", configMap: { name: "ca" } }],
    spec: { volumes: [{ name: "ca", configMap: { name: "ca" } }] },
  },
};

const COMPONENTS = [
  ["operator", "sat-satellites"],
  ["router", "sat-satellites-router"],
] as const;

describe("the chart's values for pods", function () {
  this.timeout(120_000);

  for (const [name, { value, spec }] of Object.entries(POD_VALUES)) {
    it(`${name} holds for all pods, and for those of one component where that says so`, async () => {
      const common = await renderChart({ ...EXPOSED, [name]: value });
      for (const [, deployment] of COMPONENTS) {
        expect(podTemplate(common, deployment).spec).to.deep.include(spec);
      }
      for (const [component, deployment] of COMPONENTS) {
        const router = { ...EXPOSED.router };
        const own = { router, operator: {} };
        Object.assign(own[component], { pod: { [name]: value } });
        const manifests = await renderChart(own);
        expect(podTemplate(manifests, deployment).spec).to.deep.include(spec);
        for (const [, other] of COMPONENTS.filter(([, each]) => each !== deployment)) {
          expect(podTemplate(manifests, other).spec).to.not.deep.include(spec);
        }
      }
    });
  }

  it("of a component take the place of those for all pods, and may take them away", async () => {
    const manifests = await renderChart({
      ...EXPOSED,
      nodeSelector: { pool: "all" },
      podLabels: { team: "all" },
      podAnnotations: { note: "all" },
      operator: { pod: { nodeSelector: {}, podLabels: { team: "operator" }, podAnnotations: {} } },
    });
    const [operator, router] = COMPONENTS.map(([, name]) => podTemplate(manifests, name));
    expect(operator?.spec).to.not.have.property("nodeSelector");
    expect(operator?.metadata.labels).to.include({ team: "operator" });
    expect(operator?.metadata.annotations).to.not.have.property("note");
    expect(router?.spec["nodeSelector"]).to.deep.equal({ pool: "all" });
    expect(router?.metadata.labels).to.include({ team: "all" });
    expect(router?.metadata.annotations).to.include({ note: "all" });
  });

  it("say how a Deployment goes from one version to the next, and how many it remembers", async () => {
    const strategy = { type: "Recreate" };
    const manifests = await renderChart({
      ...EXPOSED,
      revisionHistoryLimit: 3,
      operator: { pod: { strategy } },
    });
    const specs = COMPONENTS.map(([, name]) => findManifest(manifests, "Deployment", name)["spec"]);
    expect(specs[0]).to.deep.include({ revisionHistoryLimit: 3 });
    expect(specs[0]).to.have.nested.property("strategy.type", "Recreate");
    expect(specs[1]).to.deep.include({
      revisionHistoryLimit: 3,
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    });
  });

  it("leave UIDs to a platform that chooses them", async () => {
    const podSecurityContext = { runAsUser: null, runAsGroup: null };
    const { spec } = podTemplate(await renderChart({ podSecurityContext }), "sat-satellites");
    expect(spec.securityContext).to.deep.equal({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    const own = await renderChart({ operator: { pod: { podSecurityContext: { runAsNonRoot: true } } } });
    expect(podTemplate(own, "sat-satellites").spec.securityContext).to.deep.equal({ runAsNonRoot: true });
  });

  for (const [component, deployment] of COMPONENTS) {
    it(`give the ${component} more arguments, environment and files`, async () => {
      const more = {
        extraArgs: ["--log-level=debug"],
        env: [{ name: "A", value: "b" }],
        envFrom: [{ secretRef: { name: "aws" } }],
        volumeMounts: [{ name: "ca", mountPath: "/ca" }],
      };
      const router = { ...EXPOSED.router, tls: { secretName: "router-tls" } };
      const values = { router, operator: {}, volumes: [{ name: "ca", configMap: { name: "ca" } }] };
      Object.assign(values[component], more);
      const template = podTemplate(await renderChart(values), deployment);
      const found = container(template, component);
      expect(found.args.at(-1)).to.equal("--log-level=debug");
      expect(found.env).to.deep.include({ name: "A", value: "b" });
      expect(found["envFrom"]).to.deep.equal(more.envFrom);
      expect(found["volumeMounts"]).to.deep.include({ name: "ca", mountPath: "/ca" });
      expect(template.spec["volumes"]).to.deep.include({ name: "ca", configMap: { name: "ca" } });
    });
  }

  it("name the methods that wake nothing", async () => {
    const wakesNothing = ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/"];
    const template = podTemplate(await renderChart({ router: { wakesNothing } }), "sat-satellites");
    expect(container(template, "router").args).to.include.members(
      wakesNothing.map((method) => `--wakes-nothing=${method}`),
    );
  });

  it("take accounts that somebody else makes", async () => {
    const manifests = await renderChart({
      serviceAccount: { create: false, name: "theirs" },
      router: { ...EXPOSED.router, serviceAccount: { create: false, name: "theirs-too" } },
    });
    expect(manifests.filter(({ kind }) => kind === "ServiceAccount")).to.deep.equal([]);
    const accounts = COMPONENTS.map(([, name]) => podTemplate(manifests, name).spec.serviceAccountName);
    expect(accounts).to.deep.equal(["theirs", "theirs-too"]);
    const subjects = manifests
      .filter(({ kind }) => kind.endsWith("RoleBinding"))
      .flatMap((binding) => (binding["subjects"] as { name: string }[]).map(({ name }) => name));
    expect(new Set(subjects)).to.deep.equal(new Set(["theirs", "theirs-too"]));
  });
});

describe("the chart's router Service", function () {
  this.timeout(60_000);

  it("says which load balancer it wants, whom that lets in, and where traffic goes", async () => {
    const balancer = {
      type: "LoadBalancer",
      loadBalancerClass: "service.k8s.aws/nlb",
      loadBalancerSourceRanges: ["10.0.0.0/8"],
      externalTrafficPolicy: "Local",
    };
    const manifests = await renderChart({ router: { ...EXPOSED.router, service: balancer } });
    expect(findManifest(manifests, "Service", "sat-satellites-router")["spec"]).to.deep.include(balancer);
  });
});

describe("the chart's certificate", function () {
  this.timeout(60_000);
  const access = { mode: "kubernetes" };
  const withCertificate = (certificate: object, tls: object = {}): Values => ({
    router: { mode: "deployment", access, tls: { certificate: { enabled: true, ...certificate }, ...tls } },
  });
  const issuerRef = { name: "ca", kind: "ClusterIssuer" };

  const certificateOf = (manifests: readonly Manifest[]): Record<string, unknown> =>
    findManifest(manifests, "Certificate", "sat-satellites-router")["spec"] as Record<string, unknown>;

  it("is not asked for unless a value says so", async () => {
    const kinds = (await renderChart(EXPOSED)).map(({ kind }) => kind);
    expect(kinds).to.not.include("Certificate");
  });

  it("is for the Service's names and further ones, in a Secret that the router reads", async () => {
    const more = { dnsNames: ["sat.example.com"], duration: "48h", renewBefore: "16h" };
    const manifests = await renderChart(withCertificate({ issuerRef, ...more }));
    expect(certificateOf(manifests)).to.deep.include({
      secretName: "sat-satellites-router-tls",
      issuerRef,
      dnsNames: [
        "sat-satellites-router.sat-system.svc",
        "sat-satellites-router.sat-system.svc.cluster.local",
        "sat.example.com",
      ],
      duration: "48h",
      renewBefore: "16h",
    });
    const template = podTemplate(manifests, "sat-satellites-router");
    expect(template.spec["volumes"]).to.deep.equal([
      { name: "tls", secret: { secretName: "sat-satellites-router-tls" } },
    ]);
    expect(flags(container(template, "router"))).to.include({ "tls-cert": "/tls/tls.crt" });
    const { ports } = findManifest(manifests, "Service", "sat-satellites-router")["spec"] as {
      ports: { appProtocol: string }[];
    };
    expect(ports[0]?.appProtocol).to.equal("https");
  });

  it("goes into the Secret that is named", async () => {
    const manifests = await renderChart(withCertificate({ issuerRef }, { secretName: "mine" }));
    expect(certificateOf(manifests)["secretName"]).to.equal("mine");
  });

  it("needs somebody who signs it", async () => {
    const values = { ...REQUIRED_VALUES, ...withCertificate({}) };
    const { code, stderr } = await helm(["template", "sat", CHART, "--kube-version", "1.37.0"], { values });
    expect(code).to.not.equal(0);
    expect(stderr).to.include("issuerRef.name");
  });
});

describe("the chart's ServiceMonitor", function () {
  this.timeout(60_000);

  it("takes time limits, relabelings, and how to reach an endpoint behind a mesh", async () => {
    const relabelings = [{ targetLabel: "cluster", replacement: "a" }];
    const metricRelabelings = [{ action: "drop", sourceLabels: ["__name__"], regex: "nodejs_.*" }];
    const endpoint = { scheme: "https", tlsConfig: { insecureSkipVerify: true } };
    const serviceMonitor = { enabled: true, scrapeTimeout: "5s", relabelings, metricRelabelings, endpoint };
    const args = ["template", "sat", CHART, "--namespace", "sat-system", "--kube-version", "1.37.0"];
    const { stdout, stderr } = await helm(args, { values: { ...REQUIRED_VALUES, serviceMonitor } });
    const { endpoints } = findManifest(manifestsOf(stdout), "ServiceMonitor", "sat-satellites")["spec"] as {
      endpoints: { port: string; relabelings: object[] }[];
    };
    expect(endpoints, stderr).to.have.length(2);
    for (const each of endpoints) {
      expect(each).to.deep.include({ scrapeTimeout: "5s", metricRelabelings, ...endpoint });
      expect(each.relabelings).to.deep.equal([
        { targetLabel: "program", replacement: each.port },
        ...relabelings,
      ]);
    }
  });
});
