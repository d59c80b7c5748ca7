import { Registry } from "@prometheus-io/client";
import type { Random } from "../../src/base/backoff.ts";
import type { KubeClient } from "../../src/kube/client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { createEc2Cloud } from "../../src/machines/ec2/ec2-cloud.ts";
import type { Transport } from "../../src/machines/ec2/transport.ts";
import { createOperatorMetrics } from "../../src/operator/metrics.ts";
import { Operator } from "../../src/operator/operator.ts";
import type { OperatorSettings } from "../../src/operator/settings.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import type { Guests } from "./guests.ts";
import type { SimProcess } from "./sim-process.ts";

/** UID of the simulated cluster. */
export const CLUSTER = "0d6b2f6e-0000-4000-8000-00000000c105";
export const REGION = "eu-west-1";

/** How long the leader's lease lasts; longer than the default, since renewals cost the simulation time. */
const LEASE_MS = 30_000;
/** How long an operator's look at a guest's port takes. */
const PROBE_MS = 8;

/** Name of the leader's Lease, and how those of shards begin. */
export const LEASE_NAME = "satellites-operator";

/** One of several operators that share the cluster. */
export interface SimShard {
  readonly lease: string;
  readonly namespaceSelector: string;
}

/** What an operator process is made of. */
export interface SimOperatorOptions {
  readonly process: SimProcess;
  readonly identity: string;
  readonly client: KubeClient;
  readonly transport: Transport;
  readonly guests: Guests;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: OperatorSettings;
  readonly listPeriodMs: number;
  /** Where it acts, and by which Lease it is elected; in all namespaces when absent. */
  readonly shard?: SimShard;
  readonly runningWork: (instance: string) => number;
  /** The process has ended by itself. */
  readonly onExit: (how: string) => void;
}

/** Runs the product's operator in a process, wired as src/commands/operator.ts wires it. */
export function runOperator(options: SimOperatorOptions): void {
  const { process, client, random, logger, guests, transport } = options;
  const { clock } = process;
  const registry = new Registry();
  const base = { clock, random, logger };
  const cloud = createEc2Cloud({
    ...base,
    region: REGION,
    cluster: CLUSTER,
    registry,
    endpoint: "http://ec2.simulated",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "example" },
    transport,
    changeBudgetMs: () => operator.changeBudgetMs(),
  });
  const operator: Operator = new Operator({
    ...base,
    client,
    kubeMetrics: createKubeMetrics(registry),
    metrics: (phases) => createOperatorMetrics(registry, phases),
    settings: options.settings,
    cluster: CLUSTER,
    concurrency: 500,
    listPeriodMs: options.listPeriodMs,
    ...(options.shard === undefined ? {} : { namespaceSelector: options.shard.namespaceSelector }),
    leaderElection: {
      namespace: "default",
      name: options.shard?.lease ?? LEASE_NAME,
      identity: options.identity,
      leaseDurationMs: LEASE_MS,
      renewDeadlineMs: (LEASE_MS * 2) / 3,
      retryPeriodMs: (LEASE_MS * 2) / 15,
    },
    leaderMarginMs: LEASE_MS / 2,
    cloudOf: () => cloud,
    probe: ({ host, tlsFingerprint }) =>
      new Promise((resolve) => {
        clock.setTimer(PROBE_MS, () => {
          const id = guests.at(host);
          if (id === undefined || !guests.answers(id)) {
            resolve({ ready: false, runningWork: 0 });
            return;
          }
          const shown = guests.key(id);
          resolve(
            tlsFingerprint === undefined || tlsFingerprint === shown
              ? { ready: true, bootID: guests.bootID(id), runningWork: options.runningWork(id), shown }
              : { ready: false, runningWork: 0, shown },
          );
        });
      }),
    userDataFor: () => Promise.resolve(""),
  });
  operator.run(new AbortController().signal).then(
    (end) => options.onExit(end),
    (error: unknown) => options.onExit(String(error)),
  );
}
