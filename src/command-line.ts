/** The command line of `satellites`: which commands there are, and their flags. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { SatelliteError, toError } from "./base/errors.ts";
import { parseLabelSelector } from "./base/label-selector.ts";
import { addCommands } from "./cli/command-line.ts";
import type { CliContext } from "./cli/context.ts";
import type { DemoCommandOptions } from "./commands/demo.ts";
import type { LocalEc2Options } from "./commands/local-ec2.ts";
import type { LocalKubernetesOptions } from "./commands/local-kubernetes.ts";
import type { LocalCommandOptions } from "./commands/local.ts";
import type { OperatorCommandOptions } from "./commands/operator.ts";
import {
  checkDnsLabel,
  checkedFlag,
  checkHttpUrl,
  checkMethod,
  checkNamespacedName,
  numberFlag,
} from "./commands/flags.ts";
import {
  createProcessContext,
  parseAddress,
  type CommonOptions,
  type ProcessContext,
} from "./commands/process-context.ts";
import { oidcFlags } from "./commands/router-oidc.ts";
import type { RouterCommandOptions } from "./commands/router.ts";
import { parseNetworks } from "./router/proxy-protocol.ts";
import { fromSourceTree } from "./commands/source-tree.ts";
import { serializeError } from "./telemetry/logger.ts";

/** A subcommand with the options that all long-running ones share. */
function service(name: string, description: string, logFormat: "json" | "text" = "json"): Command {
  return new Command(name)
    .description(description)
    .addOption(
      new Option("--log-level <level>", "lowest level that is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .addOption(
      new Option("--log-format <format>", "how to log").choices(["json", "text"]).default(logFormat),
    );
}

/** What a command does until it is stopped. */
type Run<O> = (options: O, context: ProcessContext) => Promise<void>;

/**
 * Runs a command to its end; errors end the process with what to do about them.
 *
 * @param load imports the command's module: only when it is used, so that no command pays for the others
 */
async function runToEnd<O extends CommonOptions>(
  environment: ProcessContext["environment"],
  options: O,
  load: () => Promise<Run<O>>,
): Promise<void> {
  const context = createProcessContext(environment, options);
  try {
    const run = await load();
    await run(options, context);
  } catch (error) {
    fail(error, options);
  }
  context.faults.finish();
}

function fail(thrown: unknown, options?: CommonOptions): never {
  const error = toError(thrown);
  const known = error instanceof SatelliteError;
  if (options?.logFormat === "json") {
    console.error(JSON.stringify({ level: "error", message: error.message, error: serializeError(error) }));
  } else {
    console.error(known ? `error: ${error.message} (${error.code})` : error);
  }
  process.exit(1);
}

/** Each value of a flag that may be given several. */
function collectMethods(method: string, before: readonly string[] = []): readonly string[] {
  checkMethod(method);
  return [...before, method];
}

/**
 * The parser of the whole command line; `parseAsync` runs what it names.
 *
 * @param makeCliContext called once, by a command for people
 */
export function createProgram(
  environment: ProcessContext["environment"],
  makeCliContext: () => CliContext,
): Command {
  const CACHE_DIR = join(environment["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "satellites");
  const running = <O extends CommonOptions>(options: O, load: () => Promise<Run<O>>): Promise<void> =>
    runToEnd(environment, options, load);

  const kubeconfig = new Option(
    "--kubeconfig <file>",
    "how to reach the API server; else the pod's service account, else what kubectl uses",
  );

  const program = new Command("satellites")
    .description("VMs as Kubernetes resources: they sleep when idle and wake for the next gRPC request")
    .version(manifest.version, "-V, --version");

  program.addCommand(
    service("operator", "reconciles Satellites into EC2 instances")
      .addOption(kubeconfig)
      .option("--namespace <name>", "where the leader's Lease and Secrets of classes are", "satellites")
      .option("--identity <name>", "identity in leader election; host name and process ID when absent")
      .option("--deployment <name>", "the Deployment that it is a pod of: the leader's Lease goes with it")
      .addOption(
        checkedFlag(
          "--shard <dns-label>",
          "its name among several operators of the cluster, which the leader's Lease bears; none when absent",
          checkDnsLabel,
        ),
      )
      .addOption(
        checkedFlag(
          "--namespace-selector <selector>",
          "acts on satellites in the namespaces that this label selector matches, and leaves the others to other operators",
          parseLabelSelector,
        ),
      )
      .addOption(
        checkedFlag(
          "--health-address <host:port>",
          "serves /healthz, /readyz and /metrics",
          parseAddress,
        ).default(":8081"),
      )
      .addOption(
        checkedFlag(
          "--page-address <host:port>",
          "serves a page about all satellites, to whoever reaches it; none when absent",
          parseAddress,
        ),
      )
      .addOption(
        checkedFlag("--ec2-endpoint <url>", "EC2 endpoint instead of AWS's own", checkHttpUrl).env(
          "AWS_ENDPOINT_URL_EC2",
        ),
      )
      .addOption(
        numberFlag("--concurrency <n>", "satellites worked on at the same time", {
          unit: "satellites",
          min: 1,
          max: 10_000,
          default: 500,
        }),
      )
      .addOption(
        numberFlag("--list-period-seconds <n>", "between complete lists of the cluster's machines", {
          unit: "seconds",
          min: 1,
          max: 3_600,
          default: 60,
        }),
      )
      .addOption(
        numberFlag("--lease-seconds <n>", "how long the leader's lease lasts", {
          unit: "seconds",
          min: 1,
          max: 3_600,
          default: 15,
        }),
      )
      .addOption(
        new Option("--timing <preset>", "how fast machines change state")
          .choices(["ec2", "local"])
          .default("ec2"),
      )
      .action((options: OperatorCommandOptions & CommonOptions) =>
        running(options, async () => (await import("./commands/operator.ts")).runOperator),
      ),
  );

  const router = service("router", "takes gRPC requests, wakes what sleeps, and forwards");
  program.addCommand(
    router
      .addOption(kubeconfig)
      .addOption(
        checkedFlag("--listen <host:port>", "where clients connect", parseAddress).default("127.0.0.1:8372"),
      )
      .addOption(
        // Up to version 0.1 it said how connections are served; the router now finds that out by itself.
        new Option("--engine <kind>", "has no effect any more").choices(["direct", "multiplexed"]).hideHelp(),
      )
      .addOption(
        checkedFlag(
          "--health-address <host:port>",
          "serves /healthz, /readyz and /metrics",
          parseAddress,
        ).default(":8082"),
      )
      .addOption(
        numberFlag("--workers <n>", "processes that share the port, each of them a router", {
          unit: "processes",
          min: 1,
          max: 32,
          default: 1,
        }),
      )
      .addOption(
        // Set by the parent of several workers.
        numberFlag("--worker <n>", "number of this process", {
          unit: "processes",
          min: 1,
          max: 32,
        }).hideHelp(),
      )
      .option(
        "--router-id <id>",
        'key of this router\'s leases; the host name when absent. Workers add ".1", ".2" …',
      )
      .option("--watch-namespace <name>", "only satellites of this namespace")
      .option("--domain <name>", "domain of authorities of the form <name>.<namespace>.<domain>")
      .option("--default-namespace <name>", "namespace of requests that name a satellite without one")
      .addOption(
        checkedFlag(
          "--default-satellite <namespace/name>",
          "satellite of requests that name none",
          checkNamespacedName,
        ),
      )
      .option(
        "--wakes-nothing <method...>",
        "methods (/package.Service/Method) or services (/package.Service/) that neither wake nor keep awake",
        collectMethods,
      )
      .addOption(
        numberFlag("--grace-seconds <n>", "how long open streams may run on after SIGTERM", {
          unit: "seconds",
          min: 0,
          max: 604_800,
          default: 3600,
        }),
      )
      .option("--tls-cert <file>", "serves TLS with this certificate chain (PEM); read again when it changes")
      .option("--tls-key <file>", "private key of the certificate (PEM)")
      .option("--client-ca <file>", "authorities of client certificates (PEM): user is CN, groups are O")
      .option(
        "--token-audience <name...>",
        'audiences of which a token must have one (default: "satellites.dev")',
      )
      .option("--anonymous", "let everybody in; on loopback addresses only")
      .option("--insecure-anonymous", "let everybody in, on any address")
      .option(
        "--insecure-cleartext",
        "take tokens without TLS on any address: something else protects the way",
      )
      .addOption(
        checkedFlag(
          "--proxy-protocol-from <networks>",
          "peers that send PROXY protocol v2, as in 10.0.0.0/8,fd00::/8",
          parseNetworks,
        ),
      )
      .addOption(
        numberFlag("--max-held-per-identity <n>", "requests of one caller held at a time; 2000 when absent", {
          unit: "requests",
          min: 1,
          max: 1_000_000,
        }),
      )
      .addOption(
        numberFlag("--wake-burst <n>", "wakes of one caller at once; 100 when absent", {
          unit: "wakes",
          min: 1,
          max: 1_000_000,
        }),
      )
      .addOption(
        numberFlag("--wakes-per-minute <n>", "wakes of one caller in the long run; 60 when absent", {
          unit: "wakes",
          min: 1,
          max: 1_000_000,
        }),
      )
      .action((options: RouterCommandOptions & CommonOptions) =>
        running(options, async () => (await import("./commands/router.ts")).runRouter),
      ),
  );

  for (const flag of oidcFlags()) {
    router.addOption(flag);
  }

  program.addCommand(
    service("local", "runs everything on this machine, with real VMs", "text")
      .option("--state-dir <dir>", "where everything is kept", ".satellites/local")
      .option("--cache-dir <dir>", "where kernel and guest image are kept", CACHE_DIR)
      .addOption(
        numberFlag("--router-port <n>", "where clients connect on 127.0.0.1; 0 takes a free port", {
          unit: "the port number",
          min: 0,
          max: 65_535,
          default: 0,
        }),
      )
      .option("--no-install", "do not install missing Debian packages")
      .option(
        "--buildkit-archive <file>",
        "BuildKit's release archive, for satellites that run it on stock Debian",
      )
      .option("--access-control", "the router asks for a token, over TLS, as it does in a cluster")
      .addOption(
        new Option("--hypervisor <kind>", "what VMs run on; virtual ones are for tests")
          .choices(["qemu", "virtual"])
          .default("qemu")
          .hideHelp(),
      )
      .action((options: LocalCommandOptions & CommonOptions) =>
        running({ ...options, stateDir: resolve(options.stateDir) }, () =>
          fromSourceTree("local", async () => (await import("./commands/local.ts")).runLocal),
        ),
      ),
  );

  program.addCommand(
    service("demo", "tells the whole story on this machine and measures it")
      .option("--state-dir <dir>", "where everything is kept; emptied first", ".satellites/demo")
      .option("--cache-dir <dir>", "where kernel and guest image are kept", CACHE_DIR)
      .option("--kubectl <file>", "the kubectl program; looked up in PATH when absent")
      .option("--report <file>", "where the figures are written", ".satellites/demo-report.json")
      .option("--no-install", "do not install missing Debian packages")
      .action((options: DemoCommandOptions & CommonOptions) =>
        running(
          { ...options, stateDir: resolve(options.stateDir), logLevel: "warn", logFormat: "text" },
          () => fromSourceTree("demo", async () => (await import("./commands/demo.ts")).runDemo),
        ),
      ),
  );

  program.addCommand(
    service("local-kubernetes", "the embedded Kubernetes API server")
      .requiredOption("--state-dir <dir>", "state and certificates")
      .requiredOption("--users <file>", "users and their tokens, as JSON")
      .requiredOption("--crds <dir>", "CustomResourceDefinitions to serve")
      .addOption(
        numberFlag("--port <n>", "0 takes a free one", {
          unit: "the port number",
          min: 0,
          max: 65_535,
          default: 0,
        }),
      )
      .action((options: LocalKubernetesOptions & CommonOptions) =>
        running(options, () =>
          fromSourceTree(
            "local-kubernetes",
            async () => (await import("./commands/local-kubernetes.ts")).runLocalKubernetes,
          ),
        ),
      ),
    { hidden: true },
  );

  program.addCommand(
    service("local-ec2", "the EC2 endpoint over VMs of this machine")
      .requiredOption("--state-dir <dir>", "instances, disks and memory images")
      .requiredOption("--setup <file>", "hypervisor and network, as JSON")
      .addOption(
        numberFlag("--port <n>", "0 takes a free one", {
          unit: "the port number",
          min: 0,
          max: 65_535,
          default: 0,
        }),
      )
      .action((options: LocalEc2Options & CommonOptions) =>
        running(options, () =>
          fromSourceTree("local-ec2", async () => (await import("./commands/local-ec2.ts")).runLocalEc2),
        ),
      ),
    { hidden: true },
  );

  addCommands(program, makeCliContext);
  return program;
}
