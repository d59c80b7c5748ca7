import { expect } from "chai";
import type { MachineEvent } from "../../src/machines/cloud.ts";
import { decide } from "../../src/operator/decide.ts";
import { HostEvents } from "../../src/operator/host-events.ts";
import type { Observation } from "../../src/operator/observation.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import { findCondition } from "../../src/satellite/conditions.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { machine, satellite } from "./fixtures.ts";
import { NOW, NOW_MS, observation, settled, type Seen } from "./observation.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LONG_AGO = "2026-01-01T00:00:00Z";
const at = (inMs: number): string => new Date(NOW.getTime() + inMs).toISOString();

const retirement = (init: Partial<MachineEvent> = {}): MachineEvent => ({
  id: "event-1",
  machine: "i-1",
  code: "host-retirement",
  description: "degraded hardware",
  notBefore: at(48 * HOUR),
  ...init,
});

const LEASE = { seq: 1, validSeconds: 1800, openStreams: 1, time: LONG_AGO };
const IN_USE = { remainingMs: Infinity, liveLeases: [LEASE], staleRouters: [] };

/** A machine that runs and has an event. */
function running(
  init: Seen & {
    readonly event?: Observation["event"];
    readonly spec?: Partial<Satellite["spec"]>;
    readonly answered?: string;
  } = {},
): Observation {
  const { spec = {}, answered, ...rest } = init;
  return settled(
    observation({
      satellite: satellite({
        spec,
        status: {
          power: { state: "Running", epoch: 4, accepted: true, fence: 0, since: LONG_AGO },
          machine: {
            id: "i-1",
            type: "m7i.xlarge",
            size: "large",
            ...(answered === undefined ? {} : { answeredEvent: answered }),
          },
          endpoint: { host: "10.0.0.1", port: 8372 },
        },
      }),
      machine: machine({ launchedAt: LONG_AGO }),
      memory: { port: { probe: { epoch: 4, atMs: NOW_MS - 1000, ready: true, runningWork: 0 } } },
      event: { ...retirement(), readAtMs: NOW.getTime() },
      ...rest,
    }),
  );
}

/** What is done next, in words. */
function next(observed: Observation): string {
  const action = decide(observed, defaultSettings);
  return action.kind === "WriteStatus"
    ? `${action.status.power.state} ${action.status.power.reason ?? ""} ${action.status.power.sleepKind ?? ""}`.trim()
    : action.kind;
}

describe("a scheduled event", () => {
  it("lets a machine that nobody uses be stopped at once, once for each event", () => {
    const action = decide(running(), defaultSettings);
    expect(action).to.nested.include({
      "status.power.state": "Stopping",
      "status.power.reason": "ScheduledEvent",
      "status.machine.answeredEvent": "event-1",
    });
    expect(next(running({ answered: "event-1" }))).to.equal("Wait");
    expect(next(running({ answered: "event-0" }))).to.equal("Stopping ScheduledEvent Hibernate");
  });

  it("waits for streams to end, and an hour before its time no longer", () => {
    expect(next(running({ idleness: IN_USE }))).to.equal("Wait");
    const soon = { ...retirement({ notBefore: at(HOUR) }), readAtMs: NOW.getTime() };
    expect(next(running({ idleness: IN_USE, event: soon }))).to.equal("Stopping ScheduledEvent Hibernate");
  });

  it("waits for work that the guest says is running", () => {
    const probe = { epoch: 4, atMs: NOW_MS - 1000, ready: true, runningWork: 1 };
    expect(next(running({ memory: { port: { probe } } }))).to.equal("Wait");
  });

  it("waits for the maintenance window where there is one, but not beyond its time", () => {
    const spec = { maintenance: { start: "05:00", duration: "2h", timeZone: "UTC" } };
    expect(next(running({ spec }))).to.equal("Wait");
    const open = { maintenance: { start: "00:30", duration: "2h", timeZone: "UTC" } };
    expect(next(running({ spec: open }))).to.equal("Stopping ScheduledEvent Hibernate");
    const soon = { ...retirement({ notBefore: at(30 * MINUTE) }), readAtMs: NOW.getTime() };
    expect(next(running({ spec, event: soon }))).to.equal("Stopping ScheduledEvent Hibernate");
  });

  it("is that of the host before when it was read shortly after the machine's last start", () => {
    expect(next(running({ machine: machine({ launchedAt: at(-14 * MINUTE) }) }))).to.equal("Wait");
    expect(next(running({ machine: machine({ launchedAt: at(-16 * MINUTE) }) }))).to.include("Stopping");
  });

  it("drains: the call waits until the routers have let go", () => {
    const stopping = (drainedEpoch: number): Observation =>
      running({
        satellite: satellite({
          status: {
            power: {
              state: "Stopping",
              epoch: 4,
              accepted: false,
              fence: 0,
              reason: "ScheduledEvent",
              sleepKind: "Hibernate",
              since: at(-1000),
            },
            machine: { id: "i-1", type: "m7i.xlarge", size: "large", answeredEvent: "event-1" },
          },
        }),
        idleness: { ...IN_USE, liveLeases: [{ ...LEASE, drainedEpoch }] },
      });
    expect(next(stopping(3))).to.equal("Wait");
    expect(next(stopping(4))).to.equal("Stop");
  });

  it("leaves a sleeper asleep: its next start is on another host", () => {
    const observed = running({
      satellite: satellite({
        spec: { desiredPower: "off" },
        status: {
          power: { state: "Off", epoch: 4, accepted: false, fence: 0 },
          machine: { id: "i-1", type: "m7i.xlarge", size: "large" },
          sleep: { kind: "Stopped", since: LONG_AGO },
        },
      }),
      machine: machine({ state: "stopped", launchedAt: LONG_AGO }),
    });
    expect(next(observed)).to.equal("Wait");
  });

  it("is shown until it is over", () => {
    const observed = running({ idleness: IN_USE });
    const shown = findCondition(observed.satellite.status.conditions, "EventScheduled");
    expect(shown).to.include({ status: "True", reason: "HostRetirement" });
    expect(shown?.message)
      .to.include("host-retirement")
      .and.include(at(47 * HOUR).slice(0, 16));
    const unread = settled({ ...observed, event: undefined, eventsKnown: false });
    expect(findCondition(unread.satellite.status.conditions, "EventScheduled")?.status).to.equal("True");
    const over = settled({ ...observed, event: undefined });
    expect(findCondition(over.satellite.status.conditions, "EventScheduled")?.status).to.equal("False");
  });

  it("ends with the machine awake again, stopped once, also when operators change", async () => {
    const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
    await world.run(30 * MINUTE);
    const now = (): Date => world.clock.now();
    const notBefore = new Date(now().getTime() + 48 * HOUR).toISOString();
    world.hostEvents.replace([retirement({ notBefore })], now());
    for (let step = 0; step < 40; step++) {
      world.restart();
      await world.run(1000);
    }
    expect(world.satellite().status.power).to.include({ state: "Running", reason: "Wake" });
    expect(world.cloud.count("start")).to.equal(1);
    // The cloud may list the event for long.
    world.hostEvents.replace([retirement({ notBefore })], now());
    await world.run(HOUR);
    expect(world.cloud.count("start")).to.equal(1);
    expect(world.satellite().spec.desiredPower).to.equal("on");
  });
});

describe("the events of hosts", () => {
  it("are the first of each machine, and name the machines of which something changed", () => {
    const events = new HostEvents();
    expect(events.known).to.equal(false);
    const later = retirement({ id: "event-2", notBefore: at(72 * HOUR) });
    expect(events.replace([later, retirement()], NOW)).to.deep.equal(["i-1"]);
    expect(events.of("i-1")?.id).to.equal("event-1");
    expect(events.replace([retirement(), later], NOW)).to.deep.equal([]);
    expect(events.replace([], NOW)).to.deep.equal(["i-1"]);
    expect(events.of("i-1")).to.equal(undefined);
    expect(events.known).to.equal(true);
  });
});
