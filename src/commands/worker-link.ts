import type { Clock, Timer } from "../base/clock.ts";

/** What a worker tells its parent, once a second from when it listens. */
export interface WorkerReport {
  readonly kind: "report";
  /** Whether it takes new connections: it has not begun to end. */
  readonly takesConnections: boolean;
  /** What /readyz would say of it, if it had no parent. */
  readonly isReady: boolean;
}

/**
 * Tells a worker to end in order. This is a message and no signal, since a process group or a service manager may send
 * that signal as well, and a second one ends it at once.
 */
export const STOP = { kind: "stop" } as const;

/** How often workers report, in milliseconds. */
export const REPORT_MS = 1000;

/** A channel to a parent, as a process that was forked has one. */
export interface ParentChannel {
  send?: (message: WorkerReport) => boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  off(event: "message", listener: (message: unknown) => void): unknown;
}

/** Whether a message of the channel is one of ours of this kind: libraries send theirs over it, too. */
export function isMessage<K extends string>(message: unknown, kind: K): message is { readonly kind: K } {
  return typeof message === "object" && message !== null && Reflect.get(message, "kind") === kind;
}

/** A worker's side of the channel to its parent. */
export class WorkerLink {
  readonly #channel: ParentChannel;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  readonly #onMessage = (message: unknown): void => {
    if (isMessage(message, STOP.kind)) {
      this.#stop.abort();
    }
  };

  constructor(channel: ParentChannel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
    channel.on("message", this.#onMessage);
  }

  /** Aborts when the parent tells this worker to end. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** Reports now and from now on. */
  report(state: () => Omit<WorkerReport, "kind">): void {
    this.#channel.send?.({ kind: "report", ...state() });
    this.#timer = this.#clock.setTimer(REPORT_MS, () => this.report(state));
  }

  close(): void {
    this.#timer?.cancel();
    this.#channel.off("message", this.#onMessage);
  }
}
