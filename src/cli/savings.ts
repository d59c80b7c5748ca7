import { readFileSync } from "node:fs";
import { SatelliteError, toError } from "../base/errors.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { type Prices, readPrices } from "./prices.ts";
import { styleFor } from "./style.ts";
import { Columns } from "./table.ts";

/** Flags of `savings`. */
export interface SavingsFlags {
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly by: "satellite" | "namespace" | "class";
  /** File with prices. */
  readonly prices?: string;
}

/** What one satellite, or several together, came to. */
export interface Usage {
  readonly name: string;
  readonly awakeHours: number;
  readonly asleepHours: number;
  readonly wakes: number;
  /** Dollars for the hours awake, and those that the hours asleep would have cost; absent without a price. */
  readonly paid: number | undefined;
  readonly saved: number | undefined;
}

const BAR_WIDTH = 24;
const HOUR_MS = 3_600_000;

/** Shows how long satellites were awake and asleep since they were made, and what that saved. */
export async function savings(
  flags: SavingsFlags,
  connection: Connection,
  context: CliContext,
): Promise<void> {
  const { items } = await connection.client.list<Satellite>(SATELLITES, {
    ...(flags.allNamespaces === true ? {} : { namespace: connection.namespace }),
    ...(flags.selector === undefined ? {} : { labelSelector: flags.selector }),
  });
  const prices = flags.prices === undefined ? new Map<string, number>() : pricesIn(flags.prices);
  const rows = summarize(items, prices, flags.by, context.clock.now());
  if (rows.length === 0) {
    context.err.write("No resources found.\n");
    return;
  }
  const style = styleFor(context.out, context);
  const lines = [...rows, total(rows)].map(line);
  const [header = "", ...body] = new Columns()
    .render([[flags.by.toUpperCase(), ...HEADERS], ...lines])
    .trimEnd()
    .split("\n");
  context.out.write(`${style.bold(header)}\n${body.map((text) => `${text}\n`).join("")}`);
  const unpriced = [...new Set(items.map(({ status }) => status.machine?.type ?? ""))].filter(
    (type) => type !== "" && !prices.has(type),
  );
  context.err.write(
    unpriced.length > 0
      ? `no price is known of ${unpriced.join(", ")}: name a file with --prices, {"TYPE": dollars an hour} or one of the AWS Price List\n`
      : "machine hours alone, at today's price of today's type; disks cost the same awake and asleep\n",
  );
}

const HEADERS = ["AWAKE", "ASLEEP", "WAKES", "PAID", "SAVED", "AWAKE █ ASLEEP ░"];

function pricesIn(file: string): Prices {
  try {
    return readPrices(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new SatelliteError("InvalidPrices", `--prices ${file} cannot be used: ${toError(error).message}`, {
      cause: error,
    });
  }
}

/** Sums by satellite, namespace or class; those that saved most come first. The stretch that goes on now counts. */
export function summarize(
  satellites: readonly Satellite[],
  prices: Prices,
  by: SavingsFlags["by"],
  now: Date,
): Usage[] {
  const groups = new Map<string, Usage[]>();
  for (const satellite of satellites) {
    const { namespace = "", name } = satellite.metadata;
    const key = { satellite: `${namespace}/${name}`, namespace, class: satellite.spec.className }[by];
    groups.set(key, [...(groups.get(key) ?? []), usageOf(satellite, prices, now)]);
  }
  return [...groups]
    .map(([name, usages]) => sum(name, usages))
    .toSorted(
      (left, right) => (right.saved ?? 0) - (left.saved ?? 0) || right.asleepHours - left.asleepHours,
    );
}

/** All together. */
export function total(rows: readonly Usage[]): Usage {
  return sum("total", rows);
}

function usageOf({ metadata, spec: _spec, status }: Satellite, prices: Prices, now: Date): Usage {
  const { runningSeconds = 0, asleepSeconds = 0, wakes = 0 } = status.usage ?? {};
  const { power, sleep, machine } = status;
  const runsOnMs = power?.state === "Running" ? since(power.since, now) : 0;
  const awakeHours = runningSeconds / 3600 + runsOnMs / HOUR_MS;
  const asleepHours = asleepSeconds / 3600 + since(sleep?.since, now) / HOUR_MS;
  const price = machine?.type === undefined ? undefined : prices.get(machine.type);
  return {
    name: metadata.name,
    awakeHours,
    asleepHours,
    wakes,
    paid: price === undefined ? undefined : awakeHours * price,
    saved: price === undefined ? undefined : asleepHours * price,
  };
}

function since(time: string | undefined, now: Date): number {
  const ms = now.getTime() - Date.parse(time ?? "");
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

function sum(name: string, usages: readonly Usage[]): Usage {
  const add = (pick: (usage: Usage) => number): number => usages.reduce((all, usage) => all + pick(usage), 0);
  const addKnown = (pick: (usage: Usage) => number | undefined): number | undefined =>
    usages.some((usage) => pick(usage) !== undefined) ? add((usage) => pick(usage) ?? 0) : undefined;
  return {
    name,
    awakeHours: add(({ awakeHours }) => awakeHours),
    asleepHours: add(({ asleepHours }) => asleepHours),
    wakes: add(({ wakes }) => wakes),
    paid: addKnown(({ paid }) => paid),
    saved: addKnown(({ saved }) => saved),
  };
}

function line({ name, awakeHours, asleepHours, wakes, paid, saved }: Usage): string[] {
  const money = (dollars: number | undefined): string =>
    dollars === undefined ? "-" : `$${dollars.toFixed(2)}`;
  const all = awakeHours + asleepHours;
  const filled = all === 0 ? 0 : Math.round((BAR_WIDTH * awakeHours) / all);
  const bar = all === 0 ? "" : "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
  return [name, hours(awakeHours), hours(asleepHours), String(wakes), money(paid), money(saved), bar];
}

const hours = (count: number): string => `${count.toFixed(count < 100 ? 1 : 0)} h`;
