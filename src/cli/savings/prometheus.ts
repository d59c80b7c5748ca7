import { SatelliteError, toError } from "../../base/errors.ts";
import { withQuery } from "../../kube/paths.ts";
import type { Connection } from "../connect.ts";
import { inOrder, sum, type Money, type SumBy, type Usage } from "./usage.ts";

/** One series of an instant query (Prometheus docs, "HTTP API", "Instant vectors"). */
interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** Asks for an instant vector. */
export type Ask = (query: string) => Promise<readonly Sample[]>;

const TIMEOUT_MS = 30_000;

/**
 * How a Prometheus is asked.
 *
 * @param where its URL, or NAMESPACE/SERVICE:PORT, which is reached through the API server
 * @throws SatelliteError `PrometheusFailed`
 */
export function prometheus(where: string, connection: Pick<Connection, "call">): Ask {
  const inCluster = /^(?<namespace>[a-z0-9-]+)\/(?<service>[a-z0-9-]+:[a-z0-9-]+)$/.exec(where)?.groups;
  return async (query) => {
    try {
      const answer = (
        inCluster === undefined
          ? await fetchJson(where, query)
          : await connection.call({
              method: "GET",
              path: withQuery(
                `/api/v1/namespaces/${inCluster["namespace"]}/services/${inCluster["service"]}/proxy/api/v1/query`,
                { query },
              ),
            })
      ) as {
        readonly status?: string;
        readonly error?: string;
        readonly data?: { readonly result?: Sample[] };
      };
      if (answer.status !== "success" || !Array.isArray(answer.data?.result)) {
        throw new Error(answer.error ?? "its answer is not that of Prometheus");
      }
      return answer.data.result;
    } catch (error) {
      throw new SatelliteError(
        "PrometheusFailed",
        `the Prometheus at ${where} cannot be asked: ${toError(error).message}; --prometheus takes its URL, or ` +
          "NAMESPACE/SERVICE:PORT to go through the API server",
        { cause: error },
      );
    }
  };
}

async function fetchJson(where: string, query: string): Promise<unknown> {
  const url = new URL(`${where.replace(/\/$/, "")}/api/v1/query`);
  url.searchParams.set("query", query);
  const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`HTTP ${answer.status}, and no JSON`);
  }
}

/**
 * What the operator counted within a time up to now, which is by namespace and class.
 *
 * @param namespace that alone; all when absent
 */
export async function usageWithin(
  seconds: number,
  by: Exclude<SumBy, "satellite">,
  namespace: string | undefined,
  ask: Ask,
): Promise<Usage[]> {
  const label = by === "namespace" ? "satellite_namespace" : "class";
  const increase = (
    metric: string,
    more: readonly string[],
    labels: readonly string[] = [],
  ): Promise<readonly Sample[]> => {
    const chosen = [...(namespace === undefined ? [] : [`satellite_namespace="${namespace}"`]), ...more];
    const selector = chosen.length === 0 ? "" : `{${chosen.join(",")}}`;
    return ask(
      `sum by (${[label, ...labels].join(", ")}) (increase(${metric}${selector}[${Math.round(seconds)}s]))`,
    );
  };
  const [states, starts, paid, saved] = await Promise.all([
    increase("satellites_state_seconds_total", [], ["state"]),
    increase("satellites_starts_total", []),
    increase("satellites_cost_total", ['part="machine"'], ["currency"]),
    increase("satellites_saved_total", [], ["currency"]),
  ]);
  const nothing = { awakeHours: 0, asleepHours: 0, wakes: 0, paid: undefined, saved: undefined };
  const rows = new Map<string, Usage[]>();
  const add = (samples: readonly Sample[], read: (value: number, sample: Sample) => Partial<Usage>): void => {
    for (const sample of samples) {
      const name = sample.metric[label] ?? "";
      const part = { ...nothing, name, ...read(Number(sample.value[1]), sample) };
      rows.set(name, [...(rows.get(name) ?? []), part]);
    }
  };
  const money = (amount: number, { metric }: Sample): Money => ({
    currency: metric["currency"] ?? "",
    amount,
  });
  add(states, (value, { metric }) =>
    metric["state"] === "awake" ? { awakeHours: value / 3600 } : { asleepHours: value / 3600 },
  );
  add(starts, (value) => ({ wakes: Math.round(value) }));
  add(paid, (value, sample) => ({ paid: money(value, sample) }));
  add(saved, (value, sample) => ({ saved: money(value, sample) }));
  return inOrder([...rows].map(([name, parts]) => sum(name, parts)));
}
