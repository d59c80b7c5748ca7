import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Metadata } from "@grpc/grpc-js";
import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { connectGuest, type GuestClient } from "../guest/client.ts";
import { createKubeMetrics } from "../kube/metrics.ts";
import { Reflector } from "../kube/reflector.ts";
import { SATELLITES } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { connectKubernetes } from "./connect-kubernetes.ts";
import type { LocalSystem } from "./local-system.ts";
import type { ProcessContext } from "./process-context.ts";

/** One request in the EC2 endpoint's own log. */
export interface LoggedCall {
  readonly time: string;
  readonly action: string;
  readonly ids: readonly string[];
  readonly outcome: string;
}

/** What the steps of the demo work with. */
export interface DemoContext {
  readonly clock: Clock;
  readonly progress: (line: string) => void;
  /** Runs kubectl. Throws with what it printed when it fails. */
  kubectl(args: readonly string[]): Promise<string>;
  /** A new client of the satellite, through the router. */
  connect(): GuestClient;
  /** Resolves with the satellite as soon as `holds`; throws after `timeoutMs`. */
  until(what: string, holds: (satellite: Satellite) => boolean, timeoutMs: number): Promise<Satellite>;
  /** Calls of an action in the EC2 endpoint's own log. */
  calls(action: string): Promise<LoggedCall[]>;
  /** States of all instances that the EC2 endpoint knows. */
  instanceStates(): Promise<string[]>;
  close(): Promise<void>;
}

/** Name of the demo's satellite. */
export const DEMO_SATELLITE = "ada";
const NAMESPACE = "default";

const run = promisify(execFile);

/** Connects to a running local system. */
export async function createDemoContext(
  system: LocalSystem,
  kubectl: string,
  progress: (line: string) => void,
  context: ProcessContext,
): Promise<DemoContext> {
  const { clock, random, logger, environment } = context;
  const client = connectKubernetes(
    {
      kubeconfig: system.kubeconfig,
      component: "satellites-demo",
      metrics: createKubeMetrics(createMetricsRegistry()),
    },
    context,
  );
  const reflector = new Reflector<Satellite>({ client, type: SATELLITES, clock, random, logger });
  const watching = new AbortController();
  const watch = reflector.run(watching.signal);
  await reflector.synced();
  const clients: GuestClient[] = [];
  const control = async <T>(path: string): Promise<T> =>
    (await (await fetch(`${system.ec2Url}/_control/${path}`)).json()) as T;
  return {
    clock,
    progress,
    kubectl: async (args) => {
      try {
        const { stdout } = await run(kubectl, [...args], {
          env: { ...environment, KUBECONFIG: system.kubeconfig },
          timeout: 60_000,
        });
        return stdout.trim();
      } catch (error) {
        throw new SatelliteError("KubectlFailed", `kubectl ${args.join(" ")}: ${toError(error).message}`, {
          cause: error,
        });
      }
    },
    connect: () => {
      const metadata = new Metadata();
      metadata.set("satellite-name", DEMO_SATELLITE);
      metadata.set("satellite-namespace", NAMESPACE);
      const guest = connectGuest(system.routerAddress, { metadata });
      clients.push(guest);
      return guest;
    },
    until: (what, holds, timeoutMs) => untilHolds(reflector, clock, { what, holds, timeoutMs }),
    calls: (action) => control<LoggedCall[]>(`calls?action=${action}`),
    instanceStates: async () =>
      (await control<{ readonly state: string }[]>("instances")).map(({ state }) => state),
    close: async () => {
      clients.forEach((guest) => guest.close());
      watching.abort();
      await watch;
      await client.close();
    },
  };
}

function untilHolds(
  reflector: Reflector<Satellite>,
  clock: Clock,
  wanted: {
    readonly what: string;
    readonly holds: (satellite: Satellite) => boolean;
    readonly timeoutMs: number;
  },
): Promise<Satellite> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      timer.cancel();
      queueMicrotask(() => unsubscribe());
      end();
    };
    const timer = clock.setTimer(wanted.timeoutMs, () => {
      const [now] = reflector.cache.list();
      const state = now === undefined ? "there is no satellite" : JSON.stringify(now.status.conditions);
      settle(() =>
        reject(
          new SatelliteError(
            "DemoTimeout",
            `${wanted.what} did not happen within ${wanted.timeoutMs / 1000} s: ${state}`,
          ),
        ),
      );
    });
    const look = (satellite: Satellite): void => {
      if (satellite.metadata.name === DEMO_SATELLITE && wanted.holds(satellite)) {
        settle(() => resolve(satellite));
      }
    };
    const unsubscribe = reflector.cache.subscribe({ added: look, updated: look });
  });
}
