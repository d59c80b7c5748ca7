import type { CliContext } from "./context.ts";
import { columnsOf, shortDuration, styleFor, wrap } from "./style.ts";

const FRAME_MS = 250;
const DEFAULT_COLUMNS = 80;
/** Columns for the length of time behind a line. */
const ROOM_FOR_SECONDS = 10;
/** Of what a long line goes on with: below the subject. */
const INDENT = 10;

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
    const { err } = this.#context;
    const line = this.#line(text);
    if (err.isTTY !== true) {
      err.write(`${line}\n`);
    } else if (line.length + ROOM_FOR_SECONDS > this.#columns) {
      // The line that is rewritten would end before what matters.
      err.write(`\r\u001B[2K${wrap(line, { isTTY: true, columns: this.#columns }, INDENT)}\n`);
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
    const lasted = `  ${shortDuration((this.#context.clock.monotonicMs() - this.#sinceMs) / 1000)}`;
    const whole = this.#line(this.#text);
    const [beginning = ""] = this.#text.split(": ", 1);
    const isWhole = whole.length + ROOM_FOR_SECONDS <= this.#columns;
    const text = `${isWhole ? whole : this.#line(beginning)}${lasted}`.slice(0, this.#columns - 1);
    this.#context.err.write(`\r\u001B[2K${styleFor(this.#context.err, this.#context).dim(text)}`);
  }

  get #columns(): number {
    return columnsOf(this.#context.err, DEFAULT_COLUMNS);
  }

  #line(text: string): string {
    const at = ((this.#sinceMs - this.#startMs) / 1000).toFixed(1).padStart(6);
    return `${at} s  ${this.#subject}  ${text}`;
  }
}
