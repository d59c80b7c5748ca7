import type { Machine } from "../../machines/cloud.ts";

/** The result of the planned launch. */
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

/** Takes note of a plan, and forgets the result of the one before. */
export function notePlanned({ launch }: Holder, combinations: number): void {
  launch.combinations = combinations;
  delete launch.machine;
}

/** Takes note of the machine that was launched, or found, by the token of an intent. */
export function noteLaunched({ launch }: Holder, machine: Machine, token: string): void {
  launch.machine = machine;
  launch.token = token;
}
