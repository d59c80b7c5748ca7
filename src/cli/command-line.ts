/** The commands for people: `kubectl satellite …`, and the same under `satellites …`. Each loads its own module. */
import { constants } from "node:os";
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { parseDurationMs } from "../base/duration.ts";
import { toError } from "../base/errors.ts";
import { satelliteName } from "./arguments.ts";
import { errorLine } from "./error-line.ts";
import { parseHostPort } from "./host-port.ts";
import type { Connection, ConnectFlags } from "./connect.ts";
import type { BuildxFlags } from "./buildx.ts";
import type { CliContext } from "./context.ts";
import type { ListFlags } from "./ls.ts";
import type { PowerFlags } from "./power.ts";
import type { ProxyFlags } from "./proxy.ts";
import type { RouterFlags } from "./router-flags.ts";
import type { RunFlags } from "./run.ts";
import type { SavingsFlags } from "./savings.ts";

/** Exit status of a command that was ended by SIGINT, as shells have it. */
const INTERRUPTED = 128 + constants.signals.SIGINT;

/** A duration of Go; bare numbers are seconds, as for kubectl's --request-timeout. */
function durationMs(text: string): number {
  try {
    return parseDurationMs(/^\d+$/.test(text) ? `${text}s` : text);
  } catch (error) {
    throw new InvalidArgumentError(toError(error).message);
  }
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port <= 65_535)) {
    throw new InvalidArgumentError("It must be a port number from 0 to 65535.");
  }
  return port;
}

function hostPort(text: string): string {
  try {
    parseHostPort(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(toError(error).message);
  }
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** kubectl's flags about which API server, as whom, and where. */
function withKubectlFlags(command: Command): Command {
  return command
    .option("-n, --namespace <name>", "namespace; that of the kubeconfig's context when absent")
    .option("--context <name>", "context of the kubeconfig")
    .option("--kubeconfig <file>", "kubeconfig instead of KUBECONFIG or ~/.kube/config")
    .option("--as <user>", "user to impersonate")
    .option("--as-group <group>", "group to impersonate; as often as wanted", collect)
    .addOption(
      new Option("--request-timeout <duration>", "how long one call may take, as in 30s").argParser(
        durationMs,
      ),
    );
}

/** The name of a satellite. */
const oneName = (text: string): Argument => new Argument("[name]", text).argParser(satelliteName);

/** The names of satellites. @param shape `[name...]`, or `<name...>` where there must be one */
const manyNames = (shape: string, text: string): Argument =>
  new Argument(shape, text).argParser((value, before: readonly string[] | undefined) => [
    ...(before ?? []),
    satelliteName(value),
  ]);

/** How a router is found and spoken to. */
function withRouterFlags(command: Command): Command {
  return withKubectlFlags(command)
    .addOption(
      new Option("--router <host:port>", "a router's address; found in the cluster when absent").argParser(
        hostPort,
      ),
    )
    .addOption(
      new Option("--via <way>", "how a router that was found is reached; auto: port-forward outside of pods")
        .choices(["auto", "service", "port-forward"])
        .default("auto"),
    )
    .option("--router-namespace <name>", "namespace of the routers; looked for when absent")
    .option("--tls", "with --router: speak TLS; also with the next four")
    .option("--ca <file>", "authorities of the router's certificate (PEM)")
    .option("--server-name <name>", "name that the router's certificate bears")
    .option("--client-cert <file>", "client certificate (PEM)")
    .option("--client-key <file>", "its private key (PEM)")
    .option("--service-account <name>", 'account of the namespace whose token is used; "default" when absent')
    .option("--token-file <file>", "token for the router, as a pod mounts it; read again when it changes")
    .option(
      "--token-from <source>",
      "token of a CI job or a program: github, gitlab, gitlab:VARIABLE, file:PATH, exec:COMMAND",
    )
    .option("--token-audience <name>", "for whom the token is; the router's own when absent")
    .option("--insecure-cleartext", "send a token without TLS: something else protects the way");
}

/** What a command does; returns its exit status where that is not 0. */
type Action = (connection: Connection, context: CliContext) => Promise<number | void>;

/**
 * Adds the commands to a program.
 *
 * @param makeContext called once, by the command that is run
 */
export function addCommands(program: Command, makeContext: () => CliContext): void {
  /** Runs a command to its end and says what is wrong in one line. */
  const run = async (work: (context: CliContext) => Promise<number | void>): Promise<void> => {
    const context = makeContext();
    try {
      context.setExitCode((await work(context)) ?? 0);
    } catch (error) {
      context.setExitCode(context.stop.aborted ? INTERRUPTED : 1);
      if (!context.stop.aborted) {
        context.err.write(`${errorLine(error)}\n`);
      }
    }
  };
  const connected = (flags: ConnectFlags, action: Action): Promise<void> =>
    run(async (context) => {
      const { connect } = await import("./connect.ts");
      const connection = connect(flags, context);
      try {
        return await action(connection, context);
      } finally {
        await connection.close();
      }
    });
  /** The name that was given, or the one that `use` chose. */
  const named = async (
    name: string | undefined,
    connection: Connection,
    context: CliContext,
  ): Promise<Connection & { name: string }> => {
    const { chosenSatellite } = await import("./use.ts");
    return { ...connection, ...chosenSatellite(name, connection, context) };
  };

  withKubectlFlags(program.command("ls").alias("get"))
    .description("lists satellites, as kubectl get does")
    .addArgument(manyNames("[name...]", "only these"))
    .option("-A, --all-namespaces", "those of all namespaces")
    .option("-l, --selector <labels>", "those whose labels match, as in team=a,tier!=b")
    .addOption(
      new Option("-o, --output <format>", "what is written").choices(["wide", "json", "yaml", "name"]),
    )
    .option("-w, --watch", "goes on with each change")
    .option("--no-headers", "leaves the names of columns out")
    .action((names: string[], flags: ConnectFlags & ListFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./ls.ts")).list(names, flags, connection, context),
      ),
    );

  withKubectlFlags(program.command("inspect"))
    .description("one page about a satellite: power, why, who holds it awake, machine, next step")
    .addArgument(oneName("its name; the one that use chose when absent"))
    .action((name: string | undefined, flags: ConnectFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./inspect.ts")).inspect(await named(name, connection, context), context),
      ),
    );

  const timeout = (): Option =>
    new Option("--timeout <duration>", "how long to wait")
      .argParser(durationMs)
      .default(durationMs("20m"), "20m");
  withKubectlFlags(program.command("wake"))
    .description("wakes a satellite and shows how it gets there")
    .addArgument(oneName("its name; the one that use chose when absent"))
    .addOption(timeout())
    .option("--no-wait", "returns once it is wished")
    .action((name: string | undefined, flags: ConnectFlags & PowerFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./power.ts")).wake(await named(name, connection, context), flags, context),
      ),
    );
  withKubectlFlags(program.command("sleep"))
    .description("puts a satellite to sleep; open streams get its drainTimeout")
    .addArgument(oneName("its name; the one that use chose when absent"))
    .addOption(timeout())
    .option("--now", "cuts open streams at once")
    .option("--no-wait", "returns once it is wished")
    .action((name: string | undefined, flags: ConnectFlags & PowerFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./power.ts")).putToSleep(await named(name, connection, context), flags, context),
      ),
    );
  withKubectlFlags(program.command("rm").alias("delete"))
    .description("deletes satellites, and with them their machines and disks unless they are to be kept")
    .addArgument(manyNames("<name...>", "their names"))
    .addOption(timeout())
    .option("--no-wait", "returns before the machines are gone")
    .action((names: string[], flags: ConnectFlags & PowerFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./rm.ts")).remove(names, flags, connection, context),
      ),
    );
  withKubectlFlags(program.command("use"))
    .description("chooses the satellite of this kubeconfig context that commands without a name mean")
    .addArgument(oneName("its name; shows the chosen one when absent"))
    .option("--clear", "chooses none")
    .action((name: string | undefined, flags: ConnectFlags & { readonly clear?: boolean }) =>
      connected(flags, async (connection, context) =>
        (await import("./use.ts")).use(name, flags, connection, context),
      ),
    );

  withRouterFlags(program.command("proxy"))
    .description("a local port behind which any gRPC or BuildKit client reaches the satellite")
    .addArgument(oneName("its name; the one that use chose when absent"))
    .addOption(
      new Option("-p, --port <n>", "port on 127.0.0.1; a free one when absent or 0").argParser(portNumber),
    )
    .option("--socket <path>", "a Unix socket that this user alone may open, instead of a port")
    .action((name: string | undefined, flags: ConnectFlags & ProxyFlags) =>
      run(async (context) => (await import("./proxy.ts")).proxy(name, flags, context)),
    );
  withRouterFlags(program.command("run"))
    .description("runs a command in the satellite, with its exit status")
    .addArgument(new Argument("<satellite>", "its name").argParser(satelliteName))
    .argument("<command...>", "the command and its arguments, after --")
    .option("-i, --stdin", "gives the command this one's standard input, to its end")
    .option("--workdir <directory>", "where it runs in the satellite")
    .option("--env <name=value>", "a variable of its environment; as often as wanted", collect)
    .action((name: string, command: string[], flags: ConnectFlags & RouterFlags & RunFlags) =>
      run(async (context) => (await import("./run.ts")).run(name, command, flags, context)),
    );
  withRouterFlags(program.command("buildx"))
    .description(
      "a docker buildx builder of one or several satellites: behind proxies until it is stopped, or by a certificate",
    )
    .addArgument(manyNames("<name...>", "their names; each becomes a node, as for several architectures"))
    .option("--builder <name>", "name of the builder; the first satellite's when absent")
    .option("--use", "makes it the one that docker buildx uses")
    .option(
      "--cert-secret <name>",
      "Secret with a client certificate, written where buildx reads it; needs no proxy",
    )
    .option("--rm", "removes the builder of that name, made with --cert-secret, and its certificate")
    .action((names: string[], flags: ConnectFlags & BuildxFlags) =>
      run(async (context) => (await import("./buildx.ts")).buildx(names, flags, context)),
    );
  withRouterFlags(program.command("doctor"))
    .description("looks at all that a request has to pass, and says how to mend what is broken")
    .action((flags: ConnectFlags & RouterFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./doctor.ts")).doctor(flags, connection, context),
      ),
    );
  withKubectlFlags(program.command("savings"))
    .description("hours awake and asleep, and what that saved")
    .option("-A, --all-namespaces", "those of all namespaces")
    .option("-l, --selector <labels>", "those whose labels match")
    .addOption(
      new Option(
        "--by <what>",
        "what is summed up; satellite, or namespace with --prometheus, when absent",
      ).choices(["satellite", "namespace", "class"]),
    )
    .option(
      "--prices <file>",
      'dollars an hour by type: {"t3.small": 0.0208}, or a file of the AWS Price List; those of classes when absent',
    )
    .option(
      "--since <when>",
      "30d, 12h, a date, or a file that -o json wrote; since each was made when absent",
    )
    .option(
      "--prometheus <where>",
      "that scrapes the operator, for --since: its URL, or NAMESPACE/SERVICE:PORT",
    )
    .addOption(new Option("-o, --output <format>", "a statement to compare with later").choices(["json"]))
    .action((flags: ConnectFlags & SavingsFlags) =>
      connected(flags, async (connection, context) =>
        (await import("./savings.ts")).savings(flags, connection, context),
      ),
    );
  program
    .command("completion")
    .description("a script that completes commands, flags and names of satellites")
    .addArgument(
      new Argument("<shell>", "bash, zsh, fish, or kubectl for its own completion").choices([
        "bash",
        "zsh",
        "fish",
        "kubectl",
      ]),
    )
    .action((shell: "bash" | "zsh" | "fish" | "kubectl") =>
      run(async (context) => (await import("./completion.ts")).completion(shell, program, context)),
    );
  const typed = program.name().replace("-", " ");
  for (const each of [program, ...program.commands]) {
    // As kubectl does: the help as a whole would hide what is wrong.
    const words = each === program ? typed : `${typed} ${each.name()}`;
    each.showHelpAfterError(`See '${words} --help'.`);
  }
}
