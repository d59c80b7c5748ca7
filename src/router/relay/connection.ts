import { SatelliteError, toError } from "../../base/errors.ts";
import type { ConnectionInfo } from "../engine.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import { settingsFrame } from "../../http2/frame-writer.ts";
import { CLIENT_PREFACE, ErrorCode } from "../../http2/protocol.ts";
import { CONNECTION_ENDING, ROUTER_STOPPING, type Refusal } from "../refusal.ts";
import { ClientReader } from "./client-reader.ts";
import { ClientHalf } from "./client-half.ts";
import { moveOn, type ConnectionState } from "./connection-state.ts";
import { Connector } from "./connector.ts";
import { RequestEnd, type RelayContext } from "./context.ts";
import { Goodbye } from "./goodbye.ts";
import { judgePreface, upgradeRequired } from "./preface.ts";
import { RequestDesk, type DeskPort } from "./request-desk.ts";
import { ClientSession } from "./client-session.ts";
import type { VmConnection } from "./vm-connection.ts";
import type { Wire, WireEvents } from "./wire.ts";

/** Below this the requests that wait must not use the client's window any more. */
const LOW_WINDOW_BYTES = 32 * 1024;

/**
 * One client connection. It is answered at once, holds requests until they are admitted, and passes each on over a link to
 * its VM.
 */
export class Connection implements WireEvents {
  readonly info: ConnectionInfo;
  readonly #context: RelayContext;
  readonly #wire: Wire;
  readonly #onClosed: (connection: Connection) => void;
  readonly #session: ClientSession;
  readonly #goodbye: Goodbye;
  readonly #desk: RequestDesk;
  readonly #reader: ClientReader;
  readonly #connector: Connector;
  #state: ConnectionState = { name: "greeting", received: Buffer.alloc(0), drains: false };
  #wakeScheduled = false;

  /** @param onClosed called once, when the client's connection is closed */
  constructor(
    wire: Wire,
    info: ConnectionInfo,
    context: RelayContext,
    onClosed: (connection: Connection) => void,
  ) {
    this.info = info;
    this.#context = context;
    this.#wire = wire;
    this.#onClosed = onClosed;
    const session = new ClientSession(context);
    this.#session = session;
    this.#goodbye = new Goodbye(session, context.clock);
    const wake = (): void => this.#wake();
    const guard = (what: () => void): void => this.#guard(what);
    const linkTo: DeskPort["linkTo"] = (upstream) => this.#connector.linkTo(upstream);
    this.#desk = new RequestDesk({ info, linkTo, wake, guard }, session, context);
    this.#connector = new Connector(session, context, {
      desk: this.#desk,
      events: {
        onUpstreamTurn: () => this.#turn(),
        onUpstreamDrain: () => this.#turn(),
        onUpstreamLost: (connection, error) => guard(() => this.#onLinkLost(connection, error)),
      },
      wake,
      guard,
    });
    const half = new ClientHalf(session, this.#desk, context, {
      onPingAnswer: (opaque) => this.#goodbye.onPingAnswer(opaque),
      countDropped: () => this.#reader.countDropped(),
      links: () => this.#connector.links,
    });
    this.#reader = new ClientReader(half, context);
    wire.listen(this);
  }

  /** The satellite is about to sleep: links to it that have no stream end. What is on its way meanwhile is held, and served after the sleep. */
  goAwayIdle(satellite: string): void {
    this.#guard(() => this.#connector.closeIdle(satellite));
  }

  /** Ends everything that goes to an epoch of that satellite up to `lastEpoch`: its VM is off. */
  endStreams(satellite: string, lastEpoch: number): void {
    this.#guard(() => {
      for (const { connection, upstream } of this.#connector.links) {
        if (upstream.satellite === satellite && upstream.epoch <= lastEpoch) {
          connection.fail(new SatelliteError("VMOff", `the VM of ${satellite} is off`));
        }
      }
    });
  }

  /** Tells the client to go elsewhere with new requests (RFC 9113 §6.8); ends when all streams have ended. */
  drain(): void {
    const state = this.#state;
    if (state.name === "open") {
      this.#guard(() => this.#goodbye.announce());
      this.#turn();
    } else if (state.name === "greeting" && state.received.length > 0) {
      // SETTINGS come before GOAWAY (RFC 9113 §3.4).
      this.#become({ ...state, drains: true });
    } else if (state.name === "greeting") {
      this.destroy();
    }
  }

  /** Ends the connection and what is still open on it: gRPC clients hear UNAVAILABLE. */
  end(): void {
    if (this.#isOver() || !this.#reader.settingsSeen) {
      this.destroy();
      return;
    }
    this.#guard(() => {
      this.#desk.refuseAll(ROUTER_STOPPING);
      this.#answerOpen(ROUTER_STOPPING);
      this.#session.goAway(this.#session.lastClientId, ErrorCode.NO_ERROR);
      this.#finish();
    });
  }

  /** Ends the connection now. */
  destroy(): void {
    this.#wire.destroy();
    this.#dispose();
  }

  /** Looks after everything that may take too long; to be called about once a second. */
  sweep(nowMs: number): void {
    this.#guard(() => this.#sweep(nowMs));
  }

  /** Whether nothing that comes is heard any more. */
  #isOver(): boolean {
    return this.#state.name === "finished" || this.#state.name === "closed";
  }

  /** @returns whether that is a way on from here */
  #become(next: ConnectionState): boolean {
    const moved = moveOn(this.#state, next);
    this.#state = moved ?? this.#state;
    return moved !== undefined;
  }

  #sweep(nowMs: number): void {
    if (this.#state.name === "finished" && nowMs - this.#state.sinceMs > this.#context.limits.lingerMs) {
      this.destroy();
    }
    if (this.#isOver()) {
      return;
    }
    switch (this.#reader.sweep(nowMs)) {
      case "silent":
        this.destroy();
        return;
      case "unfinished":
        this.#failClient(
          new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a frame that never gets whole"),
        );
        break;
      case "well":
        break;
    }
    this.#connector.sweep(nowMs);
    if (this.#goodbye.sweep(nowMs)) {
      this.#turn();
    }
  }

  onBytes(buffer: Buffer, end: number): void {
    const state = this.#state;
    if (this.#isOver()) {
      return;
    }
    try {
      if (state.name === "greeting") {
        this.#onPreface(Buffer.concat([state.received, buffer.subarray(0, end)]), state.drains);
      } else {
        this.#reader.read(buffer, 0, end);
      }
    } catch (error) {
      this.#guard(() => this.#failClient(error));
      return;
    }
    this.#turn();
  }

  #onPreface(bytes: Buffer, drains: boolean): void {
    switch (judgePreface(bytes)) {
      case "incomplete":
        this.#become({ name: "greeting", received: bytes, drains });
        return;
      case "http2":
        this.#become({ name: "open" });
        this.#session.toClient.inject(settingsFrame(this.#session.settings.own()));
        if (drains) {
          this.#goodbye.announce();
        }
        this.#reader.read(bytes, CLIENT_PREFACE.length);
        return;
      case "http1":
        this.#session.toClient.inject(upgradeRequired(this.#wire.isEncrypted ? "h2" : "h2c"));
        this.#finish();
        return;
      case "other":
        throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a connection without the HTTP/2 preface");
    }
  }

  /** The client broke the protocol or a bound: it hears why, and the connection ends (RFC 9113 §5.4.1). */
  #failClient(thrown: unknown): void {
    const error = toError(thrown);
    const isPeers = error instanceof Http2ConnectionError;
    this.#context.logger[isPeers ? "debug" : "error"]("client connection fails", { id: this.info.id, error });
    const code = isPeers ? error.errorCode : ErrorCode.INTERNAL_ERROR;
    this.#session.goAway(this.#session.lastClientId, code, isPeers ? error.message : "");
    this.#finish();
  }

  onEnd(): void {
    this.#guard(() => this.#onClientEnd());
  }

  #onClientEnd(): void {
    if (this.#isOver()) {
      this.#wire.end();
      return;
    }
    // While requests are held, a client that ended its side is one that is gone: nothing of it reaches a VM.
    this.#desk.dropAll();
    for (const stream of this.#session.streams.all()) {
      if (!stream.clientEnded) {
        // The rest of it will never come.
        stream.sink.onReset(ErrorCode.CANCEL);
        this.#session.streams.reset(stream, RequestEnd.CANCELLED);
      }
    }
    if (this.#session.streams.active === 0) {
      this.#finish();
      return;
    }
    this.#goodbye.onClientDone();
    this.#turn();
  }

  onError(error: Error): void {
    this.#context.logger.debug("client connection broke", { id: this.info.id, error });
  }

  onClose(): void {
    this.#dispose();
  }

  #onLinkLost(connection: VmConnection, error: Error | undefined): void {
    if (!this.#isOver()) {
      this.#connector.onLost(connection, error);
      this.#wake();
    }
  }

  /** Answers what no VM has ended, in its place. */
  #answerOpen(refusal: Refusal): void {
    for (const stream of this.#session.streams.all()) {
      this.#session.answerOpen(stream, refusal);
    }
  }

  /** Runs {@link #turn} once after all that settles now. */
  #wake(): void {
    if (!this.#wakeScheduled) {
      this.#wakeScheduled = true;
      queueMicrotask(() => {
        this.#wakeScheduled = false;
        this.#turn();
      });
    }
  }

  /** The end of a turn. */
  #turn(): void {
    this.#guard(() => {
      if (!this.#isOver()) {
        this.#endTurn();
      }
    });
  }

  /** A fault in here is one connection's and must not become everybody's. */
  #guard(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.#context.logger.error("connection failed", { id: this.info.id, error: toError(error) });
      this.#context.onFault();
      this.destroy();
    }
  }

  /** Passes on what can be passed on, and writes once to each side. */
  #endTurn(): void {
    const { flow, streams, toClient } = this.#session;
    if (this.#desk.held.size > 0) {
      this.#desk.pump();
    } else {
      this.#connector.abandonUnused();
    }
    if (this.#desk.held.bytes > 0 && streams.active > 0 && flow.receiveBytes < LOW_WINDOW_BYTES) {
      this.#desk.giveWindowBack();
    }
    toClient.settle();
    this.#flush();
    this.#connector.closeDone();
    if (this.#goodbye.isSaid && streams.active === 0 && this.#desk.held.size === 0 && toClient.isIdle) {
      this.#answerOpen(CONNECTION_ENDING);
      this.#finish();
      return;
    }
    this.#balance();
  }

  #flush(): void {
    const { toClient } = this.#session;
    for (const link of this.#connector.links) {
      link.flush();
    }
    this.#session.settleWindows();
    try {
      toClient.flush(this.#wire);
    } catch (error) {
      this.#context.logger.debug("client connection fails", { id: this.info.id, error });
      this.destroy();
    }
  }

  /**
   * Reads VMs no faster than the client takes what they send. The client is held back by its windows alone: it must always be
   * heard, since the streams that are open wait for the windows that it grants.
   */
  #balance(): void {
    const { maxUnsentBytes } = this.#context.limits;
    const { queuedBytes } = this.#session.toClient;
    this.#connector.pauseAnswers(this.#wire.unsentBytes > maxUnsentBytes || queuedBytes > maxUnsentBytes);
  }

  onDrain(): void {
    this.#turn();
  }

  /** Sends what is gathered, ends both sides, and lets the client read to the end. */
  #finish(): void {
    if (this.#isOver()) {
      return;
    }
    this.#desk.dropAll();
    this.#flush();
    if (!this.#become({ name: "finished", sinceMs: this.#context.clock.monotonicMs() })) {
      // It broke while the last bytes were written.
      return;
    }
    this.#reader.stop();
    this.#releaseAll();
    this.#connector.stop((connection) => connection.close());
    this.#wire.resume();
    this.#wire.end();
  }

  #releaseAll(): void {
    for (const stream of this.#session.streams.all()) {
      stream.sink.onReset(ErrorCode.CANCEL);
      this.#session.streams.reset(stream, RequestEnd.CANCELLED);
    }
  }

  /** Forgets everything. Nothing of it may keep the rest from being forgotten. */
  #dispose(): void {
    if (!this.#become({ name: "closed" })) {
      return;
    }
    this.#onClosed(this);
    const steps = [
      () => this.#reader.stop(),
      () => this.#desk.dropAll(),
      () => this.#releaseAll(),
      () => this.#connector.stop((connection) => connection.abandon()),
    ];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        this.#context.logger.error("connection failed", { id: this.info.id, error: toError(error) });
      }
    }
  }
}
