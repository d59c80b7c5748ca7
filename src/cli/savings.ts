import { existsSync, readFileSync } from "node:fs";
import { SatelliteError, toError } from "../base/errors.ts";
import { KubeError } from "../kube/errors.ts";
import { SATELLITE_CLASSES, SATELLITES } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { type Prices, readPrices } from "./prices.ts";
import { prometheus, usageWithin } from "./savings/prometheus.ts";
import { readStatement, since } from "./savings/statement.ts";
import { accountOf, MIXED, priceBook, summarize, type SumBy, total, type Usage } from "./savings/usage.ts";
import { type Style, styleFor } from "./style.ts";
import { Columns } from "./table.ts";

/** Flags of `savings`. */
export interface SavingsFlags {
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly by?: SumBy;
  /** File with prices; those of classes when absent. */
  readonly prices?: string;
  /** From when on: a length of time, a date, or a file that `-o json` wrote; since each was made when absent. */
  readonly since?: string;
  /** Where a Prometheus is that has scraped the operator. */
  readonly prometheus?: string;
  readonly output?: "json";
}

/** @throws SatelliteError `InvalidOption` for a flag that would change nothing */
function requireUsable({ output, by, prices, since: from, prometheus: where }: SavingsFlags): void {
  const unused = Object.entries({ by, prices, since: from, prometheus: where }).find(
    ([, value]) => output === "json" && value !== undefined,
  );
  if (unused !== undefined) {
    throw new SatelliteError(
      "InvalidOption",
      `-o json writes the counters of today, for --since of a later call; leave --${unused[0]} out`,
    );
  }
  if (where !== undefined && from === undefined) {
    throw new SatelliteError(
      "InvalidOption",
      "--prometheus is asked for a stretch of time; say which by --since 30d, or leave it out",
    );
  }
}

/** What is shown below the table. */
interface Report {
  readonly by: SumBy;
  readonly rows: readonly Usage[];
  readonly notes: readonly string[];
}

const BAR_WIDTH = 24;
const MACHINES_ALONE =
  "machine hours alone, at the price of today's type; disks cost the same awake and asleep";
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Shows how long satellites were awake and asleep, and what that saved. */
export async function savings(
  flags: SavingsFlags,
  connection: Connection,
  context: CliContext,
): Promise<void> {
  requireUsable(flags);
  if (flags.output === "json") {
    const at = context.clock.now();
    const satellites = (await listed(flags, connection)).map((satellite) => accountOf(satellite, at));
    context.out.write(`${JSON.stringify({ at: at.toISOString(), satellites }, undefined, 2)}\n`);
    return;
  }
  const isFile = flags.since !== undefined && existsSync(flags.since);
  const report =
    flags.since === undefined || isFile
      ? await ofStatuses(flags, connection, context)
      : await ofPrometheus(flags.since, flags, connection, context);
  if (report.rows.length === 0) {
    const where = flags.allNamespaces === true ? "" : ` in ${connection.namespace} namespace`;
    context.err.write(`No resources found${where}.\n`);
    return;
  }
  show(report, context);
}

async function listed(flags: SavingsFlags, { client, namespace }: Connection): Promise<readonly Satellite[]> {
  const { items } = await client.list<Satellite>(SATELLITES, {
    ...(flags.allNamespaces === true ? {} : { namespace }),
    ...(flags.selector === undefined ? {} : { labelSelector: flags.selector }),
  });
  return items;
}

async function ofStatuses(flags: SavingsFlags, connection: Connection, context: CliContext): Promise<Report> {
  const by = flags.by ?? "satellite";
  const list = flags.prices === undefined ? undefined : pricesIn(flags.prices);
  const now = context.clock.now();
  const all = (await listed(flags, connection)).map((satellite) => accountOf(satellite, now));
  const statement = flags.since === undefined ? undefined : readStatement(flags.since);
  const accounts = statement === undefined ? all : since(all, statement);
  const priceOf = priceBook(list, list === undefined ? await classesOf(connection) : []);
  const unpriced = [
    ...new Set(accounts.flatMap((account) => (priceOf(account) === undefined ? (account.type ?? []) : []))),
  ];
  return {
    by,
    rows: summarize(accounts, priceOf, by),
    notes: [
      ...(statement === undefined ? [] : [`since ${statement.at}`]),
      unpriced.length > 0
        ? `no price is known of ${unpriced.join(", ")}: give classes prices (spec.prices.perHour), or name a file with ` +
          '--prices, {"TYPE": dollars an hour} or one of the AWS Price List'
        : MACHINES_ALONE,
    ],
  };
}

/** Prices are of use to those alone who may read classes. */
async function classesOf({ client }: Connection): Promise<readonly SatelliteClass[]> {
  try {
    return (await client.list<SatelliteClass>(SATELLITE_CLASSES)).items;
  } catch (error) {
    if (error instanceof KubeError) {
      return [];
    }
    throw error;
  }
}

async function ofPrometheus(
  from: string,
  flags: SavingsFlags,
  connection: Connection,
  context: CliContext,
): Promise<Report> {
  const seconds = secondsUpTo(context.clock.now(), from);
  if (flags.prometheus === undefined) {
    throw new SatelliteError(
      "InvalidOption",
      `a satellite's status knows sums since it was made, and not since ${from}: name a Prometheus that scrapes the ` +
        "operator (--prometheus URL, or NAMESPACE/SERVICE:PORT), or compare with an earlier statement (kubectl satellite " +
        "savings -o json > before.json; later: --since before.json)",
    );
  }
  if (flags.by === "satellite" || flags.selector !== undefined || flags.prices !== undefined) {
    throw new SatelliteError(
      "InvalidOption",
      "the operator's metrics know namespaces and classes, and prices of classes: leave out --selector and --prices, and " +
        "say --by namespace or --by class",
    );
  }
  const by = flags.by ?? "namespace";
  const namespace = flags.allNamespaces === true ? undefined : connection.namespace;
  const rows = await usageWithin(seconds, by, namespace, prometheus(flags.prometheus, connection));
  return { by, rows, notes: [`since ${from}, as far back as Prometheus knows`, MACHINES_ALONE] };
}

/** @throws SatelliteError `InvalidOption` */
function secondsUpTo(now: Date, from: string): number {
  const groups = /^(?<count>\d+)(?<unit>[smhdw])$/.exec(from)?.groups;
  const seconds =
    groups === undefined
      ? (now.getTime() - Date.parse(from)) / 1000
      : Number(groups["count"]) * (UNIT_SECONDS[groups["unit"] ?? ""] ?? NaN);
  if (!(seconds > 0)) {
    throw new SatelliteError(
      "InvalidOption",
      `--since ${from} is neither a length of time (30d, 12h), nor a date of before (2026-11-01), nor a file that is there`,
    );
  }
  return seconds;
}

function pricesIn(file: string): Prices {
  try {
    return readPrices(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new SatelliteError("InvalidPrices", `--prices ${file} cannot be used: ${toError(error).message}`, {
      cause: error,
    });
  }
}

const HEADERS = ["AWAKE", "ASLEEP", "WAKES", "PAID", "SAVED", "AWAKE █ ASLEEP ░"];

function show({ by, rows, notes }: Report, context: CliContext): void {
  const style = styleFor(context.out, context);
  const lines = [...rows, total(rows)].map((usage) => line(usage, style));
  const [header = "", ...body] = new Columns()
    .render([[by.toUpperCase(), ...HEADERS], ...lines])
    .trimEnd()
    .split("\n");
  context.out.write(`${style.bold(header)}\n${body.map((text) => `${text}\n`).join("")}`);
  context.err.write(notes.map((note) => `${note}\n`).join(""));
}

function line({ name, awakeHours, asleepHours, wakes, paid, saved }: Usage, style: Style): string[] {
  const all = awakeHours + asleepHours;
  const filled = all === 0 ? 0 : Math.round((BAR_WIDTH * awakeHours) / all);
  const bar = all === 0 ? "" : style.warn("█".repeat(filled)) + style.good("░".repeat(BAR_WIDTH - filled));
  return [name, hours(awakeHours), hours(asleepHours), String(wakes), money(paid), money(saved), bar];
}

const hours = (count: number): string =>
  count < 1 ? `${Math.round(60 * count)} m` : `${count.toFixed(count < 100 ? 1 : 0)} h`;

function money(sum: Usage["paid"]): string {
  if (sum === undefined || sum === MIXED) {
    return sum ?? "-";
  }
  const amount = sum.amount.toFixed(2);
  return sum.currency === "USD" ? `$${amount}` : `${amount} ${sum.currency}`;
}
