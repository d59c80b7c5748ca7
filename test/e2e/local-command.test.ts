import { expect } from "chai";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LocalPlaces } from "../../src/commands/local-places.ts";
import { holdPort, type HeldPort } from "../../src/local/held-port.ts";
import { startProcess, type TestProcess } from "../support/process.ts";
import { requireTool } from "../tools/catalog.ts";
import { eventually } from "../support/eventually.ts";
import { runProgram, type Outcome } from "./local-system.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const EXAMPLE = join(import.meta.dirname, "../../examples/local/satellite.yaml");

const NOTHING_WRONG: Outcome = { code: 0, stdout: "", stderr: "" };

/** The command as people type it; VMs are virtual, since they are not what these tests look at. */
describe("satellites local", function () {
  this.timeout(120_000);
  let folder: string;
  let starts = 0;
  const started: TestProcess[] = [];
  const held: HeldPort[] = [];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-local-command-"));
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((child) => child.stop("SIGTERM")));
    await Promise.all(held.splice(0).map((port) => port.release()));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const args = (stateDir: string, ...options: string[]): string[] => [
    MAIN,
    "local",
    "--hypervisor=virtual",
    `--state-dir=${stateDir}`,
    ...options,
  ];
  const places = (stateDir: string): LocalPlaces =>
    JSON.parse(readFileSync(join(stateDir, "places.json"), "utf8")) as LocalPlaces;

  /** Starts it and waits until it says how to use it. */
  async function start(stateDir: string): Promise<TestProcess> {
    const log = `${stateDir}-${starts++}.log`;
    const child = await startProcess("satellites local", process.execPath, args(stateDir), log);
    started.push(child);
    await eventually(`${child.name} is ready`, () => {
      expect(child.isRunning(), child.logTail()).to.equal(true);
      return child.logTail(100).includes("Ctrl-C stops it") ? true : undefined;
    });
    return child;
  }

  /** Runs it where it must fail. */
  function fail(stateDir: string, ...options: string[]): Promise<Outcome> {
    return runProgram(process.execPath, args(stateDir, ...options));
  }

  function run(stateDir: string, name: string, ...command: string[]): Promise<Outcome> {
    return runProgram(process.execPath, [MAIN, "run", name, "--", ...command], {
      HOME: folder,
      KUBECONFIG: join(stateDir, "kubeconfig"),
    });
  }

  async function kubectl(stateDir: string, ...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await runProgram(requireTool("kubectl"), words, {
      HOME: folder,
      KUBECONFIG: join(stateDir, "kubeconfig"),
    });
    expect(code, stderr).to.equal(0);
    return stdout;
  }

  /** Waits until nobody listens on any of the ports. */
  async function untilEnded(stateDir: string): Promise<void> {
    for (const port of Object.values(places(stateDir).ports) as number[]) {
      await eventually(`port ${port} is free`, async () => {
        try {
          await (await holdPort(port)).release();
          return true;
        } catch {
          return undefined;
        }
      });
    }
  }

  it("does what it says, and ends its programs in order when it is stopped", async () => {
    const stateDir = join(folder, "orderly");
    const child = await start(stateDir);
    await kubectl(stateDir, "apply", "-f", EXAMPLE);
    expect(await run(stateDir, "ada", "echo", "hello")).to.deep.equal({
      code: 0,
      stdout: "hello\n",
      stderr: "",
    });
    expect((await run(stateDir, "ada", "sh", "-c", "exit 7")).code).to.equal(7);
    await child.stop("SIGINT");
    expect(child.logTail(1)).to.contain("VMs that run go on running");
    await untilEnded(stateDir);
  });

  it("puts its commands where PATH and kubectl find them, as it says", async () => {
    const stateDir = join(folder, "commands");
    const child = await start(stateDir);
    const said = /^ *export PATH=(?<bin>.*):\$PATH$/m.exec(child.logTail(100))?.groups?.["bin"] ?? "";
    await kubectl(stateDir, "apply", "-f", EXAMPLE);
    const environment = {
      HOME: folder,
      KUBECONFIG: join(stateDir, "kubeconfig"),
      PATH: `${said}:/bin:/usr/bin`,
    };
    const names = { code: 0, stdout: "satellite.satellites.dev/ada\n", stderr: "" };
    expect(await runProgram("satellites", ["ls", "-o", "name"], environment)).to.deep.equal(names);
    const asPlugin = ["satellite", "ls", "-o", "name"];
    expect(await runProgram(requireTool("kubectl"), asPlugin, environment)).to.deep.equal(names);
  });

  it("asks who calls with --access-control, and says how a token is shown", async () => {
    const stateDir = join(folder, "guarded");
    const log = `${stateDir}.log`;
    const child = await startProcess(
      "satellites local",
      process.execPath,
      args(stateDir, "--access-control"),
      log,
    );
    started.push(child);
    await eventually("it is ready", () => {
      expect(child.isRunning(), child.logTail()).to.equal(true);
      return child.logTail(100).includes("Ctrl-C stops it") ? true : undefined;
    });
    await kubectl(stateDir, "apply", "-f", EXAMPLE);
    expect(child.logTail(100)).to.contain("  satellites run ada -- uname -a\n");
    const environment = { HOME: folder, KUBECONFIG: join(stateDir, "kubeconfig") };
    const satellites = (...words: string[]): Promise<Outcome> =>
      runProgram(process.execPath, [MAIN, ...words], environment);
    expect(await satellites("run", "ada", "--", "echo", "hello")).to.deep.equal({
      code: 0,
      stdout: "hello\n",
      stderr: "",
    });
    const looked = await satellites("doctor");
    expect(looked.stdout).to.match(/\nnothing is broken\n$/);
    expect(looked.code).to.equal(0);
    const router = `127.0.0.1:${places(stateDir).ports.router}`;
    const ca = join(stateDir, "router-tls/ca.pem");
    const untold = await satellites("run", "ada", "--router", router, "--ca", ca, "--", "true");
    expect(untold.stderr).to.match(/UNAUTHENTICATED: .*--token-file/);
    const cleartext = await satellites("run", "ada", "--router", router, "--", "true");
    expect(cleartext.stderr).to.match(/does it speak TLS \(--tls or --ca\)/);
  });

  it("is refused a second time on the same folder, which leaves the first one unharmed", async () => {
    const stateDir = join(folder, "twice");
    const first = await start(stateDir);
    const before = readFileSync(join(stateDir, "places.json"), "utf8");
    const { code, stdout, stderr } = await fail(stateDir);
    expect(code).to.equal(1);
    expect(stdout).to.equal("");
    expect(stderr.trim()).to.equal(
      `error: ${stateDir} is in use by the satellites process ${first.pid}: use that one, or stop it, ` +
        "or give this one another folder with --state-dir (StateDirInUse)",
    );
    expect(readFileSync(join(stateDir, "places.json"), "utf8")).to.equal(before);
    await kubectl(stateDir, "apply", "-f", EXAMPLE);
    expect(await run(stateDir, "ada", "true")).to.deep.equal(NOTHING_WRONG);
    expect(first.isRunning()).to.equal(true);
  });

  it("takes its programs with it when it is killed, and goes on where it was", async () => {
    const stateDir = join(folder, "killed");
    const child = await start(stateDir);
    await kubectl(stateDir, "apply", "-f", EXAMPLE);
    expect(await run(stateDir, "ada", "true")).to.deep.equal(NOTHING_WRONG);
    const uid = await kubectl(
      stateDir,
      "get",
      "sat",
      "ada",
      "-o",
      "jsonpath={.metadata.uid} {.status.machine.id}",
    );
    await child.stop("SIGKILL");
    // At once: it waits until the programs of the killed one have noticed and given their ports back.
    await start(stateDir);
    expect(await run(stateDir, "ada", "true")).to.deep.equal(NOTHING_WRONG);
    expect(
      await kubectl(stateDir, "get", "sat", "ada", "-o", "jsonpath={.metadata.uid} {.status.machine.id}"),
    ).to.equal(uid);
  });

  it("stops when it is asked to in the midst of its start", async () => {
    const stateDir = join(folder, "early");
    const child = await startProcess(
      "satellites local",
      process.execPath,
      args(stateDir),
      join(folder, "early.log"),
    );
    started.push(child);
    await eventually(
      "a program was started",
      () => existsSync(join(stateDir, "logs/kubernetes.log")) || undefined,
    );
    await child.stop("SIGTERM");
    await untilEnded(stateDir);
  });

  it("lets two of it run beside each other, with VMs that do not get in each other's way", async () => {
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    await Promise.all([start(one), start(two)]);
    expect(places(one).subnets).not.to.deep.equal(places(two).subnets);
    await Promise.all([one, two].map((stateDir) => kubectl(stateDir, "apply", "-f", EXAMPLE)));
    const outcomes = await Promise.all([one, two].map((stateDir) => run(stateDir, "ada", "true")));
    expect(outcomes).to.deep.equal([NOTHING_WRONG, NOTHING_WRONG]);
  });

  it("says which port is in use: the one that was asked for", async () => {
    const port = await holdPort(0);
    held.push(port);
    const { code, stderr } = await fail(join(folder, "router-port"), "--router-port", String(port.port));
    expect(code).to.equal(1);
    expect(stderr).to.contain(`port ${port.port} for the router is in use on 127.0.0.1`);
    expect(stderr).to.contain("choose another with --router-port");
  });

  it("says which port is in use: that of a program at its last run, once it has waited for it", async () => {
    const programs = [
      ["kubernetes", "the Kubernetes API server"],
      ["ec2", "the EC2 endpoint"],
    ] as const;
    const anyPorts = { kubernetes: 0, ec2: 0, router: 0, operatorHealth: 0, routerHealth: 0, page: 0 };
    const attempts = programs.map(async ([program, title]) => {
      const stateDir = join(folder, `port-${program}`);
      const squatter = await holdPort(0);
      held.push(squatter);
      const { port } = squatter;
      mkdirSync(stateDir);
      const kept: LocalPlaces = {
        ports: { ...anyPorts, [program]: port },
        subnets: ["127.90.0.0/24", "127.90.1.0/24"],
      };
      writeFileSync(join(stateDir, "places.json"), JSON.stringify(kept));
      const { code, stderr } = await fail(stateDir);
      expect(code).to.equal(1);
      expect(stderr).to.contain(`port ${port} for ${title} is in use on 127.0.0.1: stop what listens there`);
      expect(stderr).to.contain(`remove ${join(stateDir, "places.json")} to have all ports chosen anew`);
      expect(stderr, "no stack, no JSON").to.match(/\(PortInUse\)\n$/);
    });
    await Promise.all(attempts);
  });

  it("says which packages are missing, and installs nothing that it may not", async () => {
    // In a mount namespace of its own nothing of this machine changes.
    const script = join(folder, "without-qemu.sh");
    writeFileSync(
      script,
      `set -eu
       for folder in /bin /sbin /usr/bin /usr/sbin /usr/local/sbin; do
         for program in qemu-system-x86_64 busybox; do
           if [ -e "$folder/$program" ]; then mount --bind /dev/null "$folder/$program"; fi
         done
       done
       exec "$@"\n`,
    );
    const { code, stderr } = await runProgram("unshare", [
      "--user",
      "--map-root-user",
      "--mount",
      "sh",
      script,
      process.execPath,
      MAIN,
      "local",
      "--no-install",
      `--state-dir=${join(folder, "no-qemu")}`,
    ]);
    expect(stderr).to.contain("not found: qemu-system-x86_64 (needed to run virtual machines), busybox");
    expect(stderr).to.contain("apt-get install --no-install-recommends qemu-system-x86 busybox-static");
    expect(stderr).to.match(/\(PrerequisitesMissing\)\n$/);
    expect(code).to.equal(1);
  });
});
