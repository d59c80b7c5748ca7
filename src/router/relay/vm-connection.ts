import type { Clock, Timer } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Upstream } from "../engine.ts";
import { FrameReader } from "../../http2/frame-reader.ts";
import type { RelayLimits } from "./limits.ts";
import { TcpWire, type WireMemory } from "./tcp-wire.ts";
import { PeerFrames, type PeerEvents } from "./peer-frames.ts";
import type { Wire, WireEvents } from "./wire.ts";

/**
 * Opens a connection to a VM; it must allow that one side ends before the other.
 *
 * @param onOpen called once, when bytes may be written: none may before it is known whom they reach
 */
export type Dial = (upstream: Upstream, memory: WireMemory, onOpen: (wire: Wire) => void) => Wire;

/**
 * When TCP begins to ask whether the VM is still there. HTTP/2 pings are not sent: buildkitd punishes more
 * than one in five minutes.
 */
const KEEPALIVE_MS = 30_000;

/** Dials over plain TCP. */
export const dialTcp: Dial = ({ host, port }, memory, onOpen) => {
  const wire = TcpWire.connect({ host, port, keepAliveMs: KEEPALIVE_MS }, memory);
  onOpen(wire);
  return wire;
};

/** What happens to a connection to a VM, besides its frames. */
export interface LinkEvents {
  /** Bytes were read and handed on as frames. */
  onUpstreamTurn(): void;
  /** The VM takes bytes again. */
  onUpstreamDrain(): void;
  /** The connection is over: the VM ended it, it broke, or the VM broke the protocol. */
  onUpstreamLost(link: VmConnection, error: Error | undefined): void;
}

/** One connection to a VM, for one client connection: what a tenant sends cannot end another's. */
export class VmConnection implements WireEvents {
  readonly upstream: Upstream;
  readonly wire: Wire;
  readonly dialedAtMs: number;
  readonly #events: LinkEvents;
  readonly #reader: FrameReader;
  #over = false;
  #isClosing = false;
  readonly #clock: Clock;
  readonly #lingerMs: number;
  /** A VM that does not end its side is not waited for. */
  #linger: Timer | undefined;

  constructor(
    upstream: Upstream,
    wire: Wire,
    frames: PeerEvents,
    events: LinkEvents,
    limits: RelayLimits,
    clock: Clock,
  ) {
    this.upstream = upstream;
    this.#clock = clock;
    this.#lingerMs = limits.lingerMs;
    this.dialedAtMs = clock.monotonicMs();
    this.#events = events;
    const blockLimits = {
      maxHeaderBlockBytes: limits.maxResponseBlockBytes,
      maxContinuations: limits.maxResponseContinuations,
    };
    this.#reader = new FrameReader(new PeerFrames(frames, blockLimits, limits, clock));
    this.wire = wire;
    wire.listen(this);
  }

  /** Ends the connection without a report of it. */
  abandon(): void {
    this.#over = true;
    this.#reader.stop();
    this.wire.destroy();
  }

  /** Ends the connection in good order: what was written is still sent. Nothing more is handed on. */
  close(): void {
    this.#over = true;
    this.#reader.stop();
    this.#isClosing = true;
    this.wire.resume();
    this.wire.end();
    this.#linger = this.#clock.setTimer(this.#lingerMs, () => this.wire.destroy());
  }

  /** Ends the connection as if it had broken. */
  fail(error: Error): void {
    this.#lose(error);
  }

  onBytes(buffer: Buffer, end: number): void {
    if (this.#over) {
      return;
    }
    try {
      this.#reader.read(buffer, 0, end);
    } catch (error) {
      this.#lose(toError(error));
    }
    // What came before an error goes on now, too: the buffer is filled anew when this returns.
    this.#events.onUpstreamTurn();
  }

  onDrain(): void {
    this.#events.onUpstreamDrain();
  }

  onEnd(): void {
    if (this.#isClosing) {
      this.wire.destroy();
    } else {
      this.#lose(undefined);
    }
  }

  onError(error: Error): void {
    this.#lose(error);
  }

  onClose(): void {
    this.#linger?.cancel();
    this.#lose(undefined);
  }

  #lose(error: Error | undefined): void {
    if (!this.#over) {
      this.#over = true;
      this.#reader.stop();
      this.#events.onUpstreamLost(this, error);
      this.wire.destroy();
    }
  }
}

/** Says what an end of a connection means that came without an error. */
export function endedError(upstream: Upstream): SatelliteError {
  return new SatelliteError("UpstreamEnded", `${upstream.satellite} ended its connection`);
}
