import type { Clock } from "../../base/clock.ts";
import { pingFrame } from "../../http2/frame-writer.ts";
import { ErrorCode, MAX_31_BIT } from "../../http2/protocol.ts";
import type { Splice } from "./splice.ts";

/** What the PING between the two GOAWAYs carries: its answer is for the router. */
const PING: Buffer = Buffer.from("satldrn\0", "latin1");
/** A client that does not answer the PING is told the last stream id without. */
const PING_MS = 1000;

/**
 * How a connection is ended without losing a request that is on its way (RFC 9113 §6.8). It goes one way only:
 * `none`; `announced`, the client is asked to take new requests elsewhere, and what it has sent meanwhile is still served;
 * `said`, the client has been told which stream is the last one.
 */
export class Goodbye {
  readonly #splice: Splice;
  readonly #clock: Clock;
  #state: "none" | "announced" | "said" = "none";
  #announcedAtMs = 0;
  #isPinged = false;

  constructor(splice: Splice, clock: Clock) {
    this.#splice = splice;
    this.#clock = clock;
  }

  /** Whether no further requests are taken: the connection ends when those that are open have ended. */
  get isSaid(): boolean {
    return this.#state === "said";
  }

  /** Asks the client to take new requests elsewhere. Its answer to the PING says that no more are on their way. */
  announce(): void {
    if (this.#state === "none") {
      this.#state = "announced";
      this.#announcedAtMs = this.#clock.monotonicMs();
      this.#splice.goAway(MAX_31_BIT, ErrorCode.NO_ERROR);
      this.#isPinged = true;
      this.#splice.toClient.inject(pingFrame(PING, false));
    }
  }

  /** Takes the client's answer to a PING. Returns false if it is the answer to another's. */
  onPingAnswer(opaque: Buffer): boolean {
    if (!this.#isPinged || !opaque.equals(PING)) {
      return false;
    }
    this.#sayLast();
    return true;
  }

  /** @returns whether a client that did not answer was told the last stream id now */
  sweep(nowMs: number): boolean {
    if (this.#state !== "announced" || nowMs - this.#announcedAtMs <= PING_MS) {
      return false;
    }
    this.#sayLast();
    return true;
  }

  /** The client takes no further requests to this connection anyway: it has gone, or was told by another. */
  skip(): void {
    this.#state = "said";
  }

  #sayLast(): void {
    if (this.#state === "announced") {
      this.#state = "said";
      this.#splice.goAway(this.#splice.lastClientId, ErrorCode.NO_ERROR);
    }
  }
}
