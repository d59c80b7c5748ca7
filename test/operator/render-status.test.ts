import { expect } from "chai";
import type { Failure } from "../../src/operator/memory/failures.ts";
import type { Observation } from "../../src/operator/observation.ts";
import { machineStatus, renderStatus } from "../../src/operator/render-status.ts";
import { findCondition, type ConditionType } from "../../src/satellite/conditions.ts";
import type { Condition, Hibernation, Power } from "../../src/satellite/resource.ts";
import { machine, satellite } from "./fixtures.ts";
import { observation, type Seen } from "./observation.ts";

const FAILURE: Failure = {
  action: "Start",
  class: "permission",
  reason: "NotPermitted",
  message: "correct the policy",
  attempt: undefined,
  outcomeUnknown: false,
  count: 1,
  terminal: true,
  retryAtMs: 0,
  machineType: undefined,
  atMs: 0,
  inputs: "",
};

function seen(
  power: Partial<Power> & { readonly state: Power["state"] },
  init: {
    readonly wish?: "on" | "off";
    readonly memory?: Seen["memory"];
    readonly hibernation?: Hibernation;
    readonly sleepMode?: "Hibernate" | "Stop";
  } = {},
): Observation {
  return observation({
    satellite: satellite({
      spec: { desiredPower: init.wish ?? "on", sleepMode: init.sleepMode ?? "Hibernate", port: 9000 },
      status: {
        power: { epoch: 1, accepted: false, fence: 0, ...power },
        machine: {
          ...machineStatus(machine(), "large"),
          ...(init.hibernation === undefined ? {} : { hibernation: init.hibernation }),
        },
        endpoint: { host: "10.0.0.1", port: 8372 },
      },
    }),
    memory: init.memory ?? {},
  });
}

const condition = (observed: Observation, type: ConditionType): Condition | undefined =>
  findCondition(renderStatus(observed).conditions, type);

describe("the rendered status", () => {
  it("is ready while awake and wished on, and while asleep and wished off", () => {
    expect(condition(seen({ state: "Running" }), "Ready")).to.include({ status: "True", reason: "Running" });
    expect(condition(seen({ state: "Off" }, { wish: "off" }), "Ready")).to.include({
      status: "True",
      reason: "Asleep",
    });
  });

  it("is not ready on the way, and says which way", () => {
    for (const state of ["Starting", "Stopping"] as const) {
      expect(condition(seen({ state }), "Ready")).to.include({ status: "False", reason: state });
    }
  });

  it("says why it does not go on, and is Failed where only a person can help", () => {
    const observed = seen({ state: "Starting" }, { memory: { failures: { last: FAILURE } } });
    expect(condition(observed, "Ready")).to.include({
      reason: "NotPermitted",
      message: "correct the policy",
    });
    expect(renderStatus(observed).phase).to.equal("Failed");
    const passing = seen(
      { state: "Starting" },
      { memory: { failures: { last: { ...FAILURE, terminal: false } } } },
    );
    expect(renderStatus(passing).phase).to.equal("Waking");
  });

  it("is Asleep, and not Failed, where it is off as it should be, whatever kept it from its last start", () => {
    const observed = seen({ state: "Off" }, { wish: "off", memory: { failures: { last: FAILURE } } });
    expect(renderStatus(observed).phase).to.equal("Asleep");
    expect(condition(observed, "Ready")).to.include({ status: "True", reason: "Asleep" });
    const wished = seen({ state: "Off" }, { wish: "on", memory: { failures: { last: FAILURE } } });
    expect(renderStatus(wished).phase).to.equal("Failed");
    expect(condition(wished, "Ready")).to.include({ status: "False", reason: "NotPermitted" });
  });

  it("is awake only while it runs", () => {
    expect(condition(seen({ state: "Running" }), "Awake")?.status).to.equal("True");
    expect(condition(seen({ state: "Stopping" }), "Awake")).to.include({
      status: "False",
      reason: "Stopping",
    });
  });

  it("says why memory will not be kept", () => {
    expect(condition(seen({ state: "Running" }), "Hibernatable")?.status).to.equal("True");
    expect(condition(seen({ state: "Running" }, { sleepMode: "Stop" }), "Hibernatable")).to.include({
      status: "False",
      reason: "SleepModeStop",
    });
  });

  it("keeps the cloud's refusal to hibernate while the machine is the same", () => {
    const hibernation = { trouble: "Refused", message: "the cloud says no" } as const;
    const observed = seen({ state: "Running" }, { hibernation });
    const said = { status: "False", reason: "HibernationRefused", message: "the cloud says no" };
    expect(condition(observed, "Hibernatable")).to.include(said);
    const other = renderStatus(observed, { machine: machineStatus(machine({ id: "i-2" }), "large") });
    expect(findCondition(other.conditions, "Hibernatable")).to.include({ status: "True" });
    expect(other.machine).not.to.have.property("hibernation");
  });

  it("shows the port of the spec and the generation that it was made from", () => {
    const { endpoint, observedGeneration } = renderStatus(seen({ state: "Running" }));
    expect(endpoint).to.deep.equal({ host: "10.0.0.1", port: 9000 });
    expect(observedGeneration).to.equal(1);
  });

  it("removes a field that a step names as undefined", () => {
    const status = renderStatus(seen({ state: "Off" }), { endpoint: undefined, machine: undefined });
    expect(status.endpoint).to.equal(undefined);
    expect(status.machine).to.equal(undefined);
  });
});
