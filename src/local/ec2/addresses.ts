import { SatelliteError } from "../../base/errors.ts";
import { Ec2ApiError } from "./api-error.ts";
import type { Instance } from "./instance.ts";
import type { Network, Subnet } from "./network.ts";

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
 * Gives out the addresses of one subnet in a circle, so that the address of a terminated instance is used
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

/** The private addresses of a network's instances. */
export class Addresses {
  readonly #pools: ReadonlyMap<string, AddressPool>;

  /** @param instances that there are already, in the order of their launches */
  constructor(network: Network, instances: readonly Instance[]) {
    this.#pools = new Map(network.subnets.map((subnet) => [subnet.id, new AddressPool(subnet)]));
    for (const instance of instances) {
      this.#pools.get(instance.subnet)?.continueAfter(instance.privateAddress);
    }
  }

  /**
   * Takes an address that no instance has.
   *
   * @throws Ec2ApiError `InsufficientFreeAddressesInSubnet`, `InvalidSubnetID.NotFound`
   */
  take(subnet: string, instances: readonly Instance[]): string {
    const pool = this.#pools.get(subnet);
    if (pool === undefined) {
      throw new Ec2ApiError("InvalidSubnetID.NotFound", `The subnet ID '${subnet}' does not exist`);
    }
    const living = instances.filter(({ state }) => state !== "terminated");
    return pool.take(new Set(living.map(({ privateAddress }) => privateAddress)));
  }
}
