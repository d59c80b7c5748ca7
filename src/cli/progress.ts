import type { CliContext } from "./context.ts";
import { columnsOf, shortDuration, styleFor } from "./style.ts";

const FRAME_MS = 250;
const DEFAULT_COLUMNS = 80;

/**
 * Says on standard error what is being waited for, and for how long: one line that is rewritten on a terminal, and
 * elsewhere one line for each change.
 */
export class Progress {
  readonly #context: CliContext;
  readonly #startMs: number;
  readonly #subject: string;
  #text = "";
  #sinceMs: number;
  #ended = false;

  /** @param subject what every line begins with */
  constructor(subject: string, context: CliContext) {
    this.#context = context;
    this.#subject = subject;
    this.#startMs = context.clock.monotonicMs();
    this.#sinceMs = this.#startMs;
    if (context.err.isTTY === true) {
      this.#tick();
    }
  }

  /** Shows a state; the same one again changes nothing. */
  show(text: string): void {
    if (text === this.#text) {
      return;
    }
    this.#settle();
    this.#text = text;
    this.#sinceMs = this.#context.clock.monotonicMs();
    if (this.#context.err.isTTY !== true) {
      this.#context.err.write(`${this.#line()}\n`);
    }
  }

  /** Seconds since the beginning. */
  get seconds(): number {
    return (this.#context.clock.monotonicMs() - this.#startMs) / 1000;
  }

  /** Leaves the last line as it stands. */
  end(): void {
    this.#settle();
    this.#ended = true;
  }

  #settle(): void {
    if (this.#context.err.isTTY === true && this.#text !== "") {
      this.#draw();
      this.#context.err.write("\n");
      this.#text = "";
    }
  }

  #tick(): void {
    if (this.#ended) {
      return;
    }
    if (this.#text !== "") {
      this.#draw();
    }
    this.#context.clock.setTimer(FRAME_MS, () => this.#tick());
  }

  /** Erases the line (ECMA-48, EL) and writes it anew. */
  #draw(): void {
    const width = columnsOf(this.#context.err, DEFAULT_COLUMNS);
    const lasted = (this.#context.clock.monotonicMs() - this.#sinceMs) / 1000;
    const text = `${this.#line()}  ${shortDuration(lasted)}`.slice(0, width - 1);
    this.#context.err.write(`\r\u001B[2K${styleFor(this.#context.err, this.#context).dim(text)}`);
  }

  #line(): string {
    const at = ((this.#sinceMs - this.#startMs) / 1000).toFixed(1).padStart(6);
    return `${at} s  ${this.#subject}  ${this.#text}`;
  }
}
