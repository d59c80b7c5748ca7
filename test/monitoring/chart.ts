import { findManifest, renderChart, type Values } from "../support/helm.ts";

/** Labels that the chart's ServiceMonitor has Prometheus add for release "sat", beside `pod` and `program`. */
export const TARGET_LABELS = { namespace: "sat-system", service: "sat-satellites-metrics" } as const;

/** A query of a panel. */
export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
}

/** A panel of the dashboard, as far as it is looked into. */
export interface Panel {
  readonly title: string;
  readonly targets: readonly Target[];
  readonly fieldConfig: {
    readonly defaults: {
      readonly unit: string;
      readonly custom: { readonly stacking?: { readonly mode: string } };
    };
  };
}

/** A rule of the chart's PrometheusRule. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Panels of the dashboard that the chart renders. */
export async function dashboardPanels(): Promise<readonly Panel[]> {
  const manifests = await renderChart({ dashboard: { enabled: true } });
  const { data } = findManifest(manifests, "ConfigMap", "sat-satellites-dashboard") as unknown as {
    readonly data: Readonly<Record<"satellites.json", string>>;
  };
  return (JSON.parse(data["satellites.json"]) as { readonly panels: Panel[] }).panels;
}

/** Groups of rules that the chart renders, with more values. */
export async function alertGroups(
  values: Values = {},
): Promise<readonly { readonly name: string; readonly rules: readonly AlertRule[] }[]> {
  const manifests = await renderChart({ ...values, prometheusRule: { enabled: true } });
  const { spec } = findManifest(manifests, "PrometheusRule", "sat-satellites") as unknown as {
    readonly spec: { readonly groups: { name: string; rules: AlertRule[] }[] };
  };
  return spec.groups;
}

/** The query as Grafana sends it, with its variables replaced. */
export function asSent(expression: string, rateInterval: string): string {
  return expression.replaceAll("$namespace", ".*").replaceAll("$__rate_interval", rateInterval);
}
