import { stringify } from "yaml";
import { findManifest, renderChart } from "../support/helm.ts";
import { SYSTEM, type Cluster } from "./cluster.ts";
import { PROMETHEUS_IMAGE } from "./images.ts";
import { isReady, type Pod } from "./pod.ts";
import { eventually } from "../support/eventually.ts";

const NAME = "prometheus";
const PORT = 9090;

/** What a query answers with, a series each. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

interface Relabeling {
  readonly targetLabel: string;
  readonly replacement: string;
}
interface ServiceMonitorSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly endpoints: readonly {
    readonly port: string;
    readonly path: string;
    readonly relabelings: readonly Relabeling[];
  }[];
}

/** A part of a Service's endpoints, as far as it is looked into. */
interface EndpointSlice {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly targetRef?: { readonly name: string };
  }[];
}

/**
 * What the Prometheus operator makes of the chart's ServiceMonitor, with scrapes every second. What is scraped is looked
 * up here: Debian's Prometheus is built without its discovery in Kubernetes.
 */
async function configuration(cluster: Cluster): Promise<object> {
  const manifests = await renderChart({ serviceMonitor: { enabled: true } });
  const { spec } = findManifest(manifests, "ServiceMonitor", "sat-satellites") as unknown as {
    readonly spec: ServiceMonitorSpec;
  };
  const labels = Object.entries(spec.selector.matchLabels).map(([label, value]) => `${label}=${value}`);
  const selector = new URLSearchParams({ labelSelector: labels.join(",") });
  // Kubernetes gives the slices the labels of their Service.
  const slices = await cluster.get<{ items: EndpointSlice[] }>(
    `/apis/discovery.k8s.io/v1/namespaces/${SYSTEM}/endpointslices?${selector.toString()}`,
  );
  return {
    global: { scrape_interval: "1s", scrape_timeout: "1s" },
    scrape_configs: spec.endpoints.map(({ port: name, path, relabelings }) => ({
      job_name: name,
      metrics_path: path,
      static_configs: slices.items.flatMap(({ metadata, ports, endpoints }) =>
        endpoints.flatMap(({ addresses, targetRef }) => {
          const port = ports.find((each) => each.name === name)?.port;
          const service = metadata.labels["kubernetes.io/service-name"];
          const target = `${addresses[0] ?? ""}:${port ?? ""}`;
          const own = { namespace: SYSTEM, service, pod: targetRef?.name };
          return port === undefined ? [] : [{ targets: [target], labels: own }];
        }),
      ),
      relabel_configs: relabelings.map(({ targetLabel, replacement }) => ({
        target_label: targetLabel,
        replacement,
      })),
    })),
  };
}

/** Debian's Prometheus in a pod, which scrapes the pods that are there when it starts. */
export class PrometheusPod {
  readonly #cluster: Cluster;
  readonly #namespace: string;

  private constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  /** Starts it in a namespace that is there, and waits until it is ready. It ends with the namespace. */
  static async start(cluster: Cluster, namespace: string): Promise<PrometheusPod> {
    const core = `/api/v1/namespaces/${namespace}`;
    await cluster.create(`${core}/configmaps`, {
      metadata: { name: NAME },
      data: { "prometheus.yml": stringify(await configuration(cluster)) },
    });
    await cluster.create(`${core}/pods`, {
      metadata: { name: NAME },
      spec: {
        automountServiceAccountToken: false,
        securityContext: { runAsUser: 65_532, fsGroup: 65_532 },
        containers: [
          {
            name: NAME,
            image: PROMETHEUS_IMAGE,
            args: ["--config.file=/config/prometheus.yml", "--storage.tsdb.path=/data"],
            readinessProbe: { httpGet: { path: "/-/ready", port: PORT }, periodSeconds: 1 },
            volumeMounts: [
              { name: "config", mountPath: "/config" },
              { name: "data", mountPath: "/data" },
            ],
          },
        ],
        volumes: [
          { name: "config", configMap: { name: NAME } },
          { name: "data", emptyDir: {} },
        ],
      },
    });
    await eventually("Prometheus is ready", async () =>
      isReady(await cluster.get<Pod>(`${core}/pods/${NAME}`)),
    ).catch(async (error: unknown) => {
      const { stdout } = await cluster.kubectl("describe", "pod", NAME, "--namespace", namespace);
      const { body } = await cluster.admin.request("GET", `${core}/pods/${NAME}/log`);
      throw new Error(`${String(error)}\n${stdout.slice(-2000)}\n${String(body).slice(-2000)}`, {
        cause: error,
      });
    });
    return new PrometheusPod(cluster, namespace);
  }

  /** What an expression comes to now. */
  async query(expression: string): Promise<readonly Sample[]> {
    const pod = `/api/v1/namespaces/${this.#namespace}/pods/${NAME}:${PORT}/proxy`;
    const query = new URLSearchParams({ query: expression });
    const { data } = await this.#cluster.get<{ data: { result: Sample[] } }>(
      `${pod}/api/v1/query?${query.toString()}`,
    );
    return data.result;
  }
}
