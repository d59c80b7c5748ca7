import { satellite, scenario, type Scenario } from "../scenario.ts";

const LEASE = { seq: 1, validSeconds: 30, openStreams: 1, time: "2026-01-01T00:00:00Z" };

/** A JSON patch on a new satellite, through the main resource or its status. */
function jsonPatchCase(name: string, below: "" | "/status", operations: unknown): Scenario {
  return scenario(`JSON patch${below === "" ? "" : " of status"}: ${name}`, async (api) => {
    await api.given(satellite("a"));
    await api.jsonPatch(api.satellites(`/a${below}`), operations);
    await api.get(api.satellites("/a"));
  });
}

/** A merge patch on a new satellite. */
function mergePatchCase(name: string, below: "" | "/status", body: unknown): Scenario {
  return scenario(`merge patch${below === "" ? "" : " of status"}: ${name}`, async (api) => {
    await api.given(satellite("a", { size: "large" }, { labels: { keep: "1", drop: "2" } }));
    await api.mergePatch(api.satellites(`/a${below}`), body);
    await api.get(api.satellites("/a"));
  });
}

const test = (path: string, value: unknown): object => ({ op: "test", path, value });
const add = (path: string, value: unknown): object => ({ op: "add", path, value });
const replace = (path: string, value: unknown): object => ({ op: "replace", path, value });
const remove = (path: string): object => ({ op: "remove", path });

/** Patches of every kind; the power protocol stands on the first group. */
export const PATCH_SCENARIOS: readonly Scenario[] = [
  jsonPatchCase("a lease under tests of spec and power", "/status", [
    test("/spec/desiredPower", "on"),
    test("/status/power/state", "Off"),
    test("/status/power/epoch", 0),
    add("/status/activity/router-0", LEASE),
  ]),
  jsonPatchCase("a failed test of spec", "/status", [
    test("/spec/desiredPower", "off"),
    add("/status/activity/router-0", LEASE),
  ]),
  jsonPatchCase("a failed test of the UID", "/status", [
    test("/metadata/uid", "x"),
    add("/status/phase", "Running"),
  ]),
  jsonPatchCase("a failed test after a change", "/status", [
    add("/status/activity/router-0", LEASE),
    test("/status/activity", {}),
  ]),
  jsonPatchCase("a test of a missing path", "/status", [test("/status/machine/id", "i-1")]),
  jsonPatchCase("a test of a missing field", "/status", [test("/status/machine", {})]),
  jsonPatchCase("a test that an absent field is null", "/status", [test("/status/machine", null)]),
  jsonPatchCase("a test without a value", "/status", [{ op: "test", path: "/status/machine" }]),
  jsonPatchCase("a test of an object whatever its key order", "/status", [
    test("/status/power", { state: "Off", epoch: 0, accepted: false }),
  ]),
  jsonPatchCase("a number as 0.0", "/status", '[{"op":"test","path":"/status/power/epoch","value":0.0}]'),
  jsonPatchCase("a number as text", "/status", [test("/status/power/epoch", "0")]),
  jsonPatchCase("an add below a missing parent", "/status", [add("/status/machine/id", "i-1")]),
  jsonPatchCase("a replace of a missing field", "/status", [replace("/status/phase", "Running")]),
  jsonPatchCase("a remove of a missing field", "/status", [remove("/status/machine")]),
  jsonPatchCase("a remove of a defaulted field", "/status", [remove("/status/power")]),
  jsonPatchCase("a remove of all of status", "/status", [remove("/status")]),
  jsonPatchCase("a write to spec is dropped", "/status", [replace("/spec/desiredPower", "off")]),
  jsonPatchCase("a write to labels", "/status", [add("/metadata/labels", { a: "b" })]),
  jsonPatchCase("a value against the schema", "/status", [replace("/status/phase", "Dancing")]),
  jsonPatchCase("an unknown field is pruned", "/status", [add("/status/mood", "good")]),
  jsonPatchCase("an entry without its required fields", "/status", [
    add("/status/activity/router-0", { seq: 1 }),
  ]),
  jsonPatchCase("a key with a slash and a tilde", "/status", [add("/status/activity/a~1b~0c", LEASE)]),
  jsonPatchCase("a test of status and a write of spec", "", [
    test("/status/activity", {}),
    test("/spec/idleTimeout", "30m"),
    replace("/spec/desiredPower", "off"),
  ]),
  jsonPatchCase("a failed test of status", "", [
    test("/status/power/state", "Running"),
    replace("/spec/desiredPower", "off"),
  ]),
  jsonPatchCase("a write to status is dropped", "", [replace("/status/phase", "Running")]),
  jsonPatchCase("an unknown operation", "", [{ op: "renew", path: "/spec/size", value: "x" }]),
  jsonPatchCase("an operation without a path", "", [{ op: "add", value: "x" }]),
  jsonPatchCase("a path without a slash", "", [add("spec/size", "x")]),
  jsonPatchCase("copy and move", "", [
    { op: "copy", from: "/spec/className", path: "/spec/size" },
    add("/metadata/labels", { a: "1" }),
    { op: "move", from: "/metadata/labels/a", path: "/metadata/labels/b" },
  ]),
  jsonPatchCase("array elements", "", [
    add("/spec/wakeSchedule", ["0 8 * * *"]),
    add("/spec/wakeSchedule/-", "0 9 * * *"),
    add("/spec/wakeSchedule/0", "0 7 * * *"),
    remove("/spec/wakeSchedule/1"),
  ]),
  jsonPatchCase("an array index that is out of range", "", [
    add("/spec/wakeSchedule", ["0 8 * * *"]),
    add("/spec/wakeSchedule/5", "0 9 * * *"),
  ]),
  jsonPatchCase("an object instead of a list", "", { op: "add" }),
  jsonPatchCase("what is not JSON", "", "{"),
  jsonPatchCase("a change of name", "", [replace("/metadata/name", "b")]),
  jsonPatchCase("a change of UID", "", [replace("/metadata/uid", "b")]),
  jsonPatchCase("an old version", "", [replace("/metadata/resourceVersion", "1")]),
  mergePatchCase("sets and removes", "", { spec: { idleTimeout: "1h", size: null } }),
  mergePatchCase("removes a label", "", { metadata: { labels: { drop: null } } }),
  mergePatchCase("removes what has a default", "", { spec: { desiredPower: null } }),
  mergePatchCase("removes all of spec", "", { spec: null }),
  mergePatchCase("a boolean for power", "", { spec: { desiredPower: true } }),
  mergePatchCase("status through the main resource is dropped", "", { status: { phase: "Running" } }),
  mergePatchCase("of status", "/status", { status: { phase: "Running", machine: { id: "i-1" } } }),
  mergePatchCase("spec through status is dropped", "/status", { spec: { desiredPower: "off" } }),
  mergePatchCase("an old version conflicts", "", { metadata: { resourceVersion: "1" }, spec: { size: "x" } }),
  mergePatchCase("a list for an object", "", []),
  mergePatchCase("what is not JSON", "", "{"),
  scenario("patch of what does not exist", async (api) => {
    await api.mergePatch(api.satellites("/none"), {});
    await api.jsonPatch(api.satellites("/none/status"), []);
  }),
  scenario("patch with a content type that is not known", async (api) => {
    await api.given(satellite("a"));
    await api.send("PATCH", api.satellites("/a"), {}, { contentType: "application/json" });
  }),
  scenario("strategic merge patch of a custom resource", async (api) => {
    await api.given(satellite("a"));
    await api.send(
      "PATCH",
      api.satellites("/a"),
      {},
      { contentType: "application/strategic-merge-patch+json" },
    );
  }),
  scenario("replace of status", async (api) => {
    await api.given(satellite("a"));
    await api.put(api.satellites("/a/status"), {
      ...satellite("a", { size: "dropped" }),
      status: { phase: "Running" },
    });
  }),
];
