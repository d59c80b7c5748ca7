import { SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import { openStream, STREAM_LINES, type TestSystem } from "../e2e/local-system.ts";

/** AWS prices of a while ago. */
const PRICES = { currency: "USD", perHour: { "t3.small": "0.0208" }, perGiBMonth: "0.08" };

/** Longer than a router lets pass between two reports of streams that are open. */
const AWAY_MS = 15_000;

/** Runs a command in a satellite, whatever comes of it. */
async function call(test: TestSystem, name: string): Promise<void> {
  await test
    .connect(name)
    .run("true", {})
    .catch(() => undefined);
}

/**
 * What a fleet goes through: wakes from nothing and from hibernation, requests held and forwarded, sleep, a refusal by the
 * router, one by EC2, a satellite that failed, one that everybody forgot, writes that the API server refuses or does not
 * answer.
 */
export async function makeLoad(test: TestSystem): Promise<void> {
  await test.client.patch(
    SATELLITE_CLASSES,
    { name: "default" },
    { type: "merge", body: { spec: { prices: PRICES } } },
  );
  await Promise.all(["ada", "bob", "cyd"].map((name) => test.create(name, { idleTimeout: "5s" })));
  await test.create("lost", { className: "nowhere", desiredPower: "on" });
  await Promise.all(["ada", "bob", "ada", "cyd", "ada"].map((name) => call(test, name)));
  await call(test, "nobody");
  await test.untilPhase("ada", "Asleep");
  await test.addFault({ action: "StartInstances", kind: "refuse", code: "InsufficientInstanceCapacity" });
  await Promise.all(["ada", "bob", "ada"].map((name) => call(test, name)));
  await test.untilPhase("lost", "Failed");
  await call(test, "lost");
  // A wake of a kind that has been counted before: rates are of what grows.
  await test.untilPhase("ada", "Asleep");
  // The router reports open streams; nobody takes the report, however long the end of the API server takes.
  const { lines } = await openStream(test.connect("ada"), 10 * STREAM_LINES);
  lines.catch(() => undefined);
  await test.keepDead("kubernetes", AWAY_MS);
}
