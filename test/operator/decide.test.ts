import { expect } from "chai";
import type { MachineState } from "../../src/machines/cloud.ts";
import type { Action } from "../../src/operator/action.ts";
import { decide } from "../../src/operator/decide.ts";
import type { Remembered } from "../../src/operator/memory/memory.ts";
import type { Observation } from "../../src/operator/observation.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import type { Power } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { machine, satellite } from "./fixtures.ts";
import { NOW_MS, observation, settled } from "./observation.ts";

const EPOCH = 4;
/** Long enough ago that no description can be older. */
const LONG_AGO = "2026-01-01T00:30:00Z";

const JUST_NOW = "2026-01-01T00:59:30Z";
const STUCK = { trouble: "Stuck", message: "" } as const;

type Wish = "on" | "off";

interface Situation {
  readonly power: Partial<Power> & { readonly state: Power["state"] };
  readonly is: MachineState;
  readonly wish: Wish;
  readonly memory?: Partial<Remembered>;
  readonly idleness?: Partial<Observation["idleness"]>;
  readonly spec?: Partial<Satellite["spec"]>;
  /** It was said before that the machine is stuck. */
  readonly isStuck?: boolean;
}

function situation(given: Situation): Observation {
  const { power, is, wish, memory = {}, idleness = {}, spec = {}, isStuck = false } = given;
  return settled(
    observation({
      satellite: satellite({
        spec: { desiredPower: wish, ...spec },
        status: {
          power: { epoch: EPOCH, accepted: false, fence: 0, since: LONG_AGO, ...power },
          machine: { id: "i-1", type: "m7i.xlarge", size: "large", launchedAt: LONG_AGO },
          endpoint: { host: "10.0.0.1", port: 8372 },
          ...(isStuck ? { health: STUCK } : {}),
        },
      }),
      machine: machine({ state: is }),
      idleness: { remainingMs: Infinity, liveLeases: [], staleRouters: [], ...idleness },
      memory,
    }),
  );
}

/** An action in one line: what a step does, and to which power it moves. */
function inWords(action: Action): string {
  if (action.kind === "Wait") {
    return `wait: ${action.reason}`;
  }
  if (action.kind === "WriteStatus") {
    const { state, epoch, accepted, reason = "" } = action.status.power;
    const delta = epoch === EPOCH ? "" : ` epoch+${epoch - EPOCH}`;
    const stuck = action.announce?.reason === STUCK.trouble ? `: ${STUCK.trouble}` : "";
    return `write ${state} ${reason}${delta}${accepted ? " accepted" : ""}${stuck}`;
  }
  if (action.kind === "Stop") {
    const unforced = action.hibernate ? "hibernate" : "stop";
    return action.force ? "force stop" : unforced;
  }
  return action.kind;
}

const CALLED = { calls: { stop: { epoch: EPOCH, atMs: NOW_MS - 60_000 } } };
const CALLED_LONG_AGO = { calls: { stop: { epoch: EPOCH, atMs: NOW_MS - 11 * 60_000 } } };
const OWNED = { calls: { ownedStart: `${EPOCH}/0` } };
const ANSWERED = {
  port: { probe: { epoch: EPOCH, atMs: NOW_MS - 1000, ready: true, runningWork: 0 } },
};
const OFF = { state: "Off" } as const;
const STARTING = { state: "Starting", reason: "Wake" } as const;
const ACCEPTED = { ...STARTING, accepted: true } as const;
const RUNNING = { state: "Running", reason: "Wake", accepted: true } as const;
const STOPPING = { state: "Stopping", reason: "DesiredOff", sleepKind: "Hibernate" } as const;

/** What is done for each power state, state of the machine and wish. */
const TABLE: readonly (readonly [Situation, string])[] = [
  [{ power: OFF, is: "stopped", wish: "off" }, "wait: Asleep"],
  [{ power: OFF, is: "stopped", wish: "on" }, "write Starting Wake epoch+1"],
  [{ power: { ...OFF, since: JUST_NOW }, is: "stopping", wish: "on" }, "wait: FallingAsleep"],
  [{ power: OFF, is: "running", wish: "on" }, "write Starting Drift epoch+1 accepted"],
  [{ power: OFF, is: "running", wish: "off" }, "write Stopping Drift"],

  [{ power: STARTING, is: "stopped", wish: "on" }, "write Starting Wake"],
  [{ power: STARTING, is: "stopped", wish: "on", memory: OWNED }, "Start"],
  [
    { power: { ...STARTING, since: JUST_NOW }, is: "stopping", wish: "on", memory: OWNED },
    "wait: FallingAsleep",
  ],
  [{ power: STARTING, is: "pending", wish: "on" }, "write Starting Wake accepted"],
  [{ power: STARTING, is: "running", wish: "on" }, "write Starting Wake accepted"],
  [{ power: { ...ACCEPTED, since: JUST_NOW }, is: "pending", wish: "on" }, "Probe"],
  [{ power: ACCEPTED, is: "pending", wish: "on" }, "write Starting Wake accepted: Stuck"],
  [{ power: ACCEPTED, is: "pending", wish: "on", isStuck: true }, "Probe"],
  [{ power: ACCEPTED, is: "running", wish: "on" }, "Probe"],
  [{ power: ACCEPTED, is: "stopped", wish: "on" }, "write Off Drift"],
  [{ power: ACCEPTED, is: "running", wish: "off" }, "write Stopping DesiredOff"],

  [{ power: RUNNING, is: "running", wish: "on" }, "Probe"],
  [{ power: RUNNING, is: "running", wish: "on", memory: ANSWERED }, "wait: InUse"],
  [{ power: RUNNING, is: "running", wish: "off" }, "write Stopping DesiredOff"],
  [{ power: RUNNING, is: "stopped", wish: "on" }, "wait: MachineStateContradicts"],
  [
    {
      power: RUNNING,
      is: "stopped",
      wish: "on",
      memory: { sightings: { contradictedSinceMs: NOW_MS - 6000 } },
    },
    "write Off Drift",
  ],

  [{ power: STOPPING, is: "running", wish: "off" }, "hibernate"],
  [{ power: STOPPING, is: "running", wish: "on" }, "hibernate"],
  [{ power: { ...STOPPING, since: JUST_NOW }, is: "pending", wish: "off" }, "wait: ComingUp"],
  [
    { power: { ...STOPPING, accepted: true }, is: "stopping", wish: "off", memory: CALLED_LONG_AGO },
    "write Stopping DesiredOff accepted",
  ],
  [
    {
      power: { ...STOPPING, accepted: true, sleepKind: "Stop" },
      is: "stopping",
      wish: "off",
      memory: CALLED_LONG_AGO,
    },
    "write Stopping DesiredOff accepted: Stuck",
  ],
  [
    {
      power: { ...STOPPING, accepted: true, sleepKind: "Stop" },
      is: "stopping",
      wish: "off",
      memory: CALLED,
      isStuck: true,
    },
    "wait: FallingAsleep",
  ],
  [
    {
      power: { ...STOPPING, accepted: true, sleepKind: "Stop" },
      is: "stopping",
      wish: "off",
      memory: CALLED_LONG_AGO,
      isStuck: true,
    },
    "force stop",
  ],
  [{ power: STOPPING, is: "stopped", wish: "off" }, "hibernate"],
  [{ power: STOPPING, is: "stopped", wish: "off", memory: CALLED }, "write Off DesiredOff"],
];

describe("decide", () => {
  for (const [given, expected] of TABLE) {
    const { power, is, wish, memory } = given;
    const remembered =
      memory === undefined ? "" : `, remembering ${Object.values(memory).flatMap(Object.keys).join(", ")}`;
    const title = `${power.state}${power.accepted === true ? " (accepted)" : ""}, machine ${is}, wished ${wish}${remembered}`;
    it(`${title}: ${expected}`, () => {
      expect(inWords(decide(situation(given), defaultSettings))).to.equal(expected);
    });
  }

  const lease = { seq: 1, validSeconds: 1800, openStreams: 1, time: LONG_AGO };

  it("drains where a router may still count on its lease", () => {
    const observed = situation({
      power: RUNNING,
      is: "running",
      wish: "off",
      idleness: { liveLeases: [lease] },
    });
    expect(inWords(decide(observed, defaultSettings))).to.equal("write Stopping Draining");
  });

  it("sends the stop once every router has let go of this epoch, and not before", () => {
    const draining = { ...STOPPING, reason: "Draining", since: "2026-01-01T00:59:50Z" };
    const leases = (drainedEpoch: number): Observation["idleness"]["liveLeases"] => [
      { ...lease, drainedEpoch },
    ];
    const next = (drainedEpoch: number): string =>
      inWords(
        decide(
          situation({
            power: draining,
            is: "running",
            wish: "off",
            idleness: { liveLeases: leases(drainedEpoch) },
          }),
          defaultSettings,
        ),
      );
    expect(next(EPOCH - 1)).to.equal("wait: Draining");
    expect(next(EPOCH)).to.equal("hibernate");
  });

  it("asks the guest before it takes a satellite for idle, and believes its running work", () => {
    const idle = { power: RUNNING, is: "running", wish: "on", idleness: { remainingMs: 0 } } as const;
    const probe = { epoch: EPOCH, atMs: NOW_MS - 1000, ready: true };
    expect(inWords(decide(situation(idle), defaultSettings))).to.equal("Probe");
    const busy = situation({ ...idle, memory: { port: { probe: { ...probe, runningWork: 1 } } } });
    expect(inWords(decide(busy, defaultSettings))).to.equal("wait: GuestBusy");
    const quiet = situation({ ...idle, memory: { port: { probe: { ...probe, runningWork: 0 } } } });
    expect(inWords(decide(quiet, defaultSettings))).to.equal("DesireOff");
  });

  it("does not believe the guest's work for longer than its bound", () => {
    const observed = situation({
      power: RUNNING,
      is: "running",
      wish: "on",
      idleness: { remainingMs: 0 },
      memory: {
        port: {
          probe: { epoch: EPOCH, atMs: NOW_MS - 1000, ready: true, runningWork: 1 },
          guestBusySinceMs: NOW_MS - defaultSettings.guestBusyMaxMs,
        },
      },
    });
    expect(inWords(decide(observed, defaultSettings))).to.equal("DesireOff");
  });

  it("takes a contradicting description right after the start for an old one", () => {
    const observed = situation({
      power: { ...RUNNING, since: "2026-01-01T00:59:55Z" },
      is: "stopped",
      wish: "on",
      memory: { sightings: { contradictedSinceMs: NOW_MS - 6000 } },
    });
    expect(inWords(decide(observed, defaultSettings))).to.equal("wait: MachineStateContradicts");
  });

  it("resends a planned launch while its outcome is unknown, also when it is refused for the number of requests", () => {
    const launching = {
      satellite: satellite({
        status: {
          power: {
            state: "Starting",
            reason: "Launch",
            epoch: 1,
            accepted: false,
            fence: 0,
            since: LONG_AGO,
          },
          launch: { attempt: 0, token: "t" },
        },
      }),
    } as const;
    const after = (failureClass: "server" | "throttled" | "not-sent" | "capacity"): string =>
      inWords(
        decide(
          settled(
            observation({
              ...launching,
              memory: {
                failures: {
                  last: {
                    action: "Launch",
                    class: failureClass,
                    reason: "Refused",
                    message: "",
                    attempt: 0,
                    outcomeUnknown: failureClass === "server",
                    count: 1,
                    terminal: false,
                    retryAtMs: 0,
                    inputs: "1/uid-class/1",
                    machineType: undefined,
                    atMs: 0,
                  },
                },
                launch: { combinations: 2 },
              },
            }),
          ),
          defaultSettings,
        ),
      );
    expect(after("server")).to.equal("Launch");
    expect(after("throttled")).to.equal("Launch");
    expect(after("not-sent"), "that of a process that does not lead").to.equal("Launch");
    expect(after("capacity")).to.equal("PlanLaunch");
  });

  it("adds its finalizer before anything else", () => {
    const fresh = satellite();
    delete fresh.metadata.finalizers;
    expect(inWords(decide(observation({ satellite: fresh }), defaultSettings))).to.equal("AddFinalizer");
  });

  it("does nothing to a paused satellite", () => {
    const paused = satellite({ annotations: { "satellites.dev/paused": "true" } });
    expect(inWords(decide(observation({ satellite: paused }), defaultSettings))).to.equal("wait: Paused");
  });

  describe("of a satellite that is being deleted", () => {
    const deleting = (is: MachineState, init: Partial<Situation> = {}): Observation => {
      const observed = situation({ power: RUNNING, is, wish: "on", ...init });
      return {
        ...observed,
        satellite: {
          ...observed.satellite,
          metadata: { ...observed.satellite.metadata, deletionTimestamp: "2026-01-01T00:59:00Z" },
        },
      };
    };
    const intent = { ...STOPPING, reason: "Deleting" };
    const rows: readonly (readonly [string, Observation, string])[] = [
      ["writes the intent first", deleting("running"), "write Stopping Deleting"],
      ["writes it over another stop", deleting("stopping", { power: STOPPING }), "write Stopping Deleting"],
      ["then terminates", deleting("running", { power: intent }), "Terminate"],
      ["lets it go once terminated", deleting("terminated", { power: intent }), "RemoveFinalizer"],
    ];
    for (const [title, observed, expected] of rows) {
      it(`${title}: ${expected}`, () => {
        expect(inWords(decide(observed, defaultSettings))).to.equal(expected);
      });
    }
  });
});
