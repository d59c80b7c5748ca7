import type { EC2ClientConfig } from "@aws-sdk/client-ec2";
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";

/** Credentials, or a function as the SDK expects it that fetches them; `forceRefresh` tells it that they were refused. */
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
 * The credentials, or those of the role that is assumed with them (STS AssumeRole). With `forceRefresh` no cache is used:
 * shared files and the token of the web identity are read again, and STS and the agents are asked again.
 */
export function awsCredentials({ credentials, roleARN, region }: AwsCredentialOptions): AwsCredentials {
  // Without `ignoreCache` the SDK reads each shared file only once in the life of the process.
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
      // The refused credentials may be our own, which the client that assumes the role remembers too.
      if (typeof own === "function") {
        await own(properties);
      }
      current = assume();
    }
    return await current(properties);
  };
}
