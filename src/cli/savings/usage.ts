import type { Satellite, SatelliteClass } from "../../satellite/types.ts";
import { usageSeconds } from "../../satellite/usage-seconds.ts";
import type { Prices } from "../prices.ts";

/** What is summed up. */
export type SumBy = "satellite" | "namespace" | "class";

/** Money of one currency, as ISO 4217 names it. */
export interface Money {
  readonly currency: string;
  readonly amount: number;
}

/** Several currencies that cannot be added. */
export const MIXED = "mixed";

/** What one satellite, or several together, came to. */
export interface Usage {
  readonly name: string;
  readonly awakeHours: number;
  readonly asleepHours: number;
  readonly wakes: number;
  /** For the hours awake, and what the hours asleep would have cost; absent without a price. */
  readonly paid: Money | typeof MIXED | undefined;
  readonly saved: Money | typeof MIXED | undefined;
}

/** What one satellite did since it was made, or since some other time. */
export interface Account {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly class: string;
  readonly type: string | undefined;
  readonly awakeSeconds: number;
  readonly asleepSeconds: number;
  readonly wakes: number;
}

/** What an hour of a machine costs; absent where nobody knows. */
export type PriceOf = (account: Account) => Money | undefined;

/** By prices of a list, which holds dollars; else by those of classes, `spec.prices`. */
export function priceBook(list: Prices | undefined, classes: readonly SatelliteClass[]): PriceOf {
  const byClass = new Map(classes.map(({ metadata, spec }) => [metadata.name, spec.prices]));
  return ({ type = "", class: className }) => {
    if (list !== undefined) {
      const amount = list.get(type);
      return amount === undefined ? undefined : { currency: "USD", amount };
    }
    const prices = byClass.get(className);
    const amount = prices?.perHour?.[type];
    return prices === undefined || amount === undefined
      ? undefined
      : { currency: prices.currency, amount: Number(amount) };
  };
}

/** What a satellite did since it was made; the stretch that goes on now counts. */
export function accountOf({ metadata, spec, status }: Satellite, now: Date): Account {
  const { awake: awakeSeconds, asleep: asleepSeconds } = usageSeconds({ status }, now);
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    uid: metadata.uid ?? "",
    class: spec.className,
    type: status.machine?.type,
    awakeSeconds,
    asleepSeconds,
    wakes: status.usage?.wakes ?? 0,
  };
}

/** Sums by satellite, namespace or class; those that saved most come first. */
export function summarize(accounts: readonly Account[], priceOf: PriceOf, by: SumBy): Usage[] {
  const groups = new Map<string, Usage[]>();
  for (const account of accounts) {
    const { namespace, name } = account;
    const key = { satellite: `${namespace}/${name}`, namespace, class: account.class }[by];
    groups.set(key, [...(groups.get(key) ?? []), usageOf(account, priceOf(account))]);
  }
  return inOrder([...groups].map(([name, usages]) => sum(name, usages)));
}

/** Those that saved most come first. */
export function inOrder(rows: readonly Usage[]): Usage[] {
  const amount = ({ saved }: Usage): number => (saved === undefined || saved === MIXED ? 0 : saved.amount);
  return rows.toSorted((left, right) => amount(right) - amount(left) || right.asleepHours - left.asleepHours);
}

/** All together. */
export function total(rows: readonly Usage[]): Usage {
  return sum("total", rows);
}

function usageOf({ name, awakeSeconds, asleepSeconds, wakes }: Account, price: Money | undefined): Usage {
  const [awakeHours, asleepHours] = [awakeSeconds / 3600, asleepSeconds / 3600];
  const cost = (hours: number): Money | undefined =>
    price === undefined ? undefined : { ...price, amount: hours * price.amount };
  return { name, awakeHours, asleepHours, wakes, paid: cost(awakeHours), saved: cost(asleepHours) };
}

/** Adds up; money that is unknown counts nothing, and different currencies make none. */
export function sum(name: string, usages: readonly Usage[]): Usage {
  const add = (pick: (usage: Usage) => number): number => usages.reduce((all, usage) => all + pick(usage), 0);
  return {
    name,
    awakeHours: add(({ awakeHours }) => awakeHours),
    asleepHours: add(({ asleepHours }) => asleepHours),
    wakes: add(({ wakes }) => wakes),
    paid: addMoney(usages.map(({ paid }) => paid)),
    saved: addMoney(usages.map(({ saved }) => saved)),
  };
}

function addMoney(sums: readonly Usage["paid"][]): Usage["paid"] {
  return sums.reduce((all, next) => {
    if (all === undefined || next === undefined) {
      return all ?? next;
    }
    return all === MIXED || next === MIXED || all.currency !== next.currency
      ? MIXED
      : { currency: all.currency, amount: all.amount + next.amount };
  }, undefined);
}
