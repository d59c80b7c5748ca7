import { expect } from "chai";
import type { CloudErrorClass } from "../../src/machines/errors.ts";
import { satellite } from "./fixtures.ts";
import type { CloudCall } from "./memory-cloud.ts";
import { REASONS } from "./scripted-cloud.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
/** Longer than the half hour that pauses for what only a person can mend grow to. */
const PATIENCE_MS = 75 * MINUTE;
/** Calls of the failing kind within that time: back-offs grow to two minutes at most. */
const MOST_CALLS = 200;
/** Calls of the failing kind where only a person can mend it: pauses double from a second to half an hour. */
const MOST_TERMINAL_CALLS = 13;

/** Every class of failure that the port knows. */
const CLASSES = Object.keys(REASONS) as CloudErrorClass[];

const PERSISTENCE = { once: 1, "five times": 5, "for ever": Infinity } as const;

interface Scenario {
  /** The call that fails. */
  readonly call: CloudCall;
  /** Brings the world to just before the call. */
  readonly before: (world: World) => Promise<void>;
  /** What somebody then wants. */
  readonly trigger: (world: World) => void;
  /** Whether it has happened. */
  readonly reached: (world: World) => boolean;
  /** The reason that is shown while it fails for ever; absent where nobody is kept waiting. */
  readonly shown: (world: World) => string | undefined;
}

const running = (world: World): Promise<void> => world.run(MINUTE);
const asleep = async (world: World): Promise<void> => {
  await running(world);
  world.setPower("off");
  await world.run(MINUTE);
};
const nothing = (): Promise<void> => Promise.resolve();
const remove = (world: World): void =>
  world.edit(({ metadata }) => {
    metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
  });
const phaseIs = (phase: string) => (world: World) => world.satellite().status.phase === phase;
const readyReason = (world: World): string | undefined => world.condition("Ready")?.reason;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "choosing what to launch": {
    call: "resolve",
    before: nothing,
    trigger: () => {},
    reached: phaseIs("Running"),
    shown: (world) => world.condition("Launched")?.reason,
  },
  "a launch": {
    call: "launch",
    before: nothing,
    trigger: () => {},
    reached: phaseIs("Running"),
    shown: (world) => world.condition("Launched")?.reason,
  },
  "a start": {
    call: "start",
    before: asleep,
    trigger: (world) => world.setPower("on"),
    reached: phaseIs("Running"),
    shown: readyReason,
  },
  "a stop": {
    call: "stop",
    before: running,
    trigger: (world) => world.setPower("off"),
    reached: phaseIs("Asleep"),
    shown: readyReason,
  },
  "a termination": {
    call: "terminate",
    before: running,
    trigger: remove,
    reached: (world) => !world.exists(),
    shown: readyReason,
  },
  "letting go of a machine": {
    call: "tag",
    before: async (world) => {
      world.edit(({ spec }) => {
        spec.deletionPolicy = "Retain";
      });
      await asleep(world);
      // Not as wished, so that Ready has something to show.
      world.edit(({ metadata }) => {
        metadata.annotations = { "satellites.dev/paused": "true" };
      });
      world.setPower("on");
    },
    trigger: remove,
    reached: (world) => !world.exists(),
    shown: readyReason,
  },
  "a change of type": {
    call: "changeType",
    before: async (world) => {
      world.edit(({ spec }) => {
        spec.sleepMode = "Stop";
      });
      await asleep(world);
    },
    trigger: (world) =>
      world.edit(({ spec }) => {
        spec.size = "small";
      }),
    reached: (world) => world.satellite().status.machine?.type === "m7i.large",
    shown: (world) => world.condition("Updated")?.reason,
  },
  "a look at a machine": {
    call: "describe",
    before: asleep,
    trigger: (world) => world.setPower("on"),
    reached: phaseIs("Running"),
    shown: readyReason,
  },
};

describe("every class of failure of every call", () => {
  let combinations = 0;
  for (const [what, scenario] of Object.entries(SCENARIOS)) {
    for (const errorClass of CLASSES) {
      for (const [persistence, times] of Object.entries(PERSISTENCE)) {
        combinations += 1;
        it(`${what}, ${errorClass}, ${persistence}`, () => tryOut(scenario, errorClass, times));
      }
    }
  }

  it(`is tried in ${combinations} combinations, more than 250`, () => {
    expect(combinations).to.be.greaterThan(250);
  });
});

async function tryOut(scenario: Scenario, errorClass: CloudErrorClass, times: number): Promise<void> {
  const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
  await scenario.before(world);
  const isForPeople = errorClass === "parameter" || errorClass === "permission" || errorClass === "refused";
  const before = world.cloud.count(scenario.call);
  world.cloud.fail(scenario.call, errorClass, times);
  scenario.trigger(world);
  await world.run(PATIENCE_MS);
  const calls = world.cloud.count(scenario.call) - before;
  if (Number.isFinite(times)) {
    expect(scenario.reached(world), "ends as it was wished").to.equal(true);
  } else {
    expect(scenario.reached(world), "has not happened").to.equal(false);
    expect(scenario.shown(world)).to.equal(REASONS[errorClass]);
    expect(calls).to.be.at.most(isForPeople ? MOST_TERMINAL_CALLS : MOST_CALLS);
  }
  if (scenario.call !== "describe") {
    // Looks that succeed are what the operator lives on.
    expect(calls).to.be.at.most(MOST_CALLS);
  }
  expect(world.thrown).to.deep.equal([]);
  const machines = [...world.cloud.machines.values()].filter(({ state }) => state !== "terminated");
  expect(machines.length, "never two machines").to.be.at.most(1);
}
