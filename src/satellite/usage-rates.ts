import type { Satellite, SatelliteClass } from "./types.ts";

/** The states of a satellite that cost differently. */
export type UsageState = "awake" | "asleep";

/** What a second in the present state costs and saves; without a currency where the class has no prices. */
export interface UsageRates {
  readonly currency: string | undefined;
  readonly machine: number;
  readonly storage: number;
  readonly saved: number;
  /** Whether the machine runs and its class has no price for it. */
  readonly isUnpriced: boolean;
}

const SECONDS_PER_HOUR = 3_600;
/** A month as clouds bill it (AWS Pricing Calculator). */
const HOURS_PER_MONTH = 730;

/**
 * What is billed: a machine from its accepted start until it is off, the time in which it hibernates included (EC2 user
 * guide, "Instance lifecycle"); volumes as long as there is a machine. Undefined: nothing.
 */
export function usageState({ status: { power, machine } }: Satellite): UsageState | undefined {
  if (machine?.id === undefined) {
    return undefined;
  }
  const isOff = power.state === "Off" || (power.state === "Starting" && !power.accepted);
  return isOff ? "asleep" : "awake";
}

/**
 * The rates of one satellite by the prices of its class.
 *
 * @param diskGiB size of the machine's own disk
 */
export function usageRates(
  state: UsageState,
  { status: { machine, launch, volume } }: Satellite,
  satelliteClass: SatelliteClass | undefined,
  diskGiB: number,
): UsageRates {
  const prices = satelliteClass?.spec.prices;
  const perHour = prices?.perHour?.[machine?.type ?? launch?.type ?? ""];
  const perSecond = Number(perHour ?? 0) / SECONDS_PER_HOUR;
  const sizeGiB = diskGiB + (volume?.id === undefined ? 0 : (volume.sizeGiB ?? 0));
  return {
    currency: prices?.currency,
    machine: state === "awake" ? perSecond : 0,
    storage: (sizeGiB * Number(prices?.perGiBMonth ?? 0)) / (HOURS_PER_MONTH * SECONDS_PER_HOUR),
    saved: state === "asleep" ? perSecond : 0,
    isUnpriced: state === "awake" && prices !== undefined && perHour === undefined,
  };
}
