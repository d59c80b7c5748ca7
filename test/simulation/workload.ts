import type { World, WorldOptions } from "./world.ts";

/** A story without faults: what people, clients and the guest do. */
export interface Workload {
  readonly name: string;
  readonly routers: number;
  /** Plans are derived from it even where few are wanted. */
  readonly isSmall: boolean;
  /** Plans are derived from every nth side effect and notification; 0: from none. Default 1. */
  readonly every?: number;
  /** Calls of one action that the passing of time alone brings about. Default 0. */
  readonly callsPerMinute?: number;
  /** What its world is made of, beside the plan. */
  readonly world?: Omit<WorldOptions, "routers" | "logs">;
  readonly tell: (world: World) => Promise<void>;
  /** What is wrong with the end, beside what is wrong with any end. */
  readonly judge?: (world: World) => readonly string[];
}

/** The satellite that most stories are about. */
export const KEY = "default/ada";
export const PATH = "namespaces/default/satellites/ada";

/** A step waits for its outcome no longer than this: then the story goes on, and the end is judged. */
export const PATIENCE_MS = 15 * 60_000;

export const isRunning =
  (world: World, key = KEY) =>
  (): boolean =>
    world.satellite(key)?.status.power.state === "Running";

export const isAsleep =
  (world: World, key = KEY) =>
  (): boolean => {
    const satellite = world.satellite(key);
    return satellite?.spec.desiredPower === "off" && satellite.status.power.state === "Off";
  };

export const isGone =
  (world: World, key = KEY) =>
  (): boolean =>
    world.satellite(key) === undefined;
