import { expect } from "chai";
import { CloudError, type CloudErrorClass } from "../../src/machines/errors.ts";
import { ConfigurationError, failureOf, waitingForRetry } from "../../src/operator/failures.ts";
import type { Failure, Observation } from "../../src/operator/observation.ts";
import { satellite } from "./fixtures.ts";
import { NOW_MS, observation } from "./observation.ts";

function cloudError(errorClass: CloudErrorClass): CloudError {
  return new CloudError({ code: "Code", class: errorClass, reason: "Reason", message: "what to do" });
}

function fail(o: Observation, thrown: unknown): Failure {
  return failureOf(o, "Start", thrown, { nowMs: NOW_MS, random: () => 0 });
}

/** Milliseconds until the second retry after failures of one class. */
function secondDelayMs(thrown: unknown): number {
  const first = fail(observation(), thrown);
  return fail(observation({ memory: { failure: first } }), thrown).retryAtMs - NOW_MS;
}

describe("failures", () => {
  it("are tried again by their class: soon for the server, late for a quota", () => {
    expect(secondDelayMs(cloudError("server"))).to.equal(1000);
    expect(secondDelayMs(cloudError("throttled"))).to.equal(2000);
    expect(secondDelayMs(cloudError("capacity"))).to.equal(4000);
    expect(secondDelayMs(cloudError("quota"))).to.equal(60_000);
  });

  it("count up while the same action fails, and begin anew with another", () => {
    const failure = fail(observation(), cloudError("server"));
    expect(fail(observation({ memory: { failure } }), cloudError("server")).count).to.equal(2);
    const other = { ...failure, action: "Stop" as const };
    expect(fail(observation({ memory: { failure: other } }), cloudError("server")).count).to.equal(1);
  });

  it("that only a person can mend are terminal, and looked at again after half an hour", () => {
    for (const thrown of [
      cloudError("parameter"),
      cloudError("permission"),
      new ConfigurationError("ClassNotFound", "create it"),
    ]) {
      expect(fail(observation(), thrown)).to.include({ terminal: true, retryAtMs: NOW_MS + 30 * 60_000 });
    }
    expect(fail(observation(), cloudError("capacity")).terminal).to.equal(false);
  });

  it("of an unknown kind leave the outcome open", () => {
    expect(fail(observation(), new TypeError("bug"))).to.include({ class: "server", outcomeUnknown: true });
    expect(fail(observation(), cloudError("capacity")).outcomeUnknown).to.equal(false);
  });

  it("hold the same action back until their time, and no other action", () => {
    const failure = fail(observation(), cloudError("quota"));
    const o = observation({ memory: { failure } });
    expect(waitingForRetry(o, "Start")).to.deep.include({ kind: "Wait", afterMs: 30_000 });
    expect(waitingForRetry(o, "Stop")).to.equal(undefined);
    expect(waitingForRetry({ ...o, nowMs: NOW_MS + 30_000 }, "Start")).to.equal(undefined);
  });

  it("hold nothing back once spec or class have changed", () => {
    const failure = fail(observation(), cloudError("parameter"));
    const changed = satellite();
    changed.metadata.generation = 2;
    expect(waitingForRetry(observation({ satellite: changed, memory: { failure } }), "Start")).to.equal(
      undefined,
    );
  });
});
