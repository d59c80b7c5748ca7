import { satellite, scenario, type Scenario } from "../scenario.ts";

const CLASSES = "/apis/satellites.dev/v1alpha1/satelliteclasses";

function specCase(name: string, spec: unknown): Scenario {
  return scenario(`schema: ${name}`, async (api) => {
    await api.create({ ...satellite("a"), spec });
  });
}

const EC2 = {
  region: "eu-west-1",
  image: { id: "ami-1" },
  subnets: { ids: ["subnet-1"] },
  securityGroups: { ids: ["sg-1"] },
};
const SIZES = { small: { types: ["m7i.large"] } };

function classCase(name: string, spec: object): Scenario {
  return scenario(`class: ${name}`, async (api) => {
    await api.send("POST", CLASSES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "SatelliteClass",
      metadata: { name: `class-${api.namespace}` },
      spec,
    });
  });
}

/** Schema, CEL rules, defaulting and pruning. */
export const VALIDATION_SCENARIOS: readonly Scenario[] = [
  specCase("power as a boolean", { desiredPower: true }),
  specCase("power as a number", { desiredPower: 1 }),
  specCase("power as null", { desiredPower: null }),
  specCase("an unknown power", { desiredPower: "maybe" }),
  specCase("power in capitals", { desiredPower: "On" }),
  specCase("an idleTimeout that is no duration", { idleTimeout: "soon" }),
  specCase("an idleTimeout without a unit", { idleTimeout: "30" }),
  specCase("an idleTimeout in days", { idleTimeout: "1d" }),
  specCase("an idleTimeout that is too short", { idleTimeout: "1s" }),
  specCase("an idleTimeout of zero", { idleTimeout: "0s" }),
  specCase("an idleTimeout of several units", { idleTimeout: "1h30m" }),
  specCase("an idleTimeout of more than a year", { idleTimeout: "9000h" }),
  specCase("an idleTimeout beyond what a duration holds", { idleTimeout: "99999999999h" }),
  specCase("an idleTimeout that is too long a text", { idleTimeout: "1m".repeat(20) }),
  specCase("a drainTimeout that is too long", { drainTimeout: "25h" }),
  specCase("a port of 0", { port: 0 }),
  specCase("a port of 65536", { port: 65_536 }),
  specCase("a port as a fraction", { port: 80.5 }),
  specCase("a port as text", { port: "80" }),
  specCase("an empty class name", { className: "" }),
  specCase("a class name that is too long", { className: "a".repeat(254) }),
  specCase("an unknown architecture", { architecture: "riscv64" }),
  specCase("several errors at once", { architecture: "x", port: 0, sleepMode: "Nap", idleTimeout: "x" }),
  specCase("a maintenance window without its fields", { maintenance: {} }),
  specCase("a maintenance window", { maintenance: { start: "02:00", duration: "2h", days: ["Sat"] } }),
  specCase("a maintenance window at 24:00", { maintenance: { start: "24:00", duration: "2h" } }),
  specCase("a maintenance window of no length", { maintenance: { start: "02:00", duration: "0s" } }),
  specCase("a day twice", { maintenance: { start: "02:00", duration: "2h", days: ["Sat", "Sat"] } }),
  specCase("an unknown day", { maintenance: { start: "02:00", duration: "2h", days: ["Sabbath"] } }),
  specCase("too many schedules", { wakeSchedule: Array.from({ length: 17 }, () => "0 8 * * *") }),
  specCase("a schedule that is too short", { wakeSchedule: ["daily"] }),
  specCase("an unknown field is pruned", {
    colour: "red",
    maintenance: { start: "02:00", duration: "1h", x: 1 },
  }),
  specCase("spec as a list", []),
  specCase("spec as null", null),
  specCase("no spec", undefined),
  scenario("schema: fieldValidation Strict refuses unknown fields", async (api) => {
    await api.create(satellite("a", { colour: "red" }), "?fieldValidation=Strict");
    await api.create(satellite("a", { colour: "red" }), "?fieldValidation=Warn");
    await api.create(satellite("b"), "?fieldValidation=Never");
  }),
  scenario("rule: the class can change before the launch, not after", async (api) => {
    await api.given(satellite("a"));
    await api.mergePatch(api.satellites("/a"), { spec: { className: "second" } });
    await api.mergePatch(api.satellites("/a/status"), { status: { launch: { attempt: 0, token: "t" } } });
    await api.mergePatch(api.satellites("/a"), { spec: { className: "third" } });
    await api.mergePatch(api.satellites("/a"), { spec: { className: "third", architecture: "arm64" } });
    await api.mergePatch(api.satellites("/a"), { spec: { size: "other" } });
  }),
  scenario("schema: status", async (api) => {
    await api.given(satellite("a"));
    const status = (body: object): Promise<unknown> =>
      api.mergePatch(api.satellites("/a/status"), { status: body });
    await status({ power: { state: "Napping" } });
    await status({ power: { epoch: -1 } });
    await status({ power: { since: "yesterday" } });
    await status({ endpoint: { host: "10.0.0.1" } });
    await status({ conditions: [{ type: "Ready" }] });
    const ready = {
      type: "Ready",
      status: "True",
      reason: "R",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    await status({ conditions: [ready] });
    await status({ conditions: [ready, ready] });
    await status({ usage: { wakes: 1.5 } });
    const lease = { seq: 1, validSeconds: 1, openStreams: 0, time: "2026-01-01T00:00:00Z" };
    await status({ activity: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`r-${i}`, lease])) });
  }),
  classCase("the smallest that is valid", { ec2: EC2, sizes: SIZES, defaultSize: "small" }),
  classCase("a default size that is not there", { ec2: EC2, sizes: SIZES, defaultSize: "large" }),
  classCase("nothing", {}),
  classCase("an image by two ways", {
    ec2: { ...EC2, image: { id: "ami-1", ssmParameter: "/x" } },
    sizes: SIZES,
    defaultSize: "small",
  }),
  classCase("namespaces by names and selector", {
    allowedNamespaces: { names: ["a"], selector: { matchLabels: { a: "b" } } },
    ec2: EC2,
    sizes: SIZES,
    defaultSize: "small",
  }),
  classCase("a custom guest without its secret", {
    ec2: EC2,
    sizes: SIZES,
    defaultSize: "small",
    guest: { kind: "custom" },
  }),
];
