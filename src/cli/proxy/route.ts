import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, TLSSocket } from "node:tls";
import { SatelliteError, toError } from "../../base/errors.ts";
import { isLoopback } from "../../base/loopback.ts";
import { forwardPort } from "../../kube/port-forward.ts";
import type { Connection } from "../connect.ts";
import type { CliContext } from "../context.ts";
import { withoutNodeHint } from "../error-line.ts";
import { parseHostPort } from "../host-port.ts";
import type { SatelliteKey } from "../follow.ts";
import type { RouterFlags } from "../router-flags.ts";
import { findRouterPods, findRouterService, type RouterSettings } from "./router-pods.ts";

/** A way to a router. */
export interface Route {
  /** Where it leads, for people. */
  readonly description: string;
  readonly needsToken: boolean;
  /** For whom a token has to be. */
  readonly audience: string;
  /**
   * Connects anew, to a router that is there now.
   *
   * @throws SatelliteError that says what to do; `RouterUntrusted` where its certificate is none that is taken here, so that
   * another try comes to the same
   */
  dial(signal: AbortSignal): Promise<Duplex>;
}

/** How TLS to a router is made. */
interface TlsPlan {
  readonly serverName: string;
  readonly ca: Buffer | undefined;
  /** False where something else vouches for the router. */
  readonly isVerified: boolean;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

const DEFAULT_AUDIENCE = "satellites.dev";
/** Shows within a minute that a router is gone, as after a sleep of this machine, when no FIN told of it. */
const TCP_KEEPALIVE_MS = 30_000;
/** HTTP/2, which a gRPC server wants to be offered. */
const ALPN = ["h2"];

/**
 * Finds the way to a router: the one that --router names, or one that the cluster runs.
 *
 * @throws SatelliteError `InvalidOption`, `NoRouter`; KubeError
 */
export async function findRoute(
  satellite: SatelliteKey,
  flags: RouterFlags,
  connection: () => Connection,
  context: CliContext,
): Promise<Route> {
  return flags.router === undefined
    ? await discoveredRoute(satellite, flags, connection(), context)
    : namedRoute(flags.router, flags);
}

/** @throws SatelliteError `InvalidOption` when flags contradict each other */
export function checkFlags({
  clientCert,
  clientKey,
  tokenFile,
  tokenFrom,
  serviceAccount,
}: RouterFlags): void {
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw invalidOption("--client-cert and --client-key go together");
  }
  if ([tokenFile, tokenFrom, serviceAccount].filter((flag) => flag !== undefined).length > 1) {
    throw invalidOption(
      "--token-file, --token-from and --service-account each give a token; leave one of them",
    );
  }
}

function namedRoute(address: string, flags: RouterFlags): Route {
  const { host, port } = parseHostPort(address);
  const isTls =
    flags.tls === true || [flags.ca, flags.serverName, flags.clientCert].some((flag) => flag !== undefined);
  const needsToken = [flags.serviceAccount, flags.tokenFile, flags.tokenFrom].some(
    (flag) => flag !== undefined,
  );
  if (needsToken && !isTls && !isLoopback(host) && flags.insecureCleartext !== true) {
    throw invalidOption(
      `a token would travel to ${host} in the clear; add --tls or --ca, or --insecure-cleartext where something else ` +
        "protects the way",
    );
  }
  const tls = isTls ? tlsPlan(flags, host, true) : undefined;
  return {
    description: `router ${address}${isTls ? " over TLS" : ""}`,
    needsToken,
    audience: flags.tokenAudience ?? DEFAULT_AUDIENCE,
    dial: async (signal) => secure(await dialTcp(host, port, signal), tls, address, signal),
  };
}

async function discoveredRoute(
  satellite: SatelliteKey,
  flags: RouterFlags,
  connection: Connection,
  context: CliContext,
): Promise<Route> {
  const pods = (): ReturnType<typeof findRouterPods> =>
    findRouterPods(connection, satellite.namespace, flags.routerNamespace);
  const [first] = await pods();
  if (first === undefined) {
    throw new Error("findRouterPods returned none and did not complain");
  }
  const { settings } = first;
  const isInPod = context.environment["KUBERNETES_SERVICE_HOST"] !== undefined;
  const isByService = flags.via === "service" || (flags.via === "auto" && isInPod && !settings.isAnonymous);
  const common = {
    needsToken: !settings.isAnonymous && flags.clientCert === undefined,
    audience: flags.tokenAudience ?? settings.audience,
  };
  const named =
    settings.domain === undefined ? undefined : `${satellite.name}.${satellite.namespace}.${settings.domain}`;
  if (isByService) {
    const { host, port } = await findRouterService(connection, first.namespace);
    const tls = settings.isTls
      ? tlsPlan({ ...flags, serverName: flags.serverName ?? named }, host, true)
      : undefined;
    if (common.needsToken && tls === undefined && flags.insecureCleartext !== true) {
      throw invalidOption(
        `a token would travel to ${host} in the clear; use --via port-forward, or --insecure-cleartext where something ` +
          "else protects the way",
      );
    }
    return {
      ...common,
      description: `Service ${host}:${port}${tls === undefined ? "" : " over TLS"}`,
      dial: async (signal) => secure(await dialTcp(host, port, signal), tls, host, signal),
    };
  }
  return {
    ...common,
    description: `pod ${first.namespace}/${first.name} by port-forward`,
    async dial(signal) {
      // Looked up each time: a rollout replaces pods.
      const candidates = await pods();
      const ready = candidates.filter(({ isReady }) => isReady);
      const choice = (ready.length > 0 ? ready : candidates)[
        Math.floor(context.random() * Math.max(1, ready.length > 0 ? ready.length : candidates.length))
      ];
      const pod = choice ?? first;
      const stream = await forwardPort(connection.transport, pod, pod.settings.port, signal);
      return await secure(stream, forwardedTls(pod.settings, flags, named), pod.name, signal);
    },
  };
}

/**
 * TLS within a port-forward. The API server, which is trusted and connected to by TLS, has brought us to the very pod that we
 * named, so its certificate has to prove nothing more unless --ca asks for it.
 */
function forwardedTls(
  settings: RouterSettings,
  flags: RouterFlags,
  named: string | undefined,
): TlsPlan | undefined {
  return settings.isTls
    ? tlsPlan({ ...flags, serverName: flags.serverName ?? named }, "localhost", flags.ca !== undefined)
    : undefined;
}

function tlsPlan(
  flags: Omit<RouterFlags, "serverName"> & { readonly serverName?: string | undefined },
  host: string,
  isVerified: boolean,
): TlsPlan {
  return {
    serverName: flags.serverName ?? host,
    ca: read("--ca", flags.ca),
    isVerified,
    cert: read("--client-cert", flags.clientCert),
    key: read("--client-key", flags.clientKey),
  };
}

function read(flag: string, file: string | undefined): Buffer | undefined {
  try {
    return file === undefined ? undefined : readFileSync(file);
  } catch (error) {
    throw invalidOption(`${flag} cannot be read: ${toError(error).message}`);
  }
}

async function dialTcp(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const socket = connectTcp({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    allowHalfOpen: true,
  });
  return await established(
    socket,
    "connect",
    signal,
    (why) => `no router answers at ${host}:${port}: ${why}`,
  );
}

/** TLS over a connection, where a plan asks for it. */
async function secure(
  stream: Duplex,
  plan: TlsPlan | undefined,
  where: string,
  signal: AbortSignal,
): Promise<Duplex> {
  if (plan === undefined) {
    return stream;
  }
  const { serverName, ca, isVerified, cert, key } = plan;
  const socket: TLSSocket = connectTls({
    socket: stream,
    // A server name is a name (RFC 6066 section 3).
    ...(isIP(serverName) === 0 ? { servername: serverName } : { host: serverName }),
    ALPNProtocols: ALPN,
    rejectUnauthorized: isVerified,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  return await established(
    socket,
    "secureConnect",
    signal,
    (why) =>
      `no TLS with the router at ${where} as ${serverName}: ${withoutNodeHint(why)}; --ca names its authorities, ` +
      "--server-name the name in its certificate",
  );
}

async function established<S extends Duplex>(
  socket: S,
  event: "connect" | "secureConnect",
  signal: AbortSignal,
  explain: (why: string) => string,
): Promise<S> {
  await new Promise<void>((resolve, reject) => {
    const settle = (end: () => void): void => {
      socket.off(event, onEstablished);
      socket.off("error", onError);
      socket.off("close", onClose);
      signal.removeEventListener("abort", onAbort);
      end();
    };
    const fail = (why: string, cause?: unknown): void =>
      settle(() => {
        socket.on("error", () => {});
        socket.destroy();
        // Node.js says so where it is the certificate that it does not take.
        const isUntrusted = socket instanceof TLSSocket && Boolean(socket.authorizationError);
        const code = isUntrusted ? "RouterUntrusted" : "RouterUnreachable";
        reject(new SatelliteError(code, explain(why), { cause }));
      });
    const onEstablished = (): void => settle(resolve);
    const onError = (error: Error): void =>
      fail(error.message === "" ? String(Reflect.get(error, "code")) : error.message, error);
    const onClose = (): void => fail("the connection was closed");
    const onAbort = (): void => fail("it took too long");
    socket.once(event, onEstablished);
    socket.once("error", onError);
    socket.once("close", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
  });
  return socket;
}

function invalidOption(message: string): SatelliteError {
  return new SatelliteError("InvalidOption", message);
}
