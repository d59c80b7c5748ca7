import { expect } from "chai";
import { satelliteRow } from "../../src/page/satellite-row.ts";
import { awake, power, satellite } from "../router/satellites.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const lease = { seq: 1, validSeconds: 60, openStreams: 2, time: "2026-03-01T11:59:30Z" };
const stream = { user: "alice", method: "/moby.buildkit.v1.Control/Solve", since: "2026-03-01T11:00:00Z" };

describe("a row of the page", () => {
  it("tells a sleeper apart by how it sleeps", () => {
    const asleep = (status: object): string => satelliteRow(satellite({ status }), NOW).power;
    expect(
      asleep({ machine: { id: "i-1" }, sleep: { kind: "Hibernated", since: "2026-03-01T08:00:00Z" } }),
    ).to.equal("hibernated");
    expect(
      asleep({ machine: { id: "i-1" }, sleep: { kind: "Stopped", since: "2026-03-01T08:00:00Z" } }),
    ).to.equal("stopped");
    expect(asleep({})).to.equal("no machine");
  });

  it("says who holds it awake, and how many streams there are at all routers", () => {
    const held = awake({
      status: {
        power: power("Running", { since: "2026-03-01T10:00:00Z" }),
        activity: {
          "router-0": { ...lease, oldestStream: stream },
          "router-1": { ...lease, openStreams: 1, oldestStream: { method: "/a.B/C", since: stream.since } },
          "router-2": { ...lease, openStreams: 0 },
        },
      },
    });
    expect(satelliteRow(held, NOW)).to.deep.include({
      key: "team-a/ada",
      phase: "Running",
      power: "on",
      since: "2026-03-01T10:00:00Z",
      holders: ["alice by /moby.buildkit.v1.Control/Solve", "somebody by /a.B/C"],
      streams: 3,
      trouble: undefined,
    });
  });

  it("leaves out leases that have run out", () => {
    const activity = { "router-0": { ...lease, time: "2026-03-01T11:00:00Z", oldestStream: stream } };
    expect(satelliteRow(awake({ status: { activity } }), NOW)).to.deep.include({ holders: [], streams: 0 });
  });

  it("says what people wrote that keeps it awake, unless it is off", () => {
    const annotations = { "satellites.dev/keep-awake-until": "2026-03-01T18:00:00Z" };
    const kept = { annotations, spec: { idleTimeout: "0s" } };
    expect(satelliteRow(awake(kept), NOW).holders).to.deep.equal([
      "annotation, until 2026-03-01T18:00:00Z",
      "it never sleeps by itself",
    ]);
    expect(satelliteRow(satellite(kept), NOW).holders).to.deep.equal([]);
  });

  it("says what is in the way of what is wished", () => {
    const condition = {
      type: "Ready",
      status: "False" as const,
      reason: "InsufficientCapacity",
      message: "try another zone",
      lastTransitionTime: "2026-03-01T11:00:00Z",
    };
    expect(satelliteRow(awake({ status: { conditions: [condition] } }), NOW).trouble).to.deep.equal({
      reason: "InsufficientCapacity",
      message: "try another zone",
    });
  });

  it("shows one that no operator has looked at yet", () => {
    const fresh = { ...satellite(), status: {} } as unknown as ReturnType<typeof satellite>;
    expect(satelliteRow(fresh, NOW)).to.deep.include({
      phase: "Pending",
      power: "unknown",
      holders: [],
      streams: 0,
    });
  });
});
