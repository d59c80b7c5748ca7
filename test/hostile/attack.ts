import type { Child } from "./child.ts";
import type { EvilVm } from "./evil-vm.ts";

/** What is attacked. */
export interface Target {
  readonly router: Child;
  readonly vm: Child;
  readonly evilVm: EvilVm;
  /** Seeded: the same attack again sends the same bytes. */
  readonly random: () => number;
  /** Share of the full number of inputs to send, 0 to 1. */
  readonly scale: number;
}

/** What came of an attack. */
export interface Outcome {
  /** Frames, requests or connections that were sent. */
  readonly inputs: number;
  /** One figure that says how the router took it. */
  readonly figure: string;
  /** What should not be; none when all is well. */
  readonly problems: readonly string[];
}

/** One kind of hostile peer. */
export interface Attack {
  readonly name: string;
  run(target: Target): Promise<Outcome>;
}

/** A number of inputs, scaled down where a small slice is wanted. */
export function scaled({ scale }: Target, full: number): number {
  return Math.max(1, Math.round(full * scale));
}

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Resolves after `ms`: for peers whose slowness is the attack, and for deadlines. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
