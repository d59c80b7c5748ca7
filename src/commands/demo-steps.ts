import { join } from "node:path";
import { SatelliteError } from "../base/errors.ts";
import type { GuestClient } from "../guest/client.ts";
import type { GuestDescription } from "../guest/schema.ts";
import { DEMO_SATELLITE, type DemoContext } from "./demo-context.ts";

const MANIFEST = join(import.meta.dirname, "../../examples/local/satellite.yaml");
const COLD_TIMEOUT_MS = 120_000;
const TRANSITION_TIMEOUT_MS = 60_000;
const WARM_CALLS = 50;
const CONCURRENT_REQUESTS = 50;
/** The concurrent requests come over so many connections, as those of several clients do. */
const CONCURRENT_CLIENTS = 10;
const KEPT_FILE = "kept.txt";

/** Throws unless the condition holds; the demo reports it. */
function must(holds: boolean, what: string): void {
  if (!holds) {
    throw new SatelliteError("DemoClaimFailed", what);
  }
}

/** Seconds that `work` takes, and its result. */
async function timed<T>(
  { clock }: DemoContext,
  work: () => Promise<T>,
): Promise<{ seconds: number; result: T }> {
  const startedMs = clock.monotonicMs();
  const result = await work();
  return { seconds: (clock.monotonicMs() - startedMs) / 1000, result };
}

async function runCommand(guest: GuestClient, command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await guest.run(command, { args });
  must(code === 0, `${command} ${args.join(" ")} exited with ${code}: ${stderr.toString()}`);
  return stdout.toString().trim();
}

/** Applies the satellite and runs the first command in its new VM, with a request that waits for it. */
export async function coldStart(demo: DemoContext): Promise<{ seconds: number; guest: GuestDescription }> {
  demo.progress("kubectl apply: a satellite that sleeps after 10 s without a request");
  const guest = demo.connect();
  const { seconds, result } = await timed(demo, async () => {
    await demo.kubectl(["apply", "-f", MANIFEST]);
    await demo.until("the satellite's appearance", () => true, 5000);
    demo.progress("the VM launches; a request waits at the router");
    return runCommand(guest, "sh", ["-c", `echo kept > ${KEPT_FILE}; uname -sm`]);
  });
  await demo.until("phase Running", ({ status }) => status.phase === "Running", COLD_TIMEOUT_MS);
  demo.progress(`the first command answered after ${seconds.toFixed(2)} s: ${result}`);
  console.log(await demo.kubectl(["get", "satellites", "--output", "wide"]));
  return { seconds, guest: await guest.describe() };
}

/** Median milliseconds of a unary call to a satellite that is awake. */
export async function warmCalls(demo: DemoContext): Promise<number> {
  const guest = demo.connect();
  const times: number[] = [];
  for (let call = 0; call < WARM_CALLS; call++) {
    times.push((await timed(demo, () => guest.describe())).seconds * 1000);
  }
  const median = times.toSorted((a, b) => a - b)[WARM_CALLS / 2] ?? 0;
  demo.progress(`${WARM_CALLS} warm calls, median ${median.toFixed(2)} ms`);
  return median;
}

/** Waits until idleness has put the satellite to sleep; seconds from the intent to stop until it sleeps. */
export async function fallAsleep(demo: DemoContext, kind: "Hibernated" | "Stopped"): Promise<number> {
  demo.progress("nobody asks anything of it; waiting until it falls asleep");
  await demo.until(
    "the intent to stop",
    ({ status }) => status.power.state === "Stopping",
    TRANSITION_TIMEOUT_MS,
  );
  const { seconds, result } = await timed(demo, () =>
    demo.until("sleep", ({ status }) => status.phase === "Asleep", TRANSITION_TIMEOUT_MS),
  );
  must(
    result.status.sleep?.kind === kind,
    `it should be ${kind}, but status.sleep is ${JSON.stringify(result.status.sleep)}`,
  );
  demo.progress(`asleep (${kind}) ${seconds.toFixed(2)} s after the intent to stop`);
  return seconds;
}

/** Sends one request to the hibernated satellite and compares its memory with before. */
export async function wakeUp(
  demo: DemoContext,
  before: GuestDescription,
): Promise<{ seconds: number; sameBootID: boolean; memoryKept: boolean }> {
  const guest = demo.connect();
  const { seconds, result } = await timed(demo, () => guest.describe());
  const sameBootID = result.bootId === before.bootId;
  const memoryKept = result.calls > before.calls;
  demo.progress(`a request woke it: answered after ${seconds.toFixed(2)} s`);
  must(sameBootID, "the boot ID changed over hibernation");
  must(memoryKept, `the guest's call counter did not go on: ${before.calls} before, ${result.calls} after`);
  return { seconds, sameBootID, memoryKept };
}

/** Many requests at once to the sleeping satellite: all are answered, and one start is sent. */
export async function concurrentRequests(
  demo: DemoContext,
): Promise<{ requests: number; startInstancesCalls: number }> {
  const before = (await demo.calls("StartInstances")).length;
  const clients = Array.from({ length: CONCURRENT_CLIENTS }, () => demo.connect());
  const perClient = CONCURRENT_REQUESTS / CONCURRENT_CLIENTS;
  const requests = clients.flatMap((client) =>
    Array.from({ length: perClient }, () => () => client.describe()),
  );
  const { seconds, result } = await timed(demo, () => Promise.all(requests.map((request) => request())));
  const answers = result.length;
  const startInstancesCalls = (await demo.calls("StartInstances")).length - before;
  demo.progress(
    `${answers} concurrent requests answered after ${seconds.toFixed(2)} s, by ${startInstancesCalls} StartInstances`,
  );
  must(startInstancesCalls === 1, `${startInstancesCalls} StartInstances calls instead of 1`);
  return { requests: answers, startInstancesCalls };
}

/** The same without hibernation: memory is lost, the disk is kept. */
export async function stopAndWake(demo: DemoContext, bootID: string): Promise<number> {
  demo.progress("kubectl patch: sleepMode Stop, for comparison");
  await demo.kubectl([
    "patch",
    "satellite",
    DEMO_SATELLITE,
    "--type=merge",
    "-p",
    '{"spec":{"sleepMode":"Stop"}}',
  ]);
  await fallAsleep(demo, "Stopped");
  const guest = demo.connect();
  const { seconds, result } = await timed(demo, () => guest.describe());
  demo.progress(`a request started it: answered after ${seconds.toFixed(2)} s`);
  must(result.bootId !== bootID, "the boot ID is the same after a stop");
  const kept = await runCommand(guest, "cat", [KEPT_FILE]);
  must(kept === "kept", `the file on the disk says "${kept}" after a stop`);
  return seconds;
}

/** Deletes the satellite and counts the instances that are left. */
export async function deleteAll(demo: DemoContext): Promise<number> {
  demo.progress("kubectl delete");
  await demo.kubectl(["delete", "satellite", DEMO_SATELLITE, "--timeout=60s"]);
  const left = (await demo.instanceStates()).filter((state) => state !== "terminated").length;
  demo.progress(`${left} instances left`);
  must(left === 0, `${left} instances are left after delete`);
  return left;
}
