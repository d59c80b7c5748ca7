import { expect } from "chai";
import type { GuestShell } from "./guest-shell.ts";
import { Builder } from "./builder.ts";
import { watching } from "./watch.ts";

const BUILDS = "/sys/fs/cgroup/buildkit.slice/buildkit-builds.slice";
const SECONDS = 15;

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

  /** Builds it while the operator looks; whatever it did, the VM then is as it was. */
  async function starve(name: keyof typeof HUNGER): Promise<Outcome> {
    const { result, looks, unanswered, slowestMs } = await watching(builder, build(name, HUNGER[name]));
    console.log(`      ${looks} looks, ${unanswered} unanswered, the slowest ${Math.round(slowestMs)} ms`);
    expect(unanswered, "looks of the operator that nobody answered").to.equal(0);
    return result;
  }

  before(async () => {
    builder = await Builder.start((line) => console.log(`    ${line}`));
    await builder.create({ idleTimeout: "0s" });
    const { code, output } = await build("first");
    expect(code, output).to.equal(0);
    shell = await builder.shell();
    identity = await who();
  });
  after(() => builder?.close());
  afterEach(async () => {
    expect(await who(), "boot, daemon and sshd").to.equal(identity);
    const { code, output } = await build(`after-${performance.now()}`);
    expect(code, output).to.equal(0);
  });

  it("burns every CPU: it is throttled to its share", async () => {
    const { code, output } = await starve("cpu");
    expect(code, output).to.equal(0);
    const throttled = await shell.run(
      "awk '/^nr_throttled/ { print $2 }' /sys/fs/cgroup/buildkit.slice/cpu.stat",
    );
    expect(Number(throttled)).to.be.greaterThan(0);
  });

  it("eats all memory: it ends, and its client hears why", async () => {
    const { code, output } = await starve("memory");
    expect(code, output).not.to.equal(0);
    expect(output).to.contain("cannot allocate memory");
  });

  it("fills the disk: it ends, its client hears why, and the space is there again", async () => {
    const { code, output } = await starve("disk");
    expect(code, output).not.to.equal(0);
    expect(output.toLowerCase()).to.contain("no space left on device");
    const free = await shell.run(
      "for i in $(seq 60); do set -- $(df --output=avail,size / | tail -n 1); " +
        "test $(( $1 * 100 / $2 )) -ge 15 && break; sleep 1; done; echo $(( $1 * 100 / $2 ))",
    );
    expect(Number(free), "percent of the disk that are free").to.be.at.least(15);
  });

  it("forks without end: it ends at the bound of processes", async () => {
    await starve("processes");
    const refused = await shell.run(
      `awk '/^max/ { print $2 }' ${BUILDS}/pids.events; cat ${BUILDS}/memory.events`,
    );
    expect(refused).to.match(/^[1-9]|oom_kill [1-9]/m);
    await shell.run(
      `for i in $(seq 30); do test $(cat ${BUILDS}/pids.current) -lt 20 && exit; sleep 1; done; exit 1`,
    );
  });

  it("writes 100,000 small files", async () => {
    const { code, output } = await starve("files");
    expect(code, output).to.equal(0);
  });

  it("fills the page cache", async () => {
    const { code, output } = await starve("pageCache");
    expect(code, output).to.equal(0);
  });

  it("does all of it at once", async () => {
    const all = Object.entries(HUNGER).map(([name, instruction]) => build(`all-${name}`, instruction));
    const { looks, unanswered, slowestMs } = await watching(builder, Promise.all(all));
    console.log(`      ${looks} looks, ${unanswered} unanswered, the slowest ${Math.round(slowestMs)} ms`);
    expect(unanswered).to.equal(0);
  });
});
