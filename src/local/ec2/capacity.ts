import { Ec2ApiError } from "./api-error.ts";
import { usesCapacity, type Instance } from "./instance.ts";

/** Limits on what may run: free hardware per zone and type, and the account's quota of vCPUs. */
export class Capacity {
  readonly #pools = new Map<string, number>();
  #vcpuQuota = Number.POSITIVE_INFINITY;

  /**
   * Sets how many instances of `type` may run in `zone`.
   *
   * @param instances a whole number, or undefined for no limit
   */
  setPool(zone: string, type: string, instances: number | undefined): void {
    if (instances === undefined) {
      this.#pools.delete(`${zone}/${type}`);
    } else {
      this.#pools.set(`${zone}/${type}`, instances);
    }
  }

  /** Sets how many vCPUs may run at once in all. */
  setVcpuQuota(vcpus: number): void {
    this.#vcpuQuota = vcpus;
  }

  /**
   * Checks that some more instances may run.
   *
   * @param instances all there are
   * @param wanted zone and type of each that is to run besides
   * @param vcpusOf vCPUs of a type
   * @throws Ec2ApiError `VcpuLimitExceeded` or `InsufficientInstanceCapacity`
   */
  check(
    instances: Iterable<Instance>,
    wanted: readonly { readonly zone: string; readonly type: string }[],
    vcpusOf: (type: string) => number,
  ): void {
    const inUse = new Map<string, number>();
    let vcpus = 0;
    const add = (zone: string, type: string): void => {
      inUse.set(`${zone}/${type}`, (inUse.get(`${zone}/${type}`) ?? 0) + 1);
      vcpus += vcpusOf(type);
    };
    for (const instance of instances) {
      if (usesCapacity(instance)) {
        add(instance.zone, instance.type);
      }
    }
    for (const { zone, type } of wanted) {
      add(zone, type);
      this.#refuseWithoutHardware(zone, type, inUse.get(`${zone}/${type}`) ?? 0);
    }
    if (vcpus > this.#vcpuQuota) {
      throw new Ec2ApiError(
        "VcpuLimitExceeded",
        `You have requested more vCPU capacity than your current vCPU limit of ${this.#vcpuQuota} allows ` +
          "for the instance bucket that the specified instance type belongs to. " +
          "Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
      );
    }
  }

  #refuseWithoutHardware(zone: string, type: string, needed: number): void {
    const pool = this.#pools.get(`${zone}/${type}`);
    if (pool !== undefined && needed > pool) {
      // EC2 answers this one with status 500.
      throw new Ec2ApiError(
        "InsufficientInstanceCapacity",
        `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}). ` +
          "Our system will be working on provisioning additional capacity.",
        500,
      );
    }
  }
}
