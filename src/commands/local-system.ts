import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parse } from "yaml";
import { SatelliteError } from "../base/errors.ts";
import { hasReason } from "../kube/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { NAMESPACE } from "../kube/resources.ts";
import { createKubeMetrics } from "../kube/metrics.ts";
import type { TokenUser } from "../local/kubernetes/authentication.ts";
import { serverCertificate } from "../local/kubernetes/certificates.ts";
import { writeKubeconfig } from "../local/kubernetes/kubeconfig.ts";
import { ensureGuestImage } from "../local/qemu/image.ts";
import { ensurePrerequisites } from "../local/qemu/prerequisites.ts";
import { SATELLITE_CLASSES } from "../satellite/resource.ts";
import type { SatelliteClass } from "../satellite/types.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import type { LocalEc2Setup } from "./local-ec2.ts";
import type { ProcessContext } from "./process-context.ts";
import { Program } from "./supervisor.ts";

/** Options of a {@link LocalSystem}. */
export interface LocalSystemOptions {
  /** Everything is kept here. */
  readonly stateDir: string;
  /** Kernel and guest image are kept here between runs. */
  readonly cacheDir: string;
  /** Where clients connect to the router; 0 takes a free port. */
  readonly routerPort: number;
  /** Whether missing Debian packages may be installed (as root). */
  readonly mayInstall: boolean;
  /** Told one line for each step that may take longer than a second. */
  readonly progress: (line: string) => void;
}

/** Names of the programs, in the order in which they start. */
export type ProgramName = "kubernetes" | "ec2" | "operator" | "router";

interface Ports {
  readonly kubernetes: number;
  readonly ec2: number;
  readonly router: number;
  readonly operatorHealth: number;
  readonly routerHealth: number;
}

const ROOT = join(import.meta.dirname, "../..");
const ENTRY = join(ROOT, "src/main.ts");
const LOCAL_CLASS = join(ROOT, "examples/local/class.yaml");

/**
 * The product on one machine: embedded Kubernetes API server, EC2 endpoint over QEMU VMs, operator and router,
 * each a process of its own that is started again when it ends. State survives a restart, and so do the VMs.
 */
export class LocalSystem {
  readonly #options: LocalSystemOptions;
  readonly #context: ProcessContext;
  readonly #ports: Ports;
  readonly #programs = new Map<ProgramName, Program>();

  private constructor(options: LocalSystemOptions, context: ProcessContext, ports: Ports) {
    this.#options = options;
    this.#context = context;
    this.#ports = ports;
  }

  /**
   * Prepares and starts everything; resolves when all programs are ready.
   *
   * @throws SatelliteError `PrerequisitesMissing`, `PortInUse`, `ProgramFailed` and others that say what to do
   */
  static async start(options: LocalSystemOptions, context: ProcessContext): Promise<LocalSystem> {
    await mkdir(join(options.stateDir, "logs"), { recursive: true, mode: 0o700 });
    const ports = await choosePorts(options);
    const system = new LocalSystem(options, context, ports);
    await system.#prepareVms();
    await system.#prepareUsers();
    for (const name of ["kubernetes", "ec2", "operator", "router"] as const) {
      await system.#startProgram(name);
      if (name === "kubernetes") {
        await system.#applyClass();
      }
    }
    return system;
  }

  /** For kubectl. */
  get kubeconfig(): string {
    return join(this.#options.stateDir, "kubeconfig");
  }

  /** "host:port" where clients connect. */
  get routerAddress(): string {
    return `127.0.0.1:${this.#ports.router}`;
  }

  get ec2Url(): string {
    return `http://127.0.0.1:${this.#ports.ec2}`;
  }

  /** URLs of the metrics of operator and router. */
  get metricsUrls(): Readonly<Record<"operator" | "router", string>> {
    const url = (port: number): string => `http://127.0.0.1:${port}/metrics`;
    return { operator: url(this.#ports.operatorHealth), router: url(this.#ports.routerHealth) };
  }

  /** The program of that name, for killing it in tests. */
  program(name: ProgramName): Program {
    const program = this.#programs.get(name);
    if (program === undefined) {
      throw new SatelliteError("NotStarted", `${name} was not started`);
    }
    return program;
  }

  /** Ends all programs, the router first. VMs go on running. */
  async stop(): Promise<void> {
    for (const program of [...this.#programs.values()].toReversed()) {
      await program.stop();
    }
  }

  async #prepareVms(): Promise<void> {
    const { environment } = this.#context;
    const tools = await ensurePrerequisites({
      path: environment["PATH"] ?? "",
      mayInstall: this.#options.mayInstall,
      isRoot: process.getuid?.() === 0,
      progress: this.#options.progress,
    });
    const image = await ensureGuestImage({
      cacheDirectory: this.#options.cacheDir,
      tools,
      nodePath: process.execPath,
      progress: this.#options.progress,
    });
    const setup: LocalEc2Setup = { tools, image };
    await writeFile(this.#file("ec2-setup.json"), JSON.stringify(setup));
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
      ];
      await writeFile(file, JSON.stringify(users), { mode: 0o600 });
    }
    const users = JSON.parse(await readFile(file, "utf8")) as TokenUser[];
    const stateDir = this.#file("kubernetes");
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const { caPem } = await serverCertificate(stateDir, "127.0.0.1", this.#context.clock.now());
    const url = `https://127.0.0.1:${this.#ports.kubernetes}`;
    for (const [index, name] of ["kubeconfig", "operator.kubeconfig", "router.kubeconfig"].entries()) {
      const user = users[index];
      if (user === undefined) {
        throw new SatelliteError("UsersUnreadable", `${file} lacks users; remove it to have it made anew`);
      }
      writeKubeconfig(this.#file(name), { url, caPem, user });
    }
  }

  async #applyClass(): Promise<void> {
    const body = parse(await readFile(LOCAL_CLASS, "utf8")) as SatelliteClass;
    try {
      await this.withClient((client) => client.create(SATELLITE_CLASSES, body));
    } catch (error) {
      if (!hasReason(error, "AlreadyExists")) {
        throw error;
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
        args: this.#arguments(name),
        environment: this.#environment(name),
        logFile: this.#file(`logs/${name}.log`),
        ready: () => this.#isReady(name),
      },
      ENTRY,
      this.#context.clock,
      (ended, why) => this.#options.progress(`${ended} ended (${why}); it is started again`),
    );
    this.#programs.set(name, program);
    try {
      await program.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  #environment(name: ProgramName): Record<string, string | undefined> {
    const { environment } = this.#context;
    return name === "operator"
      ? { ...environment, AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" }
      : environment;
  }

  #arguments(name: ProgramName): string[] {
    const ports = this.#ports;
    switch (name) {
      case "kubernetes":
        return [
          "local-kubernetes",
          ...["--state-dir", this.#file("kubernetes")],
          ...["--port", String(ports.kubernetes)],
          ...["--crds", join(ROOT, "crds")],
          ...["--users", this.#file("users.json")],
        ];
      case "ec2":
        return [
          "local-ec2",
          ...["--state-dir", this.#file("ec2")],
          ...["--port", String(ports.ec2)],
          ...["--setup", this.#file("ec2-setup.json")],
        ];
      case "operator":
        return [
          "operator",
          ...["--kubeconfig", this.#file("operator.kubeconfig")],
          ...["--namespace", "default"],
          ...["--identity", "local"],
          ...["--health-address", `127.0.0.1:${ports.operatorHealth}`],
          ...["--ec2-endpoint", this.ec2Url],
          ...["--timing", "local"],
          ...["--list-period-seconds", "5"],
        ];
      case "router":
        return [
          "router",
          ...["--kubeconfig", this.#file("router.kubeconfig")],
          ...["--listen", this.routerAddress],
          ...["--health-address", `127.0.0.1:${ports.routerHealth}`],
          ...["--router-id", "router-0"],
          ...["--domain", "satellites.local"],
          ...["--default-namespace", "default"],
          ...["--grace-seconds", "5"],
        ];
    }
  }

  async #isReady(name: ProgramName): Promise<boolean> {
    switch (name) {
      case "kubernetes":
        await this.withClient((client) => client.get(NAMESPACE, { name: "default" }, { timeoutMs: 1000 }));
        return true;
      case "ec2":
        return (await fetch(`${this.ec2Url}/_control/images`)).ok;
      case "operator":
        return (await fetch(`http://127.0.0.1:${this.#ports.operatorHealth}/readyz`)).ok;
      case "router":
        return (await fetch(`http://127.0.0.1:${this.#ports.routerHealth}/readyz`)).ok;
    }
  }

  #file(name: string): string {
    return join(this.#options.stateDir, name);
  }
}

/** The ports of the last run, so that clients and kubeconfigs stay valid; free ones at first. */
async function choosePorts({ stateDir, routerPort }: LocalSystemOptions): Promise<Ports> {
  const file = join(stateDir, "ports.json");
  const known = existsSync(file) ? (JSON.parse(await readFile(file, "utf8")) as Partial<Ports>) : {};
  const names = ["kubernetes", "ec2", "router", "operatorHealth", "routerHealth"] as const;
  const wanted = { ...known, ...(routerPort === 0 ? {} : { router: routerPort }) };
  const held = await Promise.all(names.map((name) => takePort(name, wanted[name] ?? 0, stateDir)));
  await Promise.all(held.map(({ release }) => release()));
  const ports = Object.fromEntries(names.map((name, index) => [name, held[index]?.port])) as unknown as Ports;
  await writeFile(file, JSON.stringify(ports));
  return ports;
}

async function takePort(
  name: string,
  port: number,
  stateDir: string,
): Promise<{ readonly port: number; release(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new SatelliteError(
          "PortInUse",
          `port ${port} for ${name} is in use on 127.0.0.1: stop what listens there (perhaps another ` +
            `"satellites local"), choose another with --router-port, or remove ${join(stateDir, "ports.json")} ` +
            "to have all ports chosen anew",
          { cause },
        ),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    release: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}
