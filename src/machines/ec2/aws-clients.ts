import { EC2Client } from "@aws-sdk/client-ec2";
import { SSMClient } from "@aws-sdk/client-ssm";
import { noProxy, type ProxyRule } from "../../base/proxy.ts";
import { awsCredentials, type AwsCredentials } from "./aws-credentials.ts";
import { ProxyingHandler } from "./proxying-handler.ts";
import { transportHandler, type Transport } from "./transport.ts";

/** Where and as whom EC2 is called. */
export interface AwsClientOptions {
  readonly region: string;
  /** URL of the EC2 endpoint; default AWS's own of the region. */
  readonly endpoint?: string;
  /**
   * URL of the SSM endpoint; default `endpoint`, since a stand-in serves both. Beside a private EC2 endpoint of
   * AWS it must be given, as that one knows nothing of SSM.
   */
  readonly ssmEndpoint?: string;
  /** Default: the SDK's chain (environment, web identity, container, instance). */
  readonly credentials?: AwsCredentials;
  /** Role that is assumed with these credentials; none when absent. */
  readonly roleARN?: string;
  /** Which proxy EC2, SSM and STS are reached through. Default: none. */
  readonly proxyFor?: ProxyRule;
  /** Takes the place of the network. */
  readonly transport?: Transport;
}

/**
 * SDK clients, one per class of action, each with connections of its own, so that an action that is slow or
 * throttled does not hold up the others.
 */
export interface AwsClients {
  /** RunInstances and StartInstances. */
  readonly wake: EC2Client;
  /** StopInstances. */
  readonly sleep: EC2Client;
  /** All other changes. */
  readonly housekeeping: EC2Client;
  readonly read: EC2Client;
  readonly ssm: SSMClient;
  /** Asks for credentials anew, whatever is remembered of them; rejects when there are none. */
  refreshCredentials(): Promise<void>;
  /** Closes all connections. */
  destroy(): void;
}

const CONNECTION_TIMEOUT_MS = 3_000;

/** The SDK must not try again by itself: `Ec2Calls` does, by the injected clock and within the limits. */
const ONE_ATTEMPT = { maxAttempts: 1, retryMode: "standard", defaultsMode: "standard" } as const;

/** Settings that the SDK would otherwise read from files, which a simulation cannot wait for. */
const NO_FILES = {
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  userAgentAppId: "satellites",
  authSchemePreference: [] as string[],
};

/** Creates the clients; nothing is connected yet. */
export function createAwsClients(options: AwsClientOptions): AwsClients {
  const config = (endpoint: string | undefined, credentials: AwsCredentials) => ({
    ...ONE_ATTEMPT,
    region: options.region,
    ...(endpoint === undefined ? {} : { endpoint }),
    credentials,
    ...(options.transport === undefined ? {} : NO_FILES),
    requestHandler:
      options.transport === undefined
        ? new ProxyingHandler(options.proxyFor ?? noProxy, CONNECTION_TIMEOUT_MS)
        : transportHandler(options.transport),
  });
  const ec2 = (credentials: AwsCredentials): EC2Client =>
    new EC2Client(config(options.endpoint, credentials));
  const wake = ec2(awsCredentials(options));
  // What one client remembers serves all of them: they are asked for once, and once again when they are refused.
  const { credentials } = wake.config;
  const ssm = new SSMClient(config(options.ssmEndpoint ?? options.endpoint, credentials));
  const clients = {
    wake,
    sleep: ec2(credentials),
    housekeeping: ec2(credentials),
    read: ec2(credentials),
    ssm,
  };
  return {
    ...clients,
    refreshCredentials: async () => {
      await credentials({ forceRefresh: true });
    },
    destroy: () => {
      for (const client of Object.values(clients)) {
        client.destroy();
      }
    },
  };
}
