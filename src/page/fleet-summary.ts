import type { Phase } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { usageRates, usageState } from "../satellite/usage-rates.ts";
import { usageSeconds } from "../satellite/usage-seconds.ts";

/** Money in one currency. */
export interface Money {
  readonly currency: string;
  /** What the machines and disks of now cost in an hour. */
  readonly perHour: number;
  /** What they would cost if none slept. */
  readonly perHourAwake: number;
  /** What the hours asleep would have cost, since the satellites were made, at today's price of today's type. */
  readonly saved: number;
}

/** A fleet at a glance. */
export interface FleetSummary {
  readonly total: number;
  readonly byPhase: ReadonlyMap<Phase, number>;
  /** Machines that run and are billed, and those that are stopped or hibernated. */
  readonly awake: number;
  readonly asleep: number;
  /** Hours since the satellites were made. */
  readonly awakeHours: number;
  readonly asleepHours: number;
  readonly wakes: number;
  /** By currency; none where no class has prices. */
  readonly money: readonly Money[];
}

const SECONDS_PER_HOUR = 3_600;

/** Sums up. @param classOf a class by its name */
export function fleetSummary(
  satellites: readonly Satellite[],
  classOf: (name: string) => SatelliteClass | undefined,
  now: Date,
): FleetSummary {
  const byPhase = new Map<Phase, number>();
  const money = new Map<string, Money>();
  let [awake, asleep, awakeSeconds, asleepSeconds, wakes] = [0, 0, 0, 0, 0];
  for (const satellite of satellites) {
    const { spec, status } = satellite;
    const phase = status.phase ?? "Pending";
    byPhase.set(phase, (byPhase.get(phase) ?? 0) + 1);
    const spent = usageSeconds(satellite, now);
    awakeSeconds += spent.awake;
    asleepSeconds += spent.asleep;
    wakes += status.usage?.wakes ?? 0;
    const state = status.power === undefined ? undefined : usageState(satellite);
    if (state === undefined) {
      continue;
    }
    awake += state === "awake" ? 1 : 0;
    asleep += state === "asleep" ? 1 : 0;
    const satelliteClass = classOf(spec.className);
    const rates = usageRates(state, satellite, satelliteClass, satelliteClass?.status?.diskGiB ?? 0);
    if (rates.currency !== undefined) {
      const before = money.get(rates.currency);
      const perHour = (rates.machine + rates.storage) * SECONDS_PER_HOUR;
      money.set(rates.currency, {
        currency: rates.currency,
        perHour: (before?.perHour ?? 0) + perHour,
        perHourAwake: (before?.perHourAwake ?? 0) + perHour + rates.saved * SECONDS_PER_HOUR,
        // A second costs the same whether it was slept or not; one of both rates is 0.
        saved: (before?.saved ?? 0) + spent.asleep * (rates.saved + rates.machine),
      });
    }
  }
  return {
    total: satellites.length,
    byPhase,
    awake,
    asleep,
    awakeHours: awakeSeconds / SECONDS_PER_HOUR,
    asleepHours: asleepSeconds / SECONDS_PER_HOUR,
    wakes,
    money: [...money.values()].toSorted((left, right) => left.currency.localeCompare(right.currency)),
  };
}
