import type { Accelerator } from "./accelerator.ts";

/**
 * What a memory image depends on: QEMU resumes one only into a machine built the same way. Kept beside the
 * image and compared before a resume.
 */
export interface MachineShape {
  readonly machine: string;
  readonly accelerator: Accelerator;
  readonly qemuVersion: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** ID of its data volume, or "none": its guest's memory knows what was mounted. */
  readonly dataVolume: string;
}
