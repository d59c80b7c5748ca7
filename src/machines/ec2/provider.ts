import type { CloudProvider } from "../cloud-provider.ts";
import { BLOCK, readPlace } from "./class-spec.ts";
import { createEc2Cloud } from "./ec2-cloud.ts";

/**
 * EC2, by region and role.
 *
 * @param endpoint URL of the EC2 (and SSM) endpoint instead of AWS's own
 */
export function ec2Provider(endpoint: string | undefined): CloudProvider {
  return {
    block: BLOCK,
    placeOf(classSpec) {
      const { region, roleARN = "" } = readPlace(classSpec);
      return `${region} ${roleARN}`;
    },
    connect: (classSpec, options) =>
      createEc2Cloud({
        ...readPlace(classSpec),
        ...(endpoint === undefined ? {} : { endpoint }),
        ...options,
      }),
  };
}
