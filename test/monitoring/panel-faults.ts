import { asSent, type Panel } from "./chart.ts";
import type { Series } from "./prometheus.ts";

/** Runs a query over the time of the load. */
export type RunQuery = (expression: string) => Promise<readonly Series[]>;

/** Four scrapes, as Grafana has it for a scrape interval of a second, and some more for a machine under load. */
export const RATE_INTERVAL = "10s";

/** What a series is called in a panel; undefined where a label of the legend is missing. */
export function legendOf(format: string, { metric }: Series): string | undefined {
  const names = [...format.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = ""]) => name);
  return names.every((name) => (metric[name] ?? "") !== "")
    ? format.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => metric[name] ?? "")
    : undefined;
}

/** What is wrong with a panel for somebody who looks at it, a line each; none when all is well. */
export async function faultsOfPanel({ title, targets }: Panel, run: RunQuery): Promise<string[]> {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const { expr, legendFormat } of targets) {
    const series = await run(asSent(expr, RATE_INTERVAL));
    if (!series.some(({ values }) => values.some(([, value]) => Number.isFinite(value)))) {
      faults.push(`${title}: no data for ${expr}`);
    }
    for (const each of series) {
      const legend = legendOf(legendFormat, each);
      if (legend === undefined) {
        faults.push(`${title}: ${legendFormat} says nothing of ${JSON.stringify(each.metric)}`);
      } else if (seen.has(legend)) {
        faults.push(`${title}: two lines are called ${legend}`);
      } else {
        seen.add(legend);
      }
    }
  }
  return faults;
}
