import { expect } from "chai";
import type { GuestShell } from "./guest-shell.ts";
import { setTimeout as delay } from "node:timers/promises";
import { Builder } from "./builder.ts";
import { describeSeen, type Seen, seenInside } from "./inside.ts";
import { watching } from "./watch.ts";

const SECONDS = 15;
/** So few that a bomb gets there in its time in an emulated VM, which makes some hundred processes by then. */
const MAX_PROCESSES = 256;
/** BuildKit collects garbage a minute after a build at the latest; emulated, and on a busy machine, it takes its time. */
const COLLECTION_PATIENCE_MS = 300_000;
/** `spec.guest.diskReservePercent` of the class. */
const RESERVE_PERCENT = 15;
/** Pages of 4 KiB. Six hostile builds at once came to 1,400, and to 47,000 before memory was kept for the daemon. */
const MAX_REFAULTS = 10_000;

/** What a build does that wants everything of one kind. */
const HUNGER = {
  cpu: `RUN for n in 1 2 3 4 5 6 7 8; do timeout ${SECONDS} sh -c 'while :; do :; done' & done; wait`,
  memory: "RUN tail /dev/zero",
  disk: "RUN dd if=/dev/zero of=/fill bs=1M",
  processes: `RUN f() { f | f & }; f; sleep ${SECONDS}`,
  files: "RUN mkdir /many && cd /many && i=0; while [ $i -lt 100000 ]; do : >$i; i=$((i+1)); done",
  pageCache: "RUN dd if=/dev/zero of=/x bs=1M count=1500 && cat /x >/dev/null",
} as const;

interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

/** Hostile builds in a real VM. Each must end by itself, and the VM must be as before. */
describe("builds that want all of their VM", function () {
  this.timeout(900_000);
  let builder: Builder;
  let shell: GuestShell;
  let identity: string;

  const who = (): Promise<string> =>
    shell.run(
      "cat /proc/sys/kernel/random/boot_id; systemctl show -p MainPID,ExecMainStartTimestampMonotonic buildkit ssh",
    );

  /** Builds a Dockerfile of some instructions; nothing comes back but what it says. */
  function build(name: string, ...instructions: readonly string[]): Promise<Outcome> {
    const context = builder.shop.context(name, [
      "RUN /bin/busybox --install -s /bin",
      `RUN echo ${name}`,
      ...instructions,
    ]);
    const local = [`--local=context=${context}`, `--local=dockerfile=${context}`];
    return builder.buildctl("build", "--progress=plain", "--frontend=dockerfile.v0", ...local).ended;
  }

  /** Lets it happen while the operator looks from outside and a shell from within, and says what both saw. */
  async function observe<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly seen: Seen }> {
    const { result: watched, seen } = await seenInside(shell, () => watching(builder, work()));
    const { result, looks, unanswered, halfMs, nineTenthsMs, slowestMs } = watched;
    const [half, nineTenths, slowest] = [halfMs, nineTenthsMs, slowestMs].map(Math.round);
    console.log(
      `      ${looks} looks, ${unanswered} unanswered; half within ${half} ms, nine of ten within ${nineTenths} ms, the slowest ${slowest} ms`,
    );
    console.log(`      inside: ${describeSeen(seen)}`);
    expect(unanswered, "looks of the operator that nobody answered").to.equal(0);
    expect(seen.grown.daemonRefaults, "pages of the daemon that were read again").to.be.below(MAX_REFAULTS);
    return { result, seen };
  }

  async function starve(name: keyof typeof HUNGER): Promise<Outcome & { readonly seen: Seen }> {
    const { result, seen } = await observe(() => build(name, HUNGER[name]));
    return { ...result, seen };
  }

  /** Waits until BuildKit has collected so much garbage that its share of the disk is free. */
  async function collected(): Promise<void> {
    const untilMs = performance.now() + COLLECTION_PATIENCE_MS;
    for (;;) {
      const [free = 0, size = 1] = (await shell.run("df --output=avail,size / | tail -n 1"))
        .trim()
        .split(/\s+/)
        .map(Number);
      const percent = (free / size) * 100;
      if (percent >= RESERVE_PERCENT) {
        console.log(`      after garbage collection ${percent.toFixed(0)} % of the disk are free`);
        return;
      }
      expect(performance.now(), `${percent.toFixed(1)} % of the disk are free; time`).to.be.below(untilMs);
      await delay(1000);
    }
  }

  before(async () => {
    builder = await Builder.start((line) => console.log(`    ${line}`));
    await builder.patchClass({ guest: { maxProcesses: MAX_PROCESSES } });
    await builder.create({ idleTimeout: "0s" });
    const { code, output } = await build("first");
    expect(code, output).to.equal(0);
    shell = builder.shell();
    identity = await who();
  });
  after(() => builder?.close());
  // What one leaves in the cache is not to be in the way of the next.
  beforeEach(async () => {
    const { code, output } = await builder.buildctl("prune", "--all").ended;
    expect(code, output).to.equal(0);
  });
  afterEach(async () => {
    expect(await who(), "boot, daemon and sshd").to.equal(identity);
    const { code, output } = await build(`after-${performance.now()}`);
    expect(code, output).to.equal(0);
  });

  it("burns every CPU: it is throttled to its share", async () => {
    const { code, output, seen } = await starve("cpu");
    expect(code, output).to.equal(0);
    expect(seen.grown.throttled).to.be.greaterThan(0);
  });

  it("eats all memory: it ends, and its client hears why", async () => {
    const { code, output, seen } = await starve("memory");
    expect(code, output).not.to.equal(0);
    expect(output).to.contain("cannot allocate memory");
    expect(seen.grown.oomKills).to.be.greaterThan(0);
  });

  it("fills the disk: it ends, its client hears why, and the space is there again", async () => {
    const { code, output, seen } = await starve("disk");
    expect(code, output).not.to.equal(0);
    expect(output.toLowerCase()).to.contain("no space left on device");
    expect(seen.least.free, "MiB that were left").to.be.below(64);
    await collected();
  });

  it("fills the disk with cache: what is oldest is collected, and what is newest stays", async () => {
    const size = Math.floor(Number(await shell.run("df --output=size --block-size=1M / | tail -n 1")) * 0.23);
    const layer = (name: string): Promise<Outcome> =>
      build(name, `RUN dd if=/dev/zero of=/layer bs=1M count=${size}`);
    const names = [0, 1, 2, 3].map((place) => `layer-${place}`);
    const { seen } = await observe(async () => {
      for (const name of names) {
        const { code, output } = await layer(name);
        expect(code, output).to.equal(0);
        expect(output).not.to.match(/dd .*\n#\d+ CACHED$/m);
        await collected();
      }
    });
    expect(seen.most.free - seen.least.free, "MiB that came and went").to.be.greaterThan(size);
    const isCached = async (name: string): Promise<boolean> =>
      /RUN dd .*\n#\d+ CACHED$/m.test((await layer(name)).output);
    expect(await isCached(names.at(-1) ?? ""), "the newest is cached").to.equal(true);
    expect(await isCached(names[0] ?? ""), "the oldest is cached").to.equal(false);
    await collected();
  });

  it("forks without end: it ends at the bound of processes", async () => {
    const { seen } = await starve("processes");
    expect(seen.grown.refusedForks).to.be.greaterThan(0);
    expect(seen.most.processes).to.be.at.most(MAX_PROCESSES);
    const untilMs = performance.now() + COLLECTION_PATIENCE_MS;
    while (
      Number(await shell.run("cat /sys/fs/cgroup/buildkit.slice/buildkit-builds.slice/pids.current")) >= 20
    ) {
      expect(performance.now(), "the bomb's processes are there; time").to.be.below(untilMs);
      await delay(1000);
    }
  });

  it("writes 100,000 small files", async () => {
    const { code, output, seen } = await starve("files");
    expect(code, output).to.equal(0);
    expect(seen.most.usedInodes - seen.least.usedInodes).to.be.at.least(100_000);
  });

  it("fills the page cache", async () => {
    const { code, output, seen } = await starve("pageCache");
    expect(code, output).to.equal(0);
    expect(seen.most.cached, "MiB of page cache").to.be.greaterThan(300);
  });

  it("does all of it at once", async function () {
    // Emulated, what eats memory and what fills the page cache hold each other up for a long time.
    this.timeout(1_800_000);
    const { result, seen } = await observe(() =>
      Promise.all(
        Object.entries(HUNGER).map(async ([name, instruction]) => ({
          name,
          ...(await build(`all-${name}`, instruction)),
        })),
      ),
    );
    console.log(
      `      ${result.map(({ name, code }) => `${name} ${code === 0 ? "done" : "ended"}`).join(", ")}`,
    );
    const memory = result.find(({ name }) => name === "memory");
    expect(memory?.code, memory?.output).not.to.equal(0);
    expect(seen.grown.oomKills).to.be.greaterThan(0);
    await collected();
  });
});
