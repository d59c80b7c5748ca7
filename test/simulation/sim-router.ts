import { Registry } from "@prometheus-io/client";
import type { Random } from "../../src/base/backoff.ts";
import type { KubeClient } from "../../src/kube/client.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { anonymousLoopback } from "../../src/router/access.ts";
import type { Admission, Upstream } from "../../src/router/engine.ts";
import { Gate } from "../../src/router/gate.ts";
import { HoldBudget } from "../../src/router/hold-budget.ts";
import { createRouterMetrics } from "../../src/router/metrics.ts";
import { DEFAULT_GATE_OPTIONS } from "../../src/router/options.ts";
import type { Prober } from "../../src/router/prober.ts";
import { SatelliteApi } from "../../src/router/satellite-api.ts";
import { SatelliteView } from "../../src/router/satellite-view.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import { OtherVmError } from "../../src/router/vm-dial.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import type { Guests } from "./guests.ts";
import type { SimProcess } from "./sim-process.ts";

/** How a request at a router ended. */
export type Ending =
  | { readonly kind: "served" }
  /** The router's own answer. */
  | { readonly kind: "refused"; readonly status: number; readonly reason: string }
  /** The stream was open when its VM went away. */
  | { readonly kind: "broken" }
  /** The router's process died with it. */
  | { readonly kind: "lost" };

/** One request at one router. */
export interface Attempt {
  readonly id: number;
  readonly router: SimProcess;
  readonly key: string;
  readonly startedMs: number;
  readonly timeoutMs: number | undefined;
  /** How long its stream stays open. */
  readonly streamMs: number;
  readonly end: (ending: Ending) => void;
}

/** A stream that a router has open to a VM. */
export interface OpenStream {
  readonly attempt: Attempt;
  readonly upstream: Upstream;
  readonly instance: string;
}

/** What a router process is made of. */
export interface SimRouterOptions {
  readonly process: SimProcess;
  readonly client: KubeClient;
  readonly guests: Guests;
  readonly random: Random;
  readonly logger: Logger;
  /** Requests that it holds; default as in the product. */
  readonly maxHeld?: number;
  readonly onOpened: (stream: OpenStream) => void;
  readonly onClosed: (stream: OpenStream) => void;
}

/** Milliseconds until a connection is made, or known to be refused. */
const CONNECT_MS = 3;
/** How often a request is admitted anew when its connection could not be made. */
const MAX_ADMISSIONS = 5;
const PROBE_MS = 4;
/** As in the product. */
const WITHDRAW_MS = 10_000;

type Forward = Extract<Admission, { kind: "forward" }>;

/** The product's gate in a process, with an engine that forwards to simulated guests. */
export class SimRouter {
  readonly process: SimProcess;
  readonly #options: SimRouterOptions;
  readonly #gate: Gate;
  readonly #streams = new Set<OpenStream & { readonly finish: (ending: Ending) => void }>();
  readonly #waiters = new Set<() => void>();

  constructor(options: SimRouterOptions) {
    this.#options = options;
    this.process = options.process;
    const { client, random, logger } = options;
    const { clock, name } = options.process;
    const reflector = new Reflector<Satellite>({ client, type: SATELLITES, clock, random, logger });
    const api = new SatelliteApi(client, name);
    this.#gate = new Gate({
      router: name,
      api,
      view: new SatelliteView({ cache: reflector.cache, api, clock }),
      access: anonymousLoopback({ logger }),
      address: {},
      clock,
      random,
      logger,
      metrics: createRouterMetrics(new Registry()),
      prober: this.#prober(),
      options: DEFAULT_GATE_OPTIONS,
      budget: new HoldBudget(options.maxHeld ?? DEFAULT_GATE_OPTIONS.maxHeld),
      onOff: (key, lastEpoch) => this.#endStreams(key, lastEpoch),
    });
    void reflector.run(new AbortController().signal);
  }

  /** Ends in order, as at SIGTERM: cuts what is open, refuses what is held, and withdraws its leases. */
  async end(): Promise<void> {
    for (const stream of this.#streams) {
      stream.finish({ kind: "broken" });
    }
    this.#gate.close();
    await this.#gate.withdraw(WITHDRAW_MS);
  }

  /** Takes a request from a client. */
  take(attempt: Attempt): void {
    this.process.deliver(() => this.#admit(attempt, 1));
  }

  /** A guest began to answer, or its VM is gone. */
  onGuestChange(instance: string, isUp: boolean): void {
    if (isUp) {
      for (const look of this.#waiters) {
        look();
      }
      return;
    }
    for (const stream of this.#streams) {
      if (stream.instance === instance) {
        this.process.deliver(() => {
          if (this.#streams.has(stream)) {
            stream.finish({ kind: "broken" });
            this.#gate.upstreamFailed(stream.upstream, new Error("the connection broke during a call"));
          }
        });
      }
    }
  }

  #admit(attempt: Attempt, admission: number): void {
    const [namespace = "", name = ""] = attempt.key.split("/");
    const result = this.#gate.admit(
      { id: attempt.id, remoteAddress: "127.0.0.1" },
      [
        [":path", "/test.Service/Call"],
        ["satellite-name", name],
        ["satellite-namespace", namespace],
        ...(attempt.timeoutMs === undefined
          ? []
          : ([["grpc-timeout", `${Math.floor(attempt.timeoutMs)}m`]] as const)),
      ],
      new AbortController().signal,
    );
    if (result instanceof Promise) {
      void result.then((settled) => this.#onAdmission(attempt, settled, admission));
    } else {
      this.#onAdmission(attempt, result, admission);
    }
  }

  #onAdmission(attempt: Attempt, admission: Admission, count: number): void {
    if (admission.kind === "refuse") {
      const reason = admission.metadata.find(([name]) => name === "satellite-reason")?.[1] ?? "";
      attempt.end({ kind: "refused", status: admission.status, reason });
      return;
    }
    this.process.clock.setTimer(CONNECT_MS, () => this.#connect(attempt, admission, count));
  }

  #connect(attempt: Attempt, admission: Forward, count: number): void {
    const { guests } = this.#options;
    const { upstream } = admission;
    const instance = guests.at(upstream.host);
    if (instance === undefined || !guests.answers(instance)) {
      admission.release();
      this.#tryAgain(attempt, upstream, new Error("the VM refused the connection"), count);
      return;
    }
    const shown = guests.key(instance);
    if (shown !== upstream.tlsFingerprint) {
      admission.release();
      this.#tryAgain(attempt, upstream, new OtherVmError(upstream, shown), count);
      return;
    }
    this.#open(attempt, admission, instance);
  }

  #tryAgain(attempt: Attempt, upstream: Upstream, error: Error, count: number): void {
    this.#gate.upstreamFailed(upstream, error);
    if (count < MAX_ADMISSIONS) {
      this.#admit(attempt, count + 1);
    } else {
      attempt.end({ kind: "refused", status: 14, reason: "VMUnreachable" });
    }
  }

  #open(attempt: Attempt, admission: Forward, instance: string): void {
    const { onOpened, onClosed } = this.#options;
    const stream = {
      attempt,
      upstream: admission.upstream,
      instance,
      finish: (ending: Ending) => {
        timer.cancel();
        this.#streams.delete(stream);
        onClosed(stream);
        admission.release();
        attempt.end(ending);
      },
    };
    const timer = this.process.clock.setTimer(attempt.streamMs, () => stream.finish({ kind: "served" }));
    this.#streams.add(stream);
    onOpened(stream);
  }

  #endStreams(key: string, lastEpoch: number): void {
    for (const stream of this.#streams) {
      if (stream.upstream.satellite === key && stream.upstream.epoch <= lastEpoch) {
        stream.finish({ kind: "broken" });
      }
    }
  }

  #prober(): Prober {
    const { guests } = this.#options;
    const { clock } = this.#options.process;
    return {
      untilAnswers: ({ host, tlsFingerprint }, signal) =>
        new Promise<void>((resolve, reject) => {
          const end = (settle: () => void): void => {
            this.#waiters.delete(look);
            signal.removeEventListener("abort", onAbort);
            settle();
          };
          const onAbort = (): void => end(() => reject(signal.reason));
          const look = (): void => {
            clock.setTimer(PROBE_MS, () => {
              const id = guests.at(host);
              const isThere = id !== undefined && guests.answers(id) && guests.key(id) === tlsFingerprint;
              if (!signal.aborted && isThere) {
                end(resolve);
              }
            });
          };
          signal.addEventListener("abort", onAbort, { once: true });
          this.#waiters.add(look);
          look();
        }),
    };
  }
}
