import type { Random } from "../../src/base/backoff.ts";
import type { FaultBook } from "./fault-book.ts";
import type { EffectFault } from "./plan.ts";
import { between } from "./random.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimProcess } from "./sim-process.ts";
import type { Trace } from "./trace.ts";

/** What a {@link Courier} needs of the world. */
export interface CourierContext {
  readonly clock: SimClock;
  readonly random: Random;
  readonly book: FaultBook;
  readonly trace: Trace;
  /** Ends the process, and starts the next incarnation later. */
  readonly crash: (process: SimProcess, fault: EffectFault) => void;
}

/** One request on its way. */
export interface Errand<T> {
  readonly process: SimProcess;
  /** What it changes, in words; absent for reads. */
  readonly effect?: string;
  /** Bounds of the time that it takes each way, in milliseconds. */
  readonly travelMs: readonly [low: number, high: number];
  readonly carryOut: () => T | Promise<T>;
  /** What the sender sees when the connection breaks. */
  readonly lost: () => Error;
  readonly signal?: AbortSignal;
}

/** Carries requests from processes to servers and answers back, and lets the plan's faults befall them on the way. */
export class Courier {
  readonly #context: CourierContext;
  readonly #cutOffUntilMs = new Map<string, number>();

  constructor(context: CourierContext) {
    this.#context = context;
  }

  /** Until when nothing passes between a process and the API server; in milliseconds of the world's clock. */
  cutOffUntilMs(process: string): number {
    return this.#cutOffUntilMs.get(process) ?? 0;
  }

  send<T>(errand: Errand<T>): Promise<T> {
    const { clock, book, trace, crash } = this.#context;
    const { process, effect, signal } = errand;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      const fault = effect === undefined ? undefined : this.#faultOf(process, effect, book, trace);
      const answer = (settle: () => void): void =>
        process.deliver(() => {
          signal?.removeEventListener("abort", onAbort);
          settle();
        });
      switch (fault?.what) {
        case "crash-before":
          crash(process, fault);
          return;
        case "cut-off":
          this.#cutOffUntilMs.set(process.name, clock.elapsedMs + (fault.forMs ?? 0));
          return;
        case "lose-request":
          clock.setTimer(this.#travelMs(errand), () => answer(() => reject(errand.lost())));
          return;
        case "pause":
          process.pause();
          clock.setTimer(fault.forMs ?? 0, () => {
            this.#arrive(errand, fault, answer, resolve, reject);
            process.resume();
          });
          return;
        case "crash-during":
        case "crash-after":
        case "lose-answer":
        case "late":
        case undefined: {
          const travelMs = fault?.what === "late" ? (fault.forMs ?? 0) : this.#travelMs(errand);
          clock.setTimer(travelMs, () => this.#arrive(errand, fault, answer, resolve, reject));
        }
      }
    });
  }

  #arrive<T>(
    errand: Errand<T>,
    fault: EffectFault | undefined,
    answer: (settle: () => void) => void,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ): void {
    const { clock, crash } = this.#context;
    const { process } = errand;
    if (this.cutOffUntilMs(process.name) > clock.elapsedMs) {
      return;
    }
    const back = (settle: () => void): void => {
      if (fault?.what === "crash-during") {
        crash(process, fault);
        return;
      }
      clock.setTimer(this.#travelMs(errand), () => {
        if (this.cutOffUntilMs(process.name) > clock.elapsedMs) {
          return;
        }
        answer(fault?.what === "lose-answer" ? () => reject(errand.lost()) : settle);
        if (fault?.what === "crash-after") {
          clock.setTimer(0, () => crash(process, fault));
        }
      });
    };
    void Promise.resolve()
      .then(() => errand.carryOut())
      .then(
        (value) => back(() => resolve(value)),
        (error: unknown) => back(() => reject(error)),
      );
  }

  #faultOf(process: SimProcess, effect: string, book: FaultBook, trace: Trace): EffectFault | undefined {
    const index = trace.count(this.#context.clock.elapsedMs, "effect", process.name, effect);
    const fault = book.effect(process.name, index);
    if (fault !== undefined) {
      trace.note(this.#context.clock.elapsedMs, "process", process.name, fault.what);
    }
    return fault;
  }

  #travelMs({ travelMs: [low, high] }: { readonly travelMs: readonly [number, number] }): number {
    return between(this.#context.random, low, high);
  }
}
