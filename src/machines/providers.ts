import type { CloudProvider } from "./cloud-provider.ts";
import { ec2Provider } from "./ec2/provider.ts";

/** What the operator's flags say about clouds. */
export interface CloudFlags {
  /** URL of the EC2 (and SSM) endpoint; AWS's own when absent. */
  readonly ec2Endpoint?: string;
}

/** The clouds that a class may name. A further one is added here. */
export function cloudProviders({ ec2Endpoint }: CloudFlags): readonly CloudProvider[] {
  return [ec2Provider(ec2Endpoint)];
}
