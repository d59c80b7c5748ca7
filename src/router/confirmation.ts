import type { Clock, Timer } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { SatelliteView } from "./satellite-view.ts";

/** Options of {@link Confirmation}. */
export interface ConfirmationOptions {
  /** "namespace/name" of the satellite. */
  readonly key: string;
  readonly view: SatelliteView;
  readonly clock: Clock;
  /** Called when a reading has ended, and when its answer is no longer fresh. */
  readonly onChange: () => void;
}

/** For how long an answer of the API server is good for requests that take no lease, in milliseconds. */
const FRESH_MS = 1000;

/** That what is known of a satellite was read from the API server just now. One reading serves all that ask for it. */
export class Confirmation {
  readonly #options: ConfirmationOptions;
  #reading: Promise<Error | undefined> | undefined;
  #fresh: Timer | undefined;

  constructor(options: ConfirmationOptions) {
    this.#options = options;
  }

  get isFresh(): boolean {
    return this.#fresh !== undefined;
  }

  /** Whether nothing is being read, and no answer is fresh. */
  get isIdle(): boolean {
    return this.#reading === undefined && this.#fresh === undefined;
  }

  /** Reads the satellite. Resolves with what went wrong. */
  read(): Promise<Error | undefined> {
    this.#reading ??= this.#read();
    return this.#reading;
  }

  stop(): void {
    this.#fresh?.cancel();
  }

  async #read(): Promise<Error | undefined> {
    const { key, view, clock, onChange } = this.#options;
    const sentAtMs = clock.monotonicMs();
    try {
      await view.refresh(key);
      this.#fresh = clock.setTimer(sentAtMs + FRESH_MS - clock.monotonicMs(), () => {
        this.#fresh = undefined;
        onChange();
      });
      return undefined;
    } catch (error) {
      return toError(error);
    } finally {
      this.#reading = undefined;
      onChange();
    }
  }
}
