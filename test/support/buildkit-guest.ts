import type { BuildkitGuest } from "../../src/machines/buildkit/guest.ts";

/** The guest of a class that says nothing: the CRD's defaults. */
export const PLAIN_GUEST: BuildkitGuest = {
  port: 8372,
  tls: "Required",
  cpuPercent: 95,
  memoryPercent: 90,
  swapPercent: 0,
  maxProcesses: 8192,
  diskReservePercent: 15,
};
