import { execFile } from "node:child_process";

import type { GuestImage } from "./image.ts";

/** A guest that really runs under KVM needs a second or two; one that hangs never ends. */
const TRIAL_TIMEOUT_MS = 15_000;

/**
 * Boots the image under KVM without any disk. Its init then finds no root and ends, the kernel panics, and
 * QEMU exits: so an exit proves that firmware, kernel and user space ran; a VM that hangs is killed.
 */
export function tryKvmBoot(qemu: string, image: GuestImage): Promise<boolean> {
  const args = [
    ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35", "-accel", "kvm"],
    ["-cpu", "host", "-m", "256", "-kernel", image.kernel, "-initrd", image.initramfs, "-append", "panic=-1"],
  ].flat();
  return new Promise((resolve) => {
    execFile(qemu, args, { timeout: TRIAL_TIMEOUT_MS, killSignal: "SIGKILL" }, (error) =>
      resolve(error === null),
    );
  });
}
