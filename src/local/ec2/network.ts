import { SatelliteError } from "../../base/errors.ts";
import { Ec2ApiError } from "./api-error.ts";

/** One zone with its one subnet. */
export interface Subnet {
  readonly id: string;
  readonly zone: string;
  /** e.g. `127.77.0.0/24`. */
  readonly cidr: string;
  /** Whether it has IPv6 alone; machines in it have no private IPv4 address. */
  readonly ipv6Native?: boolean;
}

/** The one VPC of the model. Its addresses are loopback ones, so that a VM on this machine can have one. */
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

/** EC2 keeps the first four addresses and the last one of a subnet (VPC user guide, "Subnet sizing"). */
const KEPT_AT_START = 4;
const KEPT_AT_END = 1;

function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

/**
 * Gives out the addresses of one subnet in a circle, so that the address of a terminated instance comes up
 * again as late as possible.
 */
export class AddressPool {
  readonly #subnet: Subnet;
  readonly #first: number;
  /** Addresses that the subnet can give out. */
  readonly size: number;
  #next = 0;

  /** @throws SatelliteError `InvalidSubnet` for a CIDR that is malformed or larger than EC2's /16 */
  constructor(subnet: Subnet) {
    const [, base = "", bits = ""] = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(subnet.cidr) ?? [];
    if (base === "" || Number(bits) < 16 || Number(bits) > 28) {
      throw new SatelliteError(
        "InvalidSubnet",
        `"${subnet.cidr}" is not a subnet; write an address and a length from /16 to /28, like 127.77.0.0/24`,
      );
    }
    this.#subnet = subnet;
    this.#first = toNumber(base) + KEPT_AT_START;
    this.size = 2 ** (32 - Number(bits)) - KEPT_AT_START - KEPT_AT_END;
  }

  /**
   * Takes the next free address.
   *
   * @param used addresses of instances that are not terminated
   * @throws Ec2ApiError `InsufficientFreeAddressesInSubnet`
   */
  take(used: ReadonlySet<string>): string {
    for (let tried = 0; tried < this.size; tried++) {
      const address = toAddress(this.#first + this.#next);
      this.#next = (this.#next + 1) % this.size;
      if (!used.has(address)) {
        return address;
      }
    }
    throw new Ec2ApiError(
      "InsufficientFreeAddressesInSubnet",
      `The specified subnet ${this.#subnet.id} does not have enough free addresses to satisfy the request.`,
    );
  }

  /** Goes on after `address`, for a pool that was restored. */
  continueAfter(address: string): void {
    this.#next = (toNumber(address) - this.#first + 1) % this.size;
  }
}
