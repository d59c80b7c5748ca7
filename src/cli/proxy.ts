import { untilAborted } from "../base/abort.ts";
import { SatelliteError } from "../base/errors.ts";
import { isNotFound } from "../kube/errors.ts";
import { SATELLITES } from "../satellite/resource.ts";
import { connect, type Connection, type ConnectFlags } from "./connect.ts";
import type { CliContext } from "./context.ts";
import type { SatelliteKey } from "./follow.ts";
import { withContextRouter } from "./proxy/context-router.ts";
import { type LocalAddress, LocalPort } from "./proxy/local-port.ts";
import { checkFlags, findRoute, type Route } from "./proxy/route.ts";
import type { TokenSource } from "./proxy/token-source.ts";
import type { RouterFlags } from "./router-flags.ts";
import { chosenSatellite } from "./use.ts";

/** Flags of `proxy`. */
export interface ProxyFlags extends RouterFlags {
  readonly port?: number;
  readonly socket?: string;
}

/** A local port with all that it needs. */
export interface OpenProxy {
  readonly local: LocalPort;
  readonly satellite: SatelliteKey;
  /** One line about the way to the satellite. */
  readonly description: string;
  close(): Promise<void>;
}

const DEFAULT_ACCOUNT = "default";
/** Milliseconds for which the same complaint is not repeated. */
const REPEAT_AFTER_MS = 60_000;

/** Serves a local port until it is stopped. */
export async function proxy(
  name: string | undefined,
  flags: ConnectFlags & ProxyFlags,
  context: CliContext,
): Promise<void> {
  if (flags.port !== undefined && flags.socket !== undefined) {
    throw new SatelliteError("InvalidOption", "--port and --socket both say where to listen; leave one out");
  }
  const at: LocalAddress = flags.socket === undefined ? { port: flags.port ?? 0 } : { socket: flags.socket };
  const opened = await openProxy(name, at, flags, context);
  const { url } = opened.local;
  const { satellite } = opened;
  context.err.write(`${url} is satellite ${satellite.namespace}/${satellite.name}, ${opened.description}\n`);
  context.out.write(`docker buildx create --name ${satellite.name} --driver remote ${url}\n`);
  try {
    await untilAborted(context.stop);
  } finally {
    await opened.close();
  }
}

/**
 * Opens a local port to a satellite. What is wrong already is said at once: no such satellite, no router, no token.
 *
 * @param say told what goes wrong later; it is written to standard error when absent
 * @throws SatelliteError, KubeError
 */
export async function openProxy(
  name: string | undefined,
  at: LocalAddress,
  given: ConnectFlags & RouterFlags,
  context: CliContext,
  say = speaker(context),
): Promise<OpenProxy> {
  checkFlags(given);
  const flags = withContextRouter(given, context);
  let opened: Connection | undefined;
  // With --router and a token from a file, or none, no API server is needed.
  const connection = (): Connection => (opened ??= connect(flags, context));
  const isWithoutCluster =
    flags.router !== undefined && flags.serviceAccount === undefined && name !== undefined;
  const satellite = isWithoutCluster
    ? { namespace: flags.namespace ?? namespaceOf(flags, connection), name }
    : chosenSatellite(name, connection(), context);
  let tokens: TokenSource | undefined;
  try {
    if (!isWithoutCluster) {
      await checkExists(satellite, connection());
    }
    const route = await findRoute(satellite, flags, connection, context);
    tokens = await tokensFor(satellite, route, flags, connection, context);
    await tokens?.get();
    const local = await LocalPort.listen(at, { satellite, route, tokens, context, say });
    const source = tokens;
    return {
      local,
      satellite,
      description: `through ${route.description}${source === undefined ? "" : `, as ${source.owner}`}`,
      async close() {
        source?.close();
        await local.close();
        await opened?.close();
      },
    };
  } catch (error) {
    tokens?.close();
    await opened?.close();
    throw error;
  }
}

/** That of the kubeconfig's context, where there is a kubeconfig. */
function namespaceOf({ kubeconfig, context }: ConnectFlags, connection: () => Connection): string {
  try {
    return connection().namespace;
  } catch (error) {
    if (kubeconfig !== undefined || context !== undefined) {
      throw error;
    }
    return "default";
  }
}

/** A right to read satellites is not needed to use one, so only a clear "not found" counts. */
async function checkExists(satellite: SatelliteKey, { client }: Connection): Promise<void> {
  try {
    await client.get(SATELLITES, satellite);
  } catch (error) {
    if (isNotFound(error)) {
      throw new SatelliteError(
        "SatelliteNotFound",
        `there is no satellite ${satellite.namespace}/${satellite.name}; see kubectl satellite ls -A, and name its ` +
          "namespace with -n",
        { cause: error },
      );
    }
  }
}

async function tokensFor(
  satellite: SatelliteKey,
  { needsToken, audience }: Route,
  { tokenFile, tokenFrom, serviceAccount }: RouterFlags,
  connection: () => Connection,
  context: CliContext,
): Promise<TokenSource | undefined> {
  if (!needsToken) {
    return undefined;
  }
  const from = tokenFile === undefined ? tokenFrom : `file:${tokenFile}`;
  if (from !== undefined) {
    return (await import("./proxy/outside-tokens.ts")).tokensFrom(from, audience, context);
  }
  const account = { namespace: satellite.namespace, name: serviceAccount ?? DEFAULT_ACCOUNT };
  return (await import("./proxy/account-tokens.ts")).accountTokens(account, audience, connection(), context);
}

/** Says each thing once a minute at most: clients try again and again. */
function speaker({ err, clock }: CliContext): (line: string) => void {
  const said = new Map<string, number>();
  return (line) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - (said.get(line) ?? -Infinity) > REPEAT_AFTER_MS) {
      said.clear();
      said.set(line, nowMs);
      err.write(`${line}\n`);
    }
  };
}
