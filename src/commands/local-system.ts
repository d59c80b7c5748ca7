import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { SatelliteError } from "../base/errors.ts";
import { type ContextRouter, ROUTER_EXTENSION } from "../cli/proxy/context-router.ts";
import { hasReason } from "../kube/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { NAMESPACE } from "../kube/resources.ts";
import { createKubeMetrics } from "../kube/metrics.ts";
import type { TokenUser } from "../local/kubernetes/authentication.ts";
import { serverCertificate } from "../local/kubernetes/certificates.ts";
import { writeKubeconfig } from "../local/kubernetes/kubeconfig.ts";
import { endAllVms } from "../local/qemu/end-vms.ts";
import { ensureGuestImage } from "../local/qemu/image.ts";
import { ensurePrerequisites, PREREQUISITES, STOCK_PREREQUISITES } from "../local/qemu/prerequisites.ts";
import { ensureStockImage } from "../local/qemu/stock-image.ts";
import { DEFAULT_AUDIENCE } from "../router/token-access.ts";
import { SATELLITE_CLASSES } from "../satellite/resource.ts";
import type { SatelliteClass } from "../satellite/types.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { BUILDKIT_SATELLITE, buildkitClass } from "./buildkit-class.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import type { HypervisorSetup, LocalEc2Setup } from "./local-ec2.ts";
import { choosePlaces, type LocalPlaces, type Ports } from "./local-places.ts";
import { onLoopback, PROGRAM_NAMES, programArguments, type ProgramName } from "./local-programs.ts";
import type { ProcessContext } from "./process-context.ts";
import { lockStateDir, type StateLock } from "./state-lock.ts";
import { Program } from "./supervisor.ts";

/** Options of a {@link LocalSystem}. */
export interface LocalSystemOptions {
  /** Everything is kept here. */
  readonly stateDir: string;
  /** Whether to begin anew: VMs and files of an earlier run are removed. */
  readonly fresh?: boolean;
  /** Kernel and guest image are kept here between runs. */
  readonly cacheDir: string;
  /** Where clients connect to the router; 0 takes a free port. */
  readonly routerPort: number;
  /** Whether missing Debian packages may be installed (as root). */
  readonly mayInstall: boolean;
  /** Virtual VMs instead of QEMU's, each change of state taking so many milliseconds; see `VirtualVms`. */
  readonly virtualVms?: { readonly delayMs: number };
  /** BuildKit's release archive, for satellites of the class "buildkit" on stock Debian; none when absent. */
  readonly buildkitArchive?: string;
  /** Whether the router asks for a token, over TLS, as it does in a cluster. */
  readonly accessControl?: boolean;
  /** Told one line for each step that may take longer than a second. */
  readonly progress: (line: string) => void;
}

const ROOT = join(import.meta.dirname, "../..");
const ENTRY = join(ROOT, "src/main.ts");
const LOCAL_CLASS = join(ROOT, "examples/local/class.yaml");
const BUILDKIT_CLASS = join(ROOT, "examples/local/buildkit.yaml");

/**
 * The product on one machine: embedded Kubernetes API server, EC2 endpoint over QEMU VMs, operator and router,
 * each a process of its own that is started again when it ends. State and VMs are kept over a restart.
 */
export class LocalSystem {
  readonly #options: LocalSystemOptions;
  readonly #context: ProcessContext;
  readonly #lock: StateLock;
  readonly #places: LocalPlaces;
  readonly #programs = new Map<ProgramName, Program>();

  private constructor(
    options: LocalSystemOptions,
    context: ProcessContext,
    held: { readonly lock: StateLock; readonly places: LocalPlaces },
  ) {
    this.#options = options;
    this.#context = context;
    this.#lock = held.lock;
    this.#places = held.places;
  }

  /**
   * Prepares and starts everything; resolves when all programs are ready.
   *
   * @throws SatelliteError `StateDirInUse`, `PrerequisitesMissing`, `PortInUse`, `ProgramFailed` and others that
   *   say what to do; nothing is left running then
   */
  static async start(options: LocalSystemOptions, context: ProcessContext): Promise<LocalSystem> {
    if (options.fresh === true) {
      await checkStateDir(options.stateDir);
    }
    await mkdir(join(options.stateDir, "logs"), { recursive: true, mode: 0o700 });
    const lock = lockStateDir(options.stateDir);
    let system: LocalSystem | undefined;
    try {
      if (options.fresh === true) {
        await emptyStateDir(options.stateDir);
      }
      const places = await choosePlaces({ ...options, clock: context.clock, random: context.random });
      system = new LocalSystem(options, context, { lock, places });
      await system.#startAll();
      return system;
    } catch (error) {
      await system?.stop();
      lock.release();
      throw error;
    }
  }

  /** For kubectl. */
  get kubeconfig(): string {
    return join(this.#options.stateDir, "kubeconfig");
  }

  /** "host:port" where clients connect. */
  get routerAddress(): string {
    return onLoopback(this.#ports.router);
  }

  /** What a client needs where the router asks who calls. */
  get credentials(): { readonly ca: string; readonly tokenFile: string } | undefined {
    return this.#options.accessControl === true
      ? { ca: join(this.#tlsFolder, "ca.pem"), tokenFile: this.#file("developer.token") }
      : undefined;
  }

  get #tlsFolder(): string {
    return this.#file("router-tls");
  }

  get ec2Url(): string {
    return `http://${onLoopback(this.#ports.ec2)}`;
  }

  /** URLs of the metrics of operator and router. */
  get metricsUrls(): Readonly<Record<"operator" | "router", string>> {
    const url = (port: number): string => `http://${onLoopback(port)}/metrics`;
    return { operator: url(this.#ports.operatorHealth), router: url(this.#ports.routerHealth) };
  }

  /** Where a browser finds the page about the satellites. */
  get pageUrl(): string {
    return `http://${onLoopback(this.#ports.page)}/`;
  }

  /** The program of that name, for killing it in tests. */
  program(name: ProgramName): Program {
    const program = this.#programs.get(name);
    if (program === undefined) {
      throw new SatelliteError("NotStarted", `${name} was not started`);
    }
    return program;
  }

  /** Ends all programs, the router first. VMs go on running, unless `vms` is "end". */
  async stop(vms: "keep" | "end" = "keep"): Promise<void> {
    for (const program of [...this.#programs.values()].toReversed()) {
      await program.stop();
    }
    if (vms === "end") {
      await endAllVms(vmsDir(this.#options.stateDir));
    }
    this.#lock.release();
  }

  async #startAll(): Promise<void> {
    const setup: LocalEc2Setup = { hypervisor: await this.#prepareVms(), subnets: this.#places.subnets };
    await writeFile(this.#file("ec2-setup.json"), JSON.stringify(setup));
    await this.#prepareUsers();
    for (const name of PROGRAM_NAMES) {
      this.#context.stop.throwIfAborted();
      await this.#startProgram(name);
      if (name === "kubernetes") {
        await this.#applyClasses();
      }
    }
  }

  async #prepareVms(): Promise<HypervisorSetup> {
    const { virtualVms, buildkitArchive, cacheDir, progress } = this.#options;
    if (virtualVms !== undefined) {
      return { kind: "virtual", delayMs: virtualVms.delayMs };
    }
    const { environment } = this.#context;
    const tools = await ensurePrerequisites({
      path: environment["PATH"] ?? "",
      mayInstall: this.#options.mayInstall,
      isRoot: process.getuid?.() === 0,
      progress,
      prerequisites: buildkitArchive === undefined ? PREREQUISITES : STOCK_PREREQUISITES,
    });
    const common = { cacheDirectory: cacheDir, tools, progress };
    const image = await ensureGuestImage({ ...common, nodePath: process.execPath });
    return buildkitArchive === undefined
      ? { kind: "qemu", tools, image }
      : {
          kind: "qemu",
          tools,
          image,
          stockImage: await ensureStockImage({ ...common, served: buildkitArchive }),
        };
  }

  async #prepareUsers(): Promise<void> {
    const file = this.#file("users.json");
    if (!existsSync(file)) {
      const user = (name: string, groups: string[]): TokenUser => ({
        name,
        groups,
        token: randomBytes(24).toString("base64url"),
      });
      const users = [
        user("admin", ["system:masters"]),
        user("system:serviceaccount:satellites:operator", []),
        user("system:serviceaccount:satellites:router", []),
        { ...user("developer", []), audiences: [DEFAULT_AUDIENCE] },
      ];
      await writeFile(file, JSON.stringify(users), { mode: 0o600 });
    }
    const users = JSON.parse(await readFile(file, "utf8")) as TokenUser[];
    const stateDir = this.#file("kubernetes");
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const { caPem } = await serverCertificate(stateDir, "127.0.0.1", this.#context.clock.now());
    const url = `https://${onLoopback(this.#ports.kubernetes)}`;
    for (const [index, name] of ["kubeconfig", "operator.kubeconfig", "router.kubeconfig"].entries()) {
      const user = users[index];
      if (user === undefined) {
        throw new SatelliteError("UsersUnreadable", `${file} lacks users; remove it to have it made anew`);
      }
      // People find their way to the router by it; programs are told theirs by flags.
      const extensions = name === "kubeconfig" ? { [ROUTER_EXTENSION]: this.#routerForPeople() } : {};
      writeKubeconfig(this.#file(name), { url, caPem, user, extensions });
    }
    if (this.credentials !== undefined) {
      const developer = users.find(({ name }) => name === "developer");
      if (developer === undefined) {
        throw new SatelliteError("UsersUnreadable", `${file} lacks users; remove it to have it made anew`);
      }
      await writeFile(this.credentials.tokenFile, developer.token, { mode: 0o600 });
      await mkdir(this.#tlsFolder, { recursive: true, mode: 0o700 });
      await serverCertificate(this.#tlsFolder, "127.0.0.1", this.#context.clock.now());
    }
  }

  #routerForPeople(): ContextRouter {
    const { credentials } = this;
    return {
      router: this.routerAddress,
      ...(credentials === undefined
        ? {}
        : { "certificate-authority": credentials.ca, tokenFile: credentials.tokenFile }),
    };
  }

  async #applyClasses(): Promise<void> {
    const { buildkitArchive } = this.#options;
    const classes = [
      await readFile(LOCAL_CLASS, "utf8"),
      ...(buildkitArchive === undefined ? [] : [await buildkitClass(BUILDKIT_CLASS, buildkitArchive)]),
    ];
    for (const text of classes) {
      const body = parse(text) as SatelliteClass;
      try {
        await this.withClient((client) => client.create(SATELLITE_CLASSES, body));
      } catch (error) {
        if (!hasReason(error, "AlreadyExists")) {
          throw error;
        }
      }
    }
  }

  /** Calls the API server as its administrator. */
  async withClient<T>(call: (client: KubeClient) => Promise<T>): Promise<T> {
    const metrics = createKubeMetrics(createMetricsRegistry());
    const client = connectKubernetes(
      { kubeconfig: this.kubeconfig, component: "satellites-local", metrics },
      this.#context,
    );
    try {
      return await call(client);
    } finally {
      await client.close();
    }
  }

  async #startProgram(name: ProgramName): Promise<void> {
    const program = new Program(
      {
        name,
        args: programArguments(name, {
          ports: this.#ports,
          file: (path) => this.#file(path),
          root: ROOT,
          ...(this.#options.buildkitArchive === undefined
            ? {}
            : { defaultSatellite: `default/${BUILDKIT_SATELLITE}` }),
          ...(this.credentials === undefined ? {} : { tlsFolder: this.#tlsFolder }),
        }),
        environment: this.#environment(name),
        logFile: this.#file(`logs/${name}.log`),
        ready: () => this.#isReady(name),
      },
      ENTRY,
      this.#context.clock,
      (ended, why) => this.#options.progress(`${ended} ended (${why}); it is started again`),
    );
    this.#programs.set(name, program);
    await program.start();
  }

  get #ports(): Ports {
    return this.#places.ports;
  }

  #environment(name: ProgramName): Record<string, string | undefined> {
    const { environment } = this.#context;
    return name === "operator"
      ? { ...environment, AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" }
      : environment;
  }

  async #isReady(name: ProgramName): Promise<boolean> {
    switch (name) {
      case "kubernetes":
        await this.withClient((client) => client.get(NAMESPACE, { name: "default" }, { timeoutMs: 1000 }));
        return true;
      case "ec2":
        return (await fetch(`${this.ec2Url}/_control/images`)).ok;
      case "operator":
        return (await fetch(`http://${onLoopback(this.#ports.operatorHealth)}/readyz`)).ok;
      case "router":
        return (await fetch(`http://${onLoopback(this.#ports.routerHealth)}/readyz`)).ok;
    }
  }

  #file(name: string): string {
    return join(this.#options.stateDir, name);
  }
}

/** Where `local-ec2` keeps its VMs. */
function vmsDir(stateDir: string): string {
  return join(stateDir, "ec2", "vms");
}

/** A folder that holds other things than ours must not be emptied. */
async function checkStateDir(stateDir: string): Promise<void> {
  const names = existsSync(stateDir) ? await readdir(stateDir) : [];
  if (names.length > 0 && !names.includes("lock.sqlite")) {
    throw new SatelliteError(
      "StateDirNotOurs",
      `${stateDir} holds files that satellites did not make, and would be emptied; name an empty folder with --state-dir`,
    );
  }
}

/** Ends and removes what an earlier run left in a state folder that this process has locked; the lock stays. */
async function emptyStateDir(stateDir: string): Promise<void> {
  await endAllVms(vmsDir(stateDir));
  for (const name of await readdir(stateDir)) {
    if (!name.startsWith("lock.sqlite") && name !== "pid") {
      await rm(join(stateDir, name), { recursive: true, force: true });
    }
  }
  await mkdir(join(stateDir, "logs"), { mode: 0o700 });
}
