import type { InstanceSpec } from "./hypervisor.ts";
import type { Instance } from "./instance.ts";
import type { GuestSize } from "./instance-types.ts";

/** What a hypervisor must know to run an instance. @param size what the guest really gets */
export function instanceSpec(instance: Instance, size: GuestSize, region: string): InstanceSpec {
  return {
    id: instance.id,
    privateAddress: instance.privateAddress,
    image: instance.image,
    vcpus: size.vcpus,
    memoryMiB: size.memoryMiB,
    rootVolumeGiB: instance.volume.sizeGiB,
    userData: Buffer.from(instance.userData, "base64").toString("utf8"),
    metadata: {
      instanceType: instance.type,
      zone: instance.zone,
      region,
      hostname: `ip-${instance.privateAddress.replaceAll(".", "-")}.${region}.compute.internal`,
      // A launch that wants tags in the metadata is refused: they would cost each guest a request.
      tags: {},
    },
  };
}
