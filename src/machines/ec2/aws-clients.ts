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
   * URL of the SSM endpoint. The default is `endpoint`, since a stand-in for EC2 serves both; a private EC2 endpoint of AWS
   * does not, so there it must be given.
   */
  readonly ssmEndpoint?: string;
  /** Default: the SDK's chain (environment, web identity, container, instance). */
  readonly credentials?: AwsCredentials;
  /** Role that is assumed with these credentials; none when absent. */
  readonly roleARN?: string;
  /** Which proxy EC2, SSM and STS are reached through. Default: none. */
  readonly proxyFor?: ProxyRule;
  /** Used in place of the network. */
  readonly transport?: Transport;
}

/**
 * SDK clients, one for each class of action. Each has connections of its own, so that an action that is slow or throttled
 * does not hold up the others.
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
  /** Fetches credentials again, without any cache; rejects when there are none. */
  refreshCredentials(): Promise<void>;
  /** Closes all connections. */
  destroy(): void;
}

const CONNECTION_TIMEOUT_MS = 3_000;

/** The SDK must not repeat calls: `Ec2Calls` does that, by the injected clock and within the limits. */
const ONE_ATTEMPT = { maxAttempts: 1, retryMode: "standard", defaultsMode: "standard" } as const;

/** Settings that the SDK would otherwise read from files, which takes real time and so cannot be simulated. */
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
  // All clients share the credentials that one of them remembers, so they are fetched once, and again when they are refused.
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
