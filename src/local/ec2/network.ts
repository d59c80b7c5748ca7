/** One zone with its one subnet. */
export interface Subnet {
  readonly id: string;
  readonly zone: string;
  /** e.g. `127.77.0.0/24`. */
  readonly cidr: string;
  /** Whether it has IPv6 alone; machines in it have no private IPv4 address. */
  readonly ipv6Native?: boolean;
}

/** The one VPC of the model. Its addresses are loopback ones, so that VMs on this machine can use them. */
export interface Network {
  readonly vpcId: string;
  readonly subnets: readonly Subnet[];
  readonly securityGroup: { readonly id: string; readonly name: string };
  /** Tags of the subnets and of the security group, for look-ups by tag. */
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * Two zones of `region`, one subnet each.
 *
 * @param cidrs the subnets; larger ones than the default for more than 500 instances
 */
export function defaultNetwork(
  region: string,
  cidrs: readonly [string, string] = ["127.77.0.0/24", "127.77.1.0/24"],
): Network {
  return {
    vpcId: "vpc-0077000000000000a",
    subnets: [
      { id: "subnet-0077000000000000a", zone: `${region}a`, cidr: cidrs[0] },
      { id: "subnet-0077000000000000b", zone: `${region}b`, cidr: cidrs[1] },
    ],
    securityGroup: { id: "sg-0077000000000000a", name: "satellites" },
    tags: { "satellites.dev/network": "local" },
  };
}
