import type { ServerResponse } from "node:http";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Fleet, FleetView } from "./fleet.ts";
import type { PhaseStart } from "./phase-history.ts";
import { renderChanges, renderGlance, renderRest, renderRow } from "./render.ts";

/** What a browser is told: everything at first, and then what became different. HTML is rendered and escaped here. */
export interface FeedMessage {
  /** Milliseconds since 1970 by this process's clock, which the times are told by. */
  readonly now: number;
  readonly since: number;
  /** Whether what is not named here is gone. */
  readonly isAll: boolean;
  readonly glance: string;
  readonly rest: string;
  readonly changes: string;
  /** Rows by their keys, in their order. */
  readonly rows: Readonly<Record<string, string>>;
  /** Keys without a row. */
  readonly gone: readonly string[];
  readonly phases: Readonly<Record<string, readonly PhaseStart[]>>;
}

/** Changes within so many milliseconds are told together. */
const GATHER_MS = 200;
/** A connection on which nothing comes is closed by proxies; money and hours also grow without a change. */
const QUIET_MS = 15_000;
/** Browsers at a time. */
const MAX_BROWSERS = 100;
/** What may wait for a browser that does not read; then it is left, and connects anew when it reads again. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

interface Browser {
  readonly response: ServerResponse;
  readonly namespace: string | undefined;
}

/** Tells browsers what changes, by server-sent events (WHATWG HTML, section 9.2). */
export class Feed {
  readonly #fleet: Fleet;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #browsers = new Set<Browser>();
  readonly #changed = new Set<string>();
  readonly #stopListening: () => void;
  #timer: Timer | undefined;
  #isGathering = false;

  constructor(fleet: Fleet, clock: Clock, logger: Logger) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#logger = logger;
    this.#stopListening = fleet.onChange((key) => this.#take(key));
  }

  /** Takes a browser on: it hears everything now, and changes until it goes. @returns false where there are too many */
  open(response: ServerResponse, namespace: string | undefined): boolean {
    if (this.#browsers.size >= MAX_BROWSERS) {
      return false;
    }
    const browser = { response, namespace };
    send(browser, messageOf(this.#fleet.view(namespace), undefined));
    this.#browsers.add(browser);
    response.once("close", () => this.#browsers.delete(browser));
    if (this.#timer === undefined) {
      this.#wait(QUIET_MS);
    }
    return true;
  }

  close(): void {
    this.#stopListening();
    this.#timer?.cancel();
    this.#end();
  }

  #end(): void {
    this.#timer = undefined;
    for (const { response } of this.#browsers) {
      response.end();
    }
    this.#browsers.clear();
  }

  #take(key: string | undefined): void {
    if (this.#browsers.size === 0) {
      return;
    }
    if (key !== undefined) {
      this.#changed.add(key);
    }
    if (!this.#isGathering) {
      this.#isGathering = true;
      this.#wait(GATHER_MS);
    }
  }

  #wait(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, () => {
      try {
        this.#tell();
      } catch (error) {
        // Nobody else's work ends for it. Browsers connect anew, and hear everything then.
        this.#logger.error("The page's feed failed; this is a mistake in the program", { error });
        this.#end();
      }
    });
  }

  #tell(): void {
    this.#isGathering = false;
    const changed = new Set(this.#changed);
    this.#changed.clear();
    const messages = new Map<string | undefined, FeedMessage>();
    for (const browser of this.#browsers) {
      const { namespace } = browser;
      const message = messages.get(namespace) ?? messageOf(this.#fleet.view(namespace), changed);
      messages.set(namespace, message);
      send(browser, message);
    }
    this.#timer = undefined;
    if (this.#browsers.size > 0) {
      this.#wait(QUIET_MS);
    }
  }
}

/** @param changed keys of what is different; undefined tells everything */
function messageOf(view: FleetView, changed: ReadonlySet<string> | undefined): FeedMessage {
  const rows = view.rows.filter(({ key }) => changed?.has(key) !== false);
  const shown = new Set(rows.map(({ key }) => key));
  return {
    now: view.now.getTime(),
    since: view.since.getTime(),
    isAll: changed === undefined,
    glance: renderGlance(view.summary).text,
    rest: renderRest(view),
    changes: renderChanges(view.changes).text,
    rows: Object.fromEntries(rows.map((row) => [row.key, renderRow(row).text])),
    gone: [...(changed ?? [])].filter((key) => !shown.has(key)),
    phases: Object.fromEntries(rows.map(({ key }) => [key, view.phases[key] ?? []])),
  };
}

function send({ response }: Browser, message: FeedMessage): void {
  if (response.writableLength > MAX_WAITING_BYTES) {
    response.destroy();
    return;
  }
  response.write(`data: ${JSON.stringify(message)}\n\n`);
}
