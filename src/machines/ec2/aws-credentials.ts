import type { EC2ClientConfig } from "@aws-sdk/client-ec2";
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";

/** Credentials, or a function of the SDK's form that fetches them; it is told `forceRefresh` when they were refused. */
export type AwsCredentials = NonNullable<EC2ClientConfig["credentials"]>;

type Provider = Extract<AwsCredentials, (...properties: never[]) => unknown>;

/** As whom AWS is called. */
export interface AwsCredentialOptions {
  readonly region: string;
  /** Default: the SDK's chain (environment, shared files, web identity, container, instance). */
  readonly credentials?: AwsCredentials;
  /** Role that is assumed with these credentials; none when absent. */
  readonly roleARN?: string;
}

const SESSION = "satellites-operator";

/**
 * The credentials themselves, or those of the role that they may assume (STS AssumeRole). With `forceRefresh` nothing is
 * taken from memory: shared files and the web identity's token are read again, and STS and the agents are asked again.
 */
export function awsCredentials({ credentials, roleARN, region }: AwsCredentialOptions): AwsCredentials {
  // Without `ignoreCache` the SDK reads each shared file once in a process's life.
  const own = credentials ?? fromNodeProviderChain({ ignoreCache: true });
  return roleARN === undefined ? own : ofRole(roleARN, own, region);
}

function ofRole(roleARN: string, own: AwsCredentials, region: string): Provider {
  const assume = (): Provider =>
    fromTemporaryCredentials({
      params: { RoleArn: roleARN, RoleSessionName: SESSION },
      clientConfig: { region },
      masterCredentials: own,
    });
  let current = assume();
  return async (properties = {}) => {
    if (properties["forceRefresh"] === true) {
      // It may be our own credentials that are refused, and the client that assumes the role remembers those, too.
      if (typeof own === "function") {
        await own(properties);
      }
      current = assume();
    }
    return await current(properties);
  };
}
