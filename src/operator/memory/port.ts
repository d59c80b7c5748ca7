import type { BuildkitFacts } from "../buildkit-facts.ts";

/** Why a VM does not count as ready although it answers. */
export interface ProbeTrouble {
  readonly reason: "OtherVM" | "TLSNotServed";
  /** What to do. */
  readonly message: string;
}

/** Which VM a look at a port has found. */
export interface Meeting {
  /** Whether it answered and, where VMs have keys, is not another one. */
  readonly ready: boolean;
  /** The key that was learned, and whose: before and after the look the cloud named that machine for the address. */
  readonly key?: { readonly machine: string; readonly host: string; readonly fingerprint: string };
  readonly trouble?: ProbeTrouble;
}

/** What a look at the port of the machine in use showed. */
export interface Probe extends Meeting {
  readonly epoch: number;
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** The guest's boot ID; absent where the guest has no agent. */
  readonly bootID?: string;
  /** Work that the guest says is running; 0 where the guest has no agent. */
  readonly runningWork: number;
  readonly buildkit?: BuildkitFacts;
}

/** What looks at ports have shown; times are monotonic milliseconds. */
export interface PortMemory {
  probe?: Probe;
  /** What a look at the port of a machine that is to replace another one showed. */
  replacementProbe?: Meeting & { readonly machine: string; readonly atMs: number };
  /** Since when the port has been silent in an epoch. */
  silence?: {
    readonly epoch: number;
    readonly sinceMs: number;
    /** That it is counted from a reboot on, which was to end it. */
    readonly isAfterReboot?: true;
  };
  /** How many looks at silent ports came between two at this one, as of the last look (silent-ports.ts). */
  silentPorts?: number;
  /** When BuildKit was asked last how large its cache is. */
  measurement?: { readonly epoch: number; readonly atMs: number };
  /** Since when the guest alone (no router) has kept the satellite awake. */
  guestBusySinceMs?: number;
}

interface Holder {
  readonly port: PortMemory;
}

/** Takes note of a look at the machine in use. One with a wrong key is not silent: a reboot would not change its key. */
export function noteProbe({ port }: Holder, probe: Probe): void {
  const { epoch, atMs, ready, trouble, runningWork } = probe;
  port.probe = probe;
  if (ready || trouble !== undefined) {
    delete port.silence;
  } else if (port.silence?.epoch !== epoch) {
    port.silence = { epoch, sinceMs: atMs };
  }
  if (runningWork === 0) {
    delete port.guestBusySinceMs;
  } else {
    port.guestBusySinceMs ??= atMs;
  }
}

/** BuildKit is asked how large its cache is. */
export function noteMeasurement({ port }: Holder, epoch: number, atMs: number): void {
  port.measurement = { epoch, atMs };
}

/** The same of the machine that is to replace it. */
export function noteReplacementProbe(
  { port }: Holder,
  probe: NonNullable<PortMemory["replacementProbe"]>,
): void {
  port.replacementProbe = probe;
}

/** The machine was rebooted for its silence, which is counted from now on. */
export function noteReboot({ port }: Holder, epoch: number, atMs: number): void {
  port.silence = { epoch, sinceMs: atMs, isAfterReboot: true };
}

export function noteSilentPorts({ port }: Holder, count: number): void {
  port.silentPorts = count;
}
