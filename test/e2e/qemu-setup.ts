import { homedir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../../src/base/clock.ts";
import type { InstanceSpec } from "../../src/local/ec2/hypervisor.ts";
import { QemuHypervisor } from "../../src/local/qemu/hypervisor.ts";
import { ensureGuestImage, type GuestImage } from "../../src/local/qemu/image.ts";
import { ensurePrerequisites } from "../../src/local/qemu/prerequisites.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

/** The image as the product builds it; fails with what to install when QEMU is not here. */
export async function testImage(): Promise<GuestImage> {
  return ensureGuestImage({
    cacheDirectory: process.env["SATELLITES_CACHE"] ?? join(homedir(), ".cache/satellites"),
    tools: await findTools(),
    nodePath: process.execPath,
    progress: () => {},
  });
}

function findTools(): ReturnType<typeof ensurePrerequisites> {
  return ensurePrerequisites({
    path: process.env["PATH"] ?? "",
    mayInstall: false,
    isRoot: false,
    progress: () => {},
  });
}

/** Opens a hypervisor over `stateDirectory`. */
export async function openHypervisor(stateDirectory: string): Promise<QemuHypervisor> {
  return QemuHypervisor.open({
    stateDirectory,
    images: [{ id: "ami-test", name: "test", files: await testImage() }],
    tools: await findTools(),
    nodePath: process.execPath,
    clock: systemClock,
    logger: silentLogger,
  });
}

/** A small instance at a loopback address of its own. */
export function instanceSpec(id: string, privateAddress: string): InstanceSpec {
  return {
    id,
    privateAddress,
    image: "ami-test",
    vcpus: 1,
    memoryMiB: 768,
    rootVolumeGiB: 4,
    userData: "#cloud-config\n",
    metadata: {
      instanceType: "t3.small",
      zone: "us-east-1a",
      region: "us-east-1",
      hostname: "guest",
      tags: { Name: "guest" },
    },
  };
}
