import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { Registry } from "@prometheus-io/client";
import { SatelliteError, toError } from "../base/errors.ts";
import { createKubeMetrics } from "../kube/metrics.ts";
import { isLoopback } from "../router/access.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import { parseAddress, type ProcessContext } from "./process-context.ts";

/** Options of `satellites run` about TLS to the router, and about who calls. */
export interface RunAccessOptions {
  /** "host:port" of a router. */
  readonly router: string;
  /** Namespace of the satellite, and of the service account. */
  readonly namespace: string;
  /** TLS; also with any of the next four. */
  readonly tls?: boolean;
  /** Authorities of the router's certificate (PEM); default: those of Node.js. */
  readonly ca?: string;
  /** Name that the router's certificate bears, where it is not the address's. */
  readonly serverName?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly tokenFile?: string;
  /** Service account whose token the API server is asked for. */
  readonly serviceAccount?: string;
  readonly tokenAudience: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Send a token without TLS to any address. */
  readonly insecureCleartext?: boolean;
}

/** How the router is connected to, and as whom. */
export interface RunAccess {
  readonly credentials: ChannelCredentials;
  readonly serverName: string | undefined;
  readonly token: string | undefined;
}

/**
 * Reads files and asks the API server for a token, as the options say.
 *
 * @throws SatelliteError `InvalidOption` when options contradict each other, a file cannot be read, or a token would
 *   travel in the clear; KubeError when the API server gives no token
 */
export async function openRunAccess(
  options: RunAccessOptions,
  context: Omit<ProcessContext, "faults">,
): Promise<RunAccess> {
  const { ca, serverName, clientCert, clientKey, tokenFile, serviceAccount } = options;
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw invalidOption("--client-cert and --client-key go together");
  }
  if (tokenFile !== undefined && serviceAccount !== undefined) {
    throw invalidOption("--token-file and --service-account both give a token; leave one out");
  }
  const isTls = [ca, serverName, clientCert].some((option) => option !== undefined) || options.tls === true;
  const { host } = parseAddress(options.router);
  const hasToken = tokenFile !== undefined || serviceAccount !== undefined;
  if (hasToken && !isTls && !isLoopback(host) && options.insecureCleartext !== true) {
    throw invalidOption(
      `a token would travel to ${host} in the clear; add --tls or --ca, or --insecure-cleartext where something ` +
        "else protects the way",
    );
  }
  return {
    credentials: isTls
      ? credentials.createSsl(
          read("--ca", ca),
          read("--client-key", clientKey),
          read("--client-cert", clientCert),
        )
      : credentials.createInsecure(),
    serverName,
    token:
      serviceAccount === undefined
        ? read("--token-file", tokenFile)?.toString().trim()
        : await requestToken(serviceAccount, options, context),
  };
}

function read(flag: string, file: string | undefined): Buffer | null {
  try {
    return file === undefined ? null : readFileSync(file);
  } catch (error) {
    throw invalidOption(`${flag} cannot be read: ${toError(error).message}`);
  }
}

async function requestToken(
  name: string,
  { namespace, tokenAudience, kubeconfig, context: kubeContext }: RunAccessOptions,
  context: Omit<ProcessContext, "faults">,
): Promise<string> {
  const client = connectKubernetes(
    {
      component: "satellites-run",
      metrics: createKubeMetrics(new Registry()),
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(kubeContext === undefined ? {} : { context: kubeContext }),
    },
    context,
  );
  try {
    return await client.requestToken({ namespace, name }, [tokenAudience], { signal: context.stop });
  } finally {
    await client.close();
  }
}

function invalidOption(message: string): SatelliteError {
  return new SatelliteError("InvalidOption", message);
}
