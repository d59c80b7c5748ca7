import { expect } from "chai";
import { asObject, type JsonObject, type JsonValue, valueAt } from "../../src/local/kubernetes/json.ts";
import { findCondition } from "../../src/satellite/conditions.ts";
import { SATELLITES, SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { readCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { Installation, NAMESPACE, type OperatorProcess, SATELLITES_PATH } from "../support/installation.ts";
import { largest } from "../support/largest-object.ts";

const CLASSES_PATH = "/apis/satellites.dev/v1alpha1/satelliteclasses";
const CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/satellites.satellites.dev";
const LONG_NAMESPACE = "n".repeat(63);
const LONG_NAME = "s".repeat(253);

/** What the schema alone does not tell: patterns, rules, and which of several alternatives. */
const CHOICES: readonly (readonly [path: RegExp, value: JsonValue])[] = [
  [/^(apiVersion|kind|metadata)$/, null],
  [/\.(idleTimeout)$/, "8760h".padStart(32, "0")],
  [/\.unhealthyAfter$/, "24h".padStart(32, "0")],
  [/\.(drainTimeout|duration)$/, "24h".padStart(32, "0")],
  [/\.maintenance\.start$/, "23:59"],
  [/\.maintenance\.days$/, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]],
  [/\.tlsFingerprint$/, "f".repeat(64)],
  [/^status\.conditions$/, conditions()],
  [/^status\.recoveries$/, Array.from({ length: 60 }, () => "2026-01-01T00:00:00Z")],
  [/\.allowedNamespaces\.selector$/, null],
  [/\.image\.(ssmParameter|nameFilter|owners)$/, null],
  [/\.image\.id$/, "ami-".padEnd(64, "1")],
  [/\.(subnets|securityGroups)\.tags$/, null],
  [/^spec\.ec2\.subnets\.ids\[\]$/, "subnet-".padEnd(64, "1")],
  [/^spec\.ec2\.securityGroups\.ids\[\]$/, "sg-".padEnd(64, "1")],
  [/\.roleARN$/, `arn:aws:iam::123456789012:role/${"r".repeat(2017)}`],
  [/\.types\[\]$/, "m7i.".padEnd(64, "1")],
  [/\.(archive\.url|proxy\.https?)$/, "https://".padEnd(1024, "p")],
  [/\.sha256\{\}$/, "f".repeat(64)],
  [/^spec\.prices\.(perHour\{\}|per\w*Month)$/, "9".repeat(16)],
  [/^spec\.prices\.currency$/, "USD"],
  [/\.insecureEntitlements$/, ["network.host", "security.insecure", "device"]],
];

function conditions(): JsonValue {
  return Array.from({ length: 16 }, (_, index) => ({
    type: String(index).padStart(64, "T"),
    status: "Unknown",
    reason: "R".repeat(128),
    message: "m".repeat(4096),
    lastTransitionTime: "2026-01-01T00:00:00Z",
  }));
}

/** Spec and status of a kind, everything at its maximum. */
function largestOf(plural: string): JsonObject {
  const crd = readCrds().find(({ metadata }) => metadata.name === `${plural}.satellites.dev`);
  const [version] = (valueAt(crd as unknown as JsonObject, "spec", "versions") ?? []) as JsonObject[];
  const schema = asObject(valueAt(version, "schema", "openAPIV3Schema"));
  return asObject(largest(schema, (_schema, path) => CHOICES.find(([at]) => at.test(path))?.[1]));
}

describe("objects at the limits of every field", function () {
  this.timeout(180_000);
  let product: Installation;
  let operator: OperatorProcess;

  before(async () => {
    product = await Installation.start({ changeMs: 100, leaseSeconds: 60 });
  });
  after(() => product?.stop());

  const kinds = {
    satellites: [SATELLITES, SATELLITES_PATH],
    satelliteclasses: [SATELLITE_CLASSES, CLASSES_PATH],
  } as const;
  for (const [plural, [type, path]] of Object.entries(kinds)) {
    it(`are stored by kube-apiserver, all at once: ${plural}`, async () => {
      const { spec, status } = largestOf(plural);
      const { admin } = product.server;
      const size = { defaultSize: Object.keys(asObject(valueAt(spec, "sizes")))[0] };
      const made = await admin.request("POST", path, {
        apiVersion: `${type.group}/${type.version}`,
        kind: type.kind,
        metadata: { name: "largest" },
        spec: plural === "satelliteclasses" ? { ...asObject(spec), ...size } : spec,
      });
      expect(made.status, JSON.stringify(made.body)).to.equal(201);
      const written = await admin.mergePatch(`${path}/largest/status`, { status });
      expect(written.status, JSON.stringify(written.body)).to.equal(200);
      expect(valueAt(written.body as JsonObject, "status")).to.deep.equal(status);
      expect((await admin.request("DELETE", `${path}/largest`)).status).to.equal(200);
    });
  }

  it("are served by the operator: the longest name in the longest namespace is launched and deleted", async () => {
    operator = await product.startOperator("operator-0");
    const { client } = product;
    const key = { namespace: LONG_NAMESPACE, name: LONG_NAME };
    const namespaced = await product.server.admin.request("POST", "/api/v1/namespaces", {
      metadata: { name: LONG_NAMESPACE },
    });
    expect(namespaced.status).to.equal(201);
    await client.create<Satellite>(SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: key,
      spec: { idleTimeout: "0s", sleepMode: "Stop" },
    } as Satellite);
    const phase = async (): Promise<unknown> => (await client.get<Satellite>(SATELLITES, key)).status.phase;
    await eventually("it runs", async () => (await phase()) === "Running");
    const [instance] = product.instances(LONG_NAME);
    expect(instance?.tags["Name"]).to.have.length(256);
    await client.delete(SATELLITES, key);
    await eventually("its instance is gone", () => product.instances(LONG_NAME)[0]?.state === "terminated");
  });

  it("find a place for a router among the entries of routers that are gone", async () => {
    const router = await product.startRouter("router-new");
    for (const [name, desiredPower] of [
      ["crowded-asleep", "off"],
      ["crowded-awake", "on"],
    ] as const) {
      await product.create(name);
      await product.untilPhase(name, "Running");
      await product.patch(name, { desiredPower });
      await product.untilPhase(name, desiredPower === "on" ? "Running" : "Asleep");
      const entry = { seq: 1, validSeconds: 1800, openStreams: 0, time: "2026-01-01T00:00:00Z" };
      const activity = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`gone-${index}`, entry]));
      const path = `${SATELLITES_PATH}/${name}/status`;
      expect((await product.server.admin.mergePatch(path, { status: { activity } })).status).to.equal(200);
      await product.connect(router, name).describe(30_000);
      expect(Object.keys(product.find(name)?.status.activity ?? {})).to.deep.equal(["router-new"]);
    }
  });

  it("that the schema refuses all the same are said to be so: condition, event, metric and error log", async () => {
    const narrow = [
      {
        op: "add",
        path: "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/launch/properties/token/maxLength",
        value: 10,
      },
    ];
    expect((await product.server.admin.jsonPatch(CRD_PATH, narrow)).status).to.equal(200);
    await product.create("refused");
    const shown = await product.until("refused", "Ready says WriteRejected", ({ status }) => {
      return findCondition(status.conditions, "Ready")?.reason === "WriteRejected";
    });
    expect(findCondition(shown.status.conditions, "Ready")?.message).to.contain("status.launch.token");
    expect(shown.status.phase).to.equal("Failed");
    await eventually("an event says so", async () => {
      const { body } = await product.server.admin.request("GET", `/api/v1/namespaces/${NAMESPACE}/events`);
      const events = (body as { items: { reason: string; involvedObject: { name: string } }[] }).items;
      return events.some(
        ({ reason, involvedObject }) => reason === "WriteRejected" && involvedObject.name === "refused",
      );
    });
    expect(await operator.metrics()).to.match(
      /satellites_operator_failures_total\{reason="WriteRejected"\} [1-9]/,
    );
    expect(product.logOf("operator-0")).to.match(/"level":"error".*WriteRejected/);
    expect(product.instances("refused")).to.deep.equal([]);
  });
});
