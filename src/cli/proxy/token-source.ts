import { backoffMs, type BackoffOptions } from "../../base/backoff.ts";
import type { Timer } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { CliContext } from "../context.ts";

/** Tokens for a router, each good for now. */
export interface TokenSource {
  /** The token of now, if there is one that has not run out. */
  current(): string | undefined;
  /** The token of now, asked for where there is none. @throws SatelliteError `NoToken` that says what to do */
  get(): Promise<string>;
  /** Whose token it is, for people. */
  readonly owner: string;
  close(): void;
}

/** A token as it was given out. */
export interface IssuedToken {
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly endsAtMs: number;
}

/** Share of a token's life after which it is renewed, as the kubelet does (Kubernetes docs, "Bound service account tokens"). */
const RENEW_AT = 0.8;
/** A token this close to its end is not sent any more: clocks differ, and the way takes time. */
const MARGIN_MS = 10_000;
const BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 30_000, jitter: 0.3 };

/** Tokens that are asked for, and renewed before they run out. */
export class RenewedTokens implements TokenSource {
  readonly owner: string;
  readonly #issue: () => Promise<IssuedToken>;
  readonly #context: Pick<CliContext, "clock" | "random" | "err">;
  #token: IssuedToken | undefined;
  #asking: Promise<string> | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #isClosed = false;

  /** @param issue asks for a token; throws SatelliteError `NoToken` that says what to do */
  constructor(
    owner: string,
    issue: () => Promise<IssuedToken>,
    context: Pick<CliContext, "clock" | "random" | "err">,
  ) {
    this.owner = owner;
    this.#issue = issue;
    this.#context = context;
  }

  current(): string | undefined {
    // By the wall clock: a machine that slept has other tokens to think of than its monotonic clock knows.
    const nowMs = this.#context.clock.now().getTime();
    return this.#token !== undefined && nowMs < this.#token.endsAtMs - MARGIN_MS
      ? this.#token.text
      : undefined;
  }

  async get(): Promise<string> {
    return this.current() ?? (await this.#ask());
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #ask(): Promise<string> {
    this.#asking ??= this.#request().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #request(): Promise<string> {
    try {
      const token = await this.#issue();
      this.#token = token;
      this.#failures = 0;
      this.#renewIn((token.endsAtMs - this.#context.clock.now().getTime()) * RENEW_AT);
      return token.text;
    } catch (thrown) {
      if (this.#token !== undefined) {
        this.#renewIn(backoffMs(this.#failures, BACKOFF, this.#context.random));
        this.#failures += 1;
      }
      throw thrown;
    }
  }

  #renewIn(delayMs: number): void {
    if (this.#isClosed) {
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#context.clock.setTimer(Math.max(BACKOFF.baseMs, delayMs), () => {
      this.#ask().catch((error: unknown) => {
        this.#context.err.write(`the token is not renewed yet: ${toError(error).message}\n`);
      });
    });
  }
}
