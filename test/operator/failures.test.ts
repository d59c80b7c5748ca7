import { expect } from "chai";
import { CloudError, type CloudErrorClass } from "../../src/machines/errors.ts";
import { ConfigurationError, failureOf, waitingForRetry } from "../../src/operator/failures.ts";
import type { Failure } from "../../src/operator/memory/failures.ts";
import type { Observation } from "../../src/operator/observation.ts";
import { satellite } from "./fixtures.ts";
import { NOW_MS, observation, type Seen } from "./observation.ts";
import { World } from "./world.ts";

function cloudError(errorClass: CloudErrorClass): CloudError {
  return new CloudError({ code: "Code", class: errorClass, reason: "Reason", message: "what to do" });
}

function fail(observed: Observation, thrown: unknown): Failure {
  return failureOf(observed, "Start", thrown, { nowMs: NOW_MS, random: () => 0 });
}

/** The failures of one action that fails so often in a row. */
function inARow(
  count: number,
  thrown: unknown,
  memory: Seen["memory"] = {},
  action: "Start" | "Launch" = "Start",
): Failure[] {
  const failures: Failure[] = [];
  for (let index = 0; index < count; index++) {
    const previous = failures.at(-1);
    const observed = observation({
      memory: { ...memory, ...(previous === undefined ? {} : { failures: { last: previous } }) },
    });
    failures.push(failureOf(observed, action, thrown, { nowMs: NOW_MS, random: () => 0 }));
  }
  return failures;
}

/** Milliseconds until the second retry after failures of one class. */
function secondDelayMs(thrown: unknown): number {
  const first = fail(observation(), thrown);
  return fail(observation({ memory: { failures: { last: first } } }), thrown).retryAtMs - NOW_MS;
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
    expect(
      fail(observation({ memory: { failures: { last: failure } } }), cloudError("server")).count,
    ).to.equal(2);
    const other = { ...failure, action: "Stop" as const };
    expect(fail(observation({ memory: { failures: { last: other } } }), cloudError("server")).count).to.equal(
      1,
    );
  });

  it("that only a person can mend are terminal", () => {
    for (const thrown of [cloudError("parameter"), new ConfigurationError("ClassNotFound", "create it")]) {
      expect(fail(observation(), thrown).terminal).to.equal(true);
    }
    expect(fail(observation(), cloudError("capacity")).terminal).to.equal(false);
  });

  for (const errorClass of ["permission", "refused"] as const) {
    it(`of class ${errorClass}, which may pass within seconds, are terminal only when quick retries have not helped`, () => {
      const failures = inARow(6, cloudError(errorClass));
      expect(failures.map(({ terminal }) => terminal)).to.deep.equal([
        false,
        false,
        false,
        false,
        false,
        true,
      ]);
      expect(failures.map(({ retryAtMs }) => retryAtMs - NOW_MS)).to.deep.equal([
        1000, 2000, 4000, 8000, 16_000, 32_000,
      ]);
    });
  }

  it("that only a person can mend are tried again soon at first, and every half hour in the end", () => {
    const delays = inARow(20, cloudError("parameter")).map(({ retryAtMs }) => retryAtMs - NOW_MS);
    expect(delays[0]).to.equal(1000);
    expect(delays.at(-1)).to.equal(30 * 60_000);
  });

  it("for want of capacity pause between rounds through all types and zones, longer where there are very many", () => {
    const rounds = (combinations: number): number[] =>
      [1, combinations, combinations + 1, 100 * combinations].map(
        (count) =>
          (inARow(count, cloudError("capacity"), { launch: { combinations } }, "Launch").at(-1)?.retryAtMs ??
            0) - NOW_MS,
      );
    expect(rounds(4)).to.deep.equal([2000, 2000, 4000, 120_000]);
    expect(rounds(30)).to.deep.equal([2000, 2000, 4000, 300_000]);
  });

  it("of two actions that fail in turn are counted for each", () => {
    const first = fail(observation(), cloudError("server"));
    const other = { ...first, action: "Stop" };
    const memory = { failures: { last: other, byAction: { Start: first, Stop: other } } };
    expect(fail(observation({ memory }), cloudError("server")).count).to.equal(2);
    expect(waitingForRetry(observation({ memory }), "Start")).to.deep.include({ kind: "Wait" });
  });

  it("of an unknown kind leave the outcome open", () => {
    expect(fail(observation(), new TypeError("bug"))).to.include({ class: "server", outcomeUnknown: true });
    expect(fail(observation(), cloudError("capacity")).outcomeUnknown).to.equal(false);
  });

  it("hold the same action back until their time, and no other action", () => {
    const failure = fail(observation(), cloudError("quota"));
    const observed = observation({ memory: { failures: { last: failure } } });
    expect(waitingForRetry(observed, "Start")).to.deep.include({ kind: "Wait", afterMs: 30_000 });
    expect(waitingForRetry(observed, "Stop")).to.equal(undefined);
    expect(waitingForRetry({ ...observed, nowMs: NOW_MS + 30_000 }, "Start")).to.equal(undefined);
  });

  it("hold nothing back once spec or class have changed", () => {
    const failure = fail(observation(), cloudError("parameter"));
    const changed = satellite();
    changed.metadata.generation = 2;
    expect(
      waitingForRetry(observation({ satellite: changed, memory: { failures: { last: failure } } }), "Start"),
    ).to.equal(undefined);
  });
});

describe("refusals under an operator that restarts", () => {
  const MINUTE = 60_000;

  it("are tried again at once, since it may run under the right role by now", async () => {
    const world = new World();
    world.cloud.fail("launch", "permission", Infinity);
    await world.run(45 * MINUTE);
    const refused = world.cloud.count("launch");
    await world.run(10 * MINUTE);
    expect(world.cloud.count("launch")).to.equal(refused);
    world.cloud.faults.splice(0);
    world.restart();
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("stay few, however long it restarts as often as Kubernetes lets it", async () => {
    const world = new World();
    world.cloud.fail("launch", "permission", Infinity);
    // CrashLoopBackOff grows to five minutes (Kubernetes documentation, "Pod Lifecycle").
    for (let restart = 0; restart < 12; restart++) {
      await world.run(5 * MINUTE);
      world.restart();
    }
    expect(world.cloud.count("launch")).to.be.within(12, 12 * 9);
  });
});
