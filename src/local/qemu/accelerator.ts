import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";

/** How QEMU runs the guest's instructions: by the CPU's own virtualization, or translated (TCG). */
export type Accelerator = "kvm" | "tcg";

/** What the choice depends on. */
export interface AcceleratorProbe {
  /** Text of /proc/cpuinfo. */
  readonly cpuInfo: string;
  /** Whether /dev/kvm can be opened for reading and writing. */
  readonly kvmAccessible: boolean;
  /** Boots a VM under KVM for a moment; true when the guest really ran. */
  readonly tryKvm: () => Promise<boolean>;
}

/**
 * Chooses KVM only when the CPU has virtualization, the device may be opened and a trial boot succeeds:
 * /dev/kvm can exist where the CPU has no virtualization, and a VM then hangs in its firmware.
 */
export async function chooseAccelerator(probe: AcceleratorProbe): Promise<Accelerator> {
  const flags = /^flags\s*:(.*)$/m.exec(probe.cpuInfo)?.[1]?.split(/\s+/) ?? [];
  const hasVirtualization = flags.includes("svm") || flags.includes("vmx");
  return hasVirtualization && probe.kvmAccessible && (await probe.tryKvm()) ? "kvm" : "tcg";
}

/** Probes this machine. */
export async function probeMachine(tryKvm: () => Promise<boolean>): Promise<AcceleratorProbe> {
  const kvmAccessible = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  return { cpuInfo: await readFile("/proc/cpuinfo", "utf8"), kvmAccessible, tryKvm };
}
