// The first users' whole story, in a real VM of stock Debian under QEMU: a cold build, a cached one, and cached ones
// after hibernation and after a stop. The last line has the figures; the exit status is 0 only if every step held.

import { readFileSync } from "node:fs";
import { Builder } from "./builder.ts";

/** Work that a cache saves. */
const WORK = "RUN i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo built > /result";
/** Several times as long as the idleTimeout meanwhile. */
const LONG_WORK = "RUN sleep 20";

interface Identity {
  readonly bootID: string;
  readonly daemon: string;
}

function must(holds: boolean, what: string): void {
  if (!holds) {
    throw new Error(`the demo did not hold: ${what}`);
  }
}

async function tell(builder: Builder, progress: (line: string) => void): Promise<string> {
  const context = builder.shop.context("context", [WORK]);

  async function build(name: string, cached: boolean): Promise<number> {
    const startedMs = performance.now();
    const result = builder.shop.path(name);
    const { code, output } = await builder.build(context, result).ended;
    const seconds = (performance.now() - startedMs) / 1000;
    must(code === 0, `the ${name} build failed:\n${output}`);
    must(readFileSync(`${result}/result`, "utf8") === "built\n", `the ${name} build has another result`);
    const isCached = /^#\d+ CACHED$/m.test(output);
    must(isCached === cached, `the ${name} build ${isCached ? "was" : "was not"} cached:\n${output}`);
    progress(`${name} build: ${seconds.toFixed(2)} s`);
    return seconds;
  }

  /** What dies with the VM's memory. */
  async function identity(): Promise<Identity> {
    const shell = builder.shell();
    return {
      bootID: await shell.run("cat /proc/sys/kernel/random/boot_id"),
      daemon: await shell.run("systemctl show -p MainPID,ExecMainStartTimestampMonotonic buildkit.service"),
    };
  }

  /** Idleness alone puts it to sleep; it is let do so only now, so that a busy machine is never too slow for it. */
  async function sleep(sleepMode: "Hibernate" | "Stop"): Promise<void> {
    progress(`idleTimeout 5s, sleepMode ${sleepMode}: nobody builds; waiting until it sleeps`);
    await builder.patch({ idleTimeout: "5s", sleepMode });
    await builder.asleep(sleepMode === "Hibernate" ? "Hibernated" : "Stopped");
    await builder.patch({ idleTimeout: "0s" });
  }

  /** A build is use, however long it says nothing. */
  async function outlastIdleTimeout(): Promise<void> {
    progress("idleTimeout 5s while a build runs that sleeps for 20 s");
    const startedMs = performance.now();
    const long = builder.build(builder.shop.context("long", [WORK, LONG_WORK]), builder.shop.path("long"));
    const used = await builder.until("be used", ({ status }) =>
      Object.values(status.activity ?? {}).some(({ openStreams }) => openStreams > 0),
    );
    await builder.patch({ idleTimeout: "5s" });
    const { code, output } = await long.ended;
    must(code === 0, `the build that takes longer than idleTimeout failed:\n${output}`);
    must(performance.now() - startedMs > 20_000, `the long build took less than 20 s:\n${output}`);
    const now = await builder.until("be there", () => true);
    must(
      now.status.power.epoch === used.status.power.epoch,
      "the machine did not stay awake for a build under way",
    );
  }

  progress("kubectl apply: a satellite that runs BuildKit, on an image that holds none");
  await builder.create({ idleTimeout: "0s" });
  progress("the VM launches, and installs BuildKit by its user data; the first build waits at the router");
  const cold = await build("cold", false);
  const before = await identity();
  const cached = await build("cached", true);
  await outlastIdleTimeout();

  await sleep("Hibernate");
  const hibernated = await build("hibernated", true);
  const after = await identity();
  must(after.bootID === before.bootID, "the boot ID changed over hibernation");
  must(after.daemon === before.daemon, `the daemon is another one: ${before.daemon}, ${after.daemon}`);

  await sleep("Stop");
  const stopped = await build("stopped", true);
  must((await identity()).bootID !== before.bootID, "the boot ID is the same after a stop");
  must(hibernated * 2 < stopped, "hibernation does not beat a stop by much");

  const figures = { cold, cached, hibernated, stopped };
  const texts = Object.entries(figures).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`);
  return `demo-buildkit: ${texts.join(", ")}`;
}

const startedMs = performance.now();
const progress = (line: string): void => {
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
};
progress("starting API server, EC2 endpoint, operator and router; building what is missing");
const builder = await Builder.start(progress);
try {
  console.log(await tell(builder, progress));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await builder.close();
}
