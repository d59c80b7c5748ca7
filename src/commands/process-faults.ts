import type { Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";

/** What a command does after an uncaught error. */
export interface FaultPolicy {
  /** Begins to end the command in order. */
  end(): void;
  /** Milliseconds after which the process ends, in order or not. */
  readonly maxEndMs: number;
}

/** What {@link ProcessFaults} works with. */
export interface ProcessFaultsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
}

const EXIT_CODE = 1;

/**
 * Uncaught errors and rejections of this process: bugs. Nobody knows what they left half done, so the process does not
 * go on: it ends with exit code 1 at once, or as its command's policy says.
 */
export class ProcessFaults {
  readonly #options: ProcessFaultsOptions;
  #policy: FaultPolicy | undefined;
  #isFatal = false;

  constructor(options: ProcessFaultsOptions) {
    this.#options = options;
  }

  /** Whether an uncaught error ends this process. */
  get isFatal(): boolean {
    return this.#isFatal;
  }

  /** Follows this policy from now on. */
  follow(policy: FaultPolicy): void {
    this.#policy = policy;
  }

  /** Hears of the uncaught errors of a process. */
  watch(source: NodeJS.EventEmitter): void {
    source.on("uncaughtException", (thrown: unknown) => this.onUncaught(toError(thrown)));
  }

  onUncaught(error: Error): void {
    const { clock, logger, exit } = this.#options;
    logger.error("an uncaught error ends this process", { error });
    if (this.#isFatal) {
      return;
    }
    this.#isFatal = true;
    if (this.#policy === undefined) {
      exit(EXIT_CODE);
      return;
    }
    clock.setTimer(this.#policy.maxEndMs, () => exit(EXIT_CODE));
    this.#policy.end();
  }

  /** To be called when the command has ended. */
  finish(): void {
    if (this.#isFatal) {
      this.#options.exit(EXIT_CODE);
    }
  }
}
