import type { Clock } from "../../base/clock.ts";
import { pingFrame } from "../../http2/frame-writer.ts";
import { ErrorCode, MAX_31_BIT } from "../../http2/protocol.ts";
import type { ClientSession } from "./client-session.ts";

/** What the router's PINGs carry: their answers are for the router. */
const PING: Buffer = Buffer.from("satldrn\0", "latin1");
/** A client that does not answer the PING is told the last stream id without. */
const PING_MS = 1000;

/**
 * How a connection is ended without losing a request that is on its way (RFC 9113 §6.8). It goes one way only:
 * `none`; `announced`, the client is asked to take new requests elsewhere, and what it has sent meanwhile is still served;
 * `said`, the client has been told which stream is the last one; `left`, the same, and the client has ended its side.
 */
export class Goodbye {
  readonly #session: ClientSession;
  readonly #clock: Clock;
  #state: "none" | "announced" | "said" | "left" = "none";
  #announcedAtMs = 0;

  constructor(session: ClientSession, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
  }

  /** Whether no further requests are taken: the connection ends when those that are open have ended. */
  get isSaid(): boolean {
    return this.#state === "said" || this.#state === "left";
  }

  /** Asks the client to take new requests elsewhere. Its answer to the PING says that no more are on their way. */
  announce(): void {
    if (this.#state === "none") {
      this.#state = "announced";
      this.#announcedAtMs = this.#clock.monotonicMs();
      this.#session.goAway(MAX_31_BIT, ErrorCode.NO_ERROR);
      this.#session.toClient.inject(pingFrame(PING, false));
    }
  }

  /** Takes the client's answer to a PING, which may be one that nobody sent. */
  onPingAnswer(opaque: Buffer): void {
    if (this.#state === "announced" && opaque.equals(PING)) {
      this.#sayLast();
    }
  }

  /** @returns whether something was said now: the last stream id to a client that did not answer, or a PING */
  sweep(nowMs: number): boolean {
    if (this.#state === "left") {
      this.#session.toClient.inject(pingFrame(PING, false));
      return true;
    }
    if (this.#state !== "announced" || nowMs - this.#announcedAtMs <= PING_MS) {
      return false;
    }
    this.#sayLast();
    return true;
  }

  /**
   * The client has ended its side, so it brings no further requests. Whether it still reads its answers, or is gone, TCP says
   * only to those who send: at the first bytes a system whose program is gone resets the connection, and what is sent
   * behind them finds that out (RFC 9293 §3.10.7.1). So it is sent something now, and a PING at each {@link sweep}.
   */
  onClientDone(): void {
    this.#sayLast();
    this.#state = "left";
  }

  #sayLast(): void {
    this.#state = "said";
    this.#session.goAway(this.#session.lastClientId, ErrorCode.NO_ERROR);
  }
}
