import type { Machine } from "../../machines/cloud.ts";

/** What came of the launch that is planned. */
export interface LaunchMemory {
  machine?: Machine;
  /** Token of the intent that `machine` was launched by. */
  token?: string;
  /** How many type and zone combinations the last plan could choose from. */
  combinations?: number;
}

interface Holder {
  readonly launch: LaunchMemory;
}

/** Takes note of a plan; what came of the one before is forgotten. */
export function notePlanned({ launch }: Holder, combinations: number): void {
  launch.combinations = combinations;
  delete launch.machine;
}

/** Takes note of the machine that was launched, or found, by the token of an intent. */
export function noteLaunched({ launch }: Holder, machine: Machine, token: string): void {
  launch.machine = machine;
  launch.token = token;
}
