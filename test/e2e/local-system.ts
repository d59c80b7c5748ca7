import { expect } from "chai";
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import { LocalSystem, type LocalSystemOptions } from "../../src/commands/local-system.ts";
import type { ProgramName } from "../../src/commands/local-programs.ts";
import type { ProcessContext } from "../../src/commands/process-context.ts";
import { ProcessFaults } from "../../src/commands/process-faults.ts";
import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import type { Instance } from "../../src/local/ec2/instance.ts";
import type { Fault } from "../../src/local/ec2/faults.ts";
import type { Call } from "../../src/local/ec2/request-log.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { requireTool } from "../tools/catalog.ts";
import { eventually } from "../support/eventually.ts";

/** How a program that a test ran came out. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, bounded in time; never rejects. */
export function runProgram(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
  timeoutMs = 60_000,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = {
      env: environment,
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      encoding: "utf8",
    } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** Ends every VM of a state folder by force, whatever state its files are in. */
export function killVms(stateDir: string): void {
  for (const file of globSync(join(stateDir, "ec2/vms/*/qemu.pid"))) {
    try {
      process.kill(Number(readFileSync(file, "utf8")), "SIGKILL");
    } catch {
      // It ended already, or its file is gone with it: nothing is left to end.
    }
  }
}

/** By default SIGTERM ends a process without its exit handlers. */
function exitAtSignal(): void {
  process.exit(128 + 15);
}

/** Before it serves again. */
const BETWEEN_KILLS_MS = 100;

/** Lines that the command of {@link openStream} writes. */
export const STREAM_LINES = 40;

/** Starts a command that writes a line every tenth of a second, and waits for its first line. */
export async function openStream(
  guest: GuestClient,
  lineCount = STREAM_LINES,
): Promise<{ readonly lines: Promise<string[]> }> {
  let text = "";
  const first = Promise.withResolvers<void>();
  const ended = guest
    .run("sh", {
      args: ["-c", `for i in $(seq ${lineCount}); do echo $i; sleep 0.1; done`],
      onStdout: (chunk) => {
        text += chunk.toString();
        first.resolve();
      },
    })
    .then(() => text.trim().split("\n"));
  await Promise.race([first.promise, ended]);
  return { lines: ended };
}

/** What a test may choose of a system. */
type SystemOptions = Partial<
  Pick<LocalSystemOptions, "virtualVms" | "buildkitArchive" | "accessControl" | "mayInstall" | "progress">
>;

/** The one-machine system as a test uses it. */
export class TestSystem {
  readonly stateDir: string;
  readonly #options: SystemOptions;
  readonly #context: ProcessContext;
  readonly #guests: GuestClient[] = [];
  readonly #atExit: () => void;
  #system: LocalSystem | undefined;
  #watching: { readonly client: ConnectedKubeClient; readonly reflector: Reflector<Satellite> } | undefined;
  #stopWatching: () => Promise<void> = () => Promise.resolve();

  private constructor(options: SystemOptions) {
    this.#options = options;
    this.stateDir = mkdtempSync(join(tmpdir(), "satellites-e2e-"));
    this.#context = {
      environment: process.env,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      stop: new AbortController().signal,
      faults: new ProcessFaults({ clock: systemClock, logger: silentLogger, exit: () => {} }),
    };
    // VMs outlive the process that started them, so a test run that is broken off must end them itself.
    this.#atExit = () => killVms(this.stateDir);
    process.once("exit", this.#atExit);
    process.once("SIGTERM", exitAtSignal);
  }

  /** Starts everything in a folder of its own. @param options virtual VMs, or QEMU when absent; BuildKit's archive */
  static async start(options: SystemOptions = {}): Promise<TestSystem> {
    const test = new TestSystem(options);
    try {
      await test.startAgain();
      return test;
    } catch (error) {
      await test.destroy();
      throw error;
    }
  }

  /** Starts `satellites local` on the same folder, as after {@link stop}. */
  async startAgain(): Promise<void> {
    this.#system = await LocalSystem.start(
      {
        mayInstall: false,
        ...this.#options,
        stateDir: this.stateDir,
        cacheDir: process.env["SATELLITES_CACHE"] ?? join(homedir(), ".cache/satellites"),
        routerPort: 0,
        progress: this.#options.progress ?? (() => {}),
      },
      this.#context,
    );
    const client = connectKubernetes(
      {
        kubeconfig: this.#system.kubeconfig,
        component: "satellites-e2e",
        metrics: createKubeMetrics(createMetricsRegistry()),
      },
      this.#context,
    );
    const { clock, random, logger } = this.#context;
    const reflector = new Reflector<Satellite>({ client, type: SATELLITES, clock, random, logger });
    const stopping = new AbortController();
    const watch = reflector.run(stopping.signal);
    this.#stopWatching = async () => {
      stopping.abort();
      await watch;
      await client.close();
    };
    await reflector.synced();
    this.#watching = { client, reflector };
  }

  /** Stops all programs, in order; VMs under QEMU go on. */
  async stop(): Promise<void> {
    this.#guests.splice(0).forEach((guest) => guest.close());
    await this.#stopWatching();
    this.#stopWatching = () => Promise.resolve();
    await this.#system?.stop();
  }

  /** Stops all programs, ends all VMs, and removes the folder. */
  async destroy(): Promise<void> {
    try {
      await this.stop();
    } finally {
      killVms(this.stateDir);
      process.off("exit", this.#atExit);
      process.off("SIGTERM", exitAtSignal);
      rmSync(this.stateDir, { recursive: true, force: true });
    }
  }

  get system(): LocalSystem {
    expect(this.#system, "the system was started").not.to.equal(undefined);
    return this.#system as LocalSystem;
  }

  get client(): ConnectedKubeClient {
    expect(this.#watching, "the system was started").not.to.equal(undefined);
    return (this.#watching as { client: ConnectedKubeClient }).client;
  }

  /** Ends programs as kill -9 does, all at the same moment, and waits until they serve again. */
  async kill(...names: readonly ProgramName[]): Promise<void> {
    await Promise.all(names.map((name) => this.system.program(name).kill()));
    await Promise.all(names.map((name) => this.system.program(name).ready()));
  }

  /** Ends a program as kill -9 does, and again whenever it has been started anew, for `forMs` milliseconds; then waits until it serves. */
  async keepDead(name: ProgramName, forMs: number): Promise<void> {
    const program = this.system.program(name);
    for (const endMs = performance.now() + forMs; performance.now() < endMs;) {
      await program.kill().catch((error: unknown) => {
        // It is dead as it is: its supervisor has not started it anew yet.
        expect(error).to.have.property("code", "NotRunning");
      });
      await sleep(systemClock, BETWEEN_KILLS_MS);
    }
    await program.ready();
  }

  /** Creates a satellite that never sleeps for idleness unless `spec` says so. */
  create(name: string, spec: Partial<Satellite["spec"]> = {}): Promise<Satellite> {
    const body = {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name, namespace: "default" },
      spec: { idleTimeout: "0s", ...spec },
    };
    return this.client.create<Satellite>(SATELLITES, body as Satellite);
  }

  patch(name: string, spec: Partial<Satellite["spec"]>): Promise<Satellite> {
    const key = { namespace: "default", name };
    return this.client.patch<Satellite>(SATELLITES, key, { type: "merge", body: { spec } });
  }

  delete(name: string): Promise<void> {
    return this.client.delete(SATELLITES, { namespace: "default", name });
  }

  /** The satellite as the watch has it. */
  find(name: string): Satellite | undefined {
    return this.#watching?.reflector.cache.get(`default/${name}`);
  }

  /** Waits until the satellite is as wished. */
  until(
    name: string,
    what: string,
    holds: (satellite: Satellite) => boolean,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<Satellite> {
    let last: Satellite | undefined;
    const look = (): Satellite | undefined => {
      last = this.find(name);
      return last !== undefined && holds(last) ? last : undefined;
    };
    return eventually(`${name}: ${what}`, look, options).catch((error: unknown) => {
      throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`, { cause: error });
    });
  }

  untilPhase(name: string, phase: Satellite["status"]["phase"]): Promise<Satellite> {
    return this.until(name, `phase ${phase ?? ""}`, ({ status }) => status.phase === phase);
  }

  async untilGone(name: string): Promise<void> {
    await eventually(`${name} is gone`, () => (this.find(name) === undefined ? true : undefined));
  }

  /** A new client, with a connection of its own, of a satellite through the router. */
  connect(name: string): GuestClient {
    const metadata = new Metadata();
    metadata.set("satellite-name", name);
    const guest = connectGuest(this.system.routerAddress, { metadata });
    this.#guests.push(guest);
    return guest;
  }

  /** Every instance that the EC2 endpoint remembers for a satellite, terminated ones too. */
  async instances(name: string): Promise<Instance[]> {
    const all = await this.#control<Instance[]>("instances");
    return all.filter(({ tags }) => tags["satellites.dev/name"] === name);
  }

  /** The one instance that the satellite ever had. */
  async onlyInstance(name: string): Promise<Instance> {
    const found = await this.instances(name);
    expect(
      found.map(({ id, state }) => ({ id, state })),
      `instances of ${name}`,
    ).to.have.length(1);
    return found[0] as Instance;
  }

  /** The EC2 endpoint's own log over all its restarts. */
  calls(action: string): Call[] {
    return readFileSync(join(this.stateDir, "ec2/calls.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Call)
      .filter((call) => call.action === action);
  }

  /** Lets something go wrong at the EC2 endpoint. */
  async addFault(fault: Fault): Promise<void> {
    const url = `${this.system.ec2Url}/_control/faults`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(fault) });
    expect(answer.status).to.equal(200);
  }

  /** kubectl as the administrator. */
  kubectl(...args: readonly string[]): Promise<Outcome> {
    return runProgram(requireTool("kubectl"), args, {
      // A home of its own keeps discovery caches of other runs away.
      HOME: this.stateDir,
      PATH: process.env["PATH"],
      KUBECONFIG: this.system.kubeconfig,
    });
  }

  /** kubectl that must succeed; returns what it printed. */
  async kubectlPrints(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(...args);
    expect(code, `kubectl ${args.join(" ")}: ${stderr}`).to.equal(0);
    return stdout;
  }

  async #control<T>(path: string): Promise<T> {
    const answer = await fetch(`${this.system.ec2Url}/_control/${path}`);
    return (await answer.json()) as T;
  }
}
