import { SatelliteError, toError } from "../../base/errors.ts";
import type { ConnectionInfo } from "../engine.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import { FrameReader } from "../../http2/frame-reader.ts";
import { settingsFrame } from "../../http2/frame-writer.ts";
import { CLIENT_PREFACE, DEFAULT_MAX_FRAME_BYTES, ErrorCode } from "../../http2/protocol.ts";
import { CONNECTION_ENDING, ROUTER_STOPPING, type Refusal } from "../refusal.ts";
import { ClientFrames } from "./client-frames.ts";
import { ClientHalf } from "./client-half.ts";
import { moveOn, type ConnectionState } from "./connection-state.ts";
import { Connector } from "./connector.ts";
import { RequestEnd, type SpliceContext } from "./context.ts";
import { Goodbye } from "./goodbye.ts";
import { judgePreface, upgradeRequired } from "./preface.ts";
import { RequestDesk, type DeskPort } from "./request-desk.ts";
import { Splice } from "./splice.ts";
import { UpstreamHalf } from "./upstream-half.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import { VmEnds } from "./vm-ends.ts";
import type { Wire, WireEvents } from "./wire.ts";

/** Below this the requests that wait must not use the client's window any more. */
const LOW_WINDOW_BYTES = 32 * 1024;

/** A VM that reads nothing for so long has stalled. */
const STALL_MS = 1000;

/**
 * One client connection. It is answered at once, holds requests until they are admitted, then is spliced to the first VM
 * that it talks to; requests for further ones are mapped.
 */
export class Connection implements WireEvents {
  readonly info: ConnectionInfo;
  readonly #context: SpliceContext;
  readonly #wire: Wire;
  readonly #onClosed: (connection: Connection) => void;
  readonly #splice: Splice;
  readonly #goodbye: Goodbye;
  readonly #desk: RequestDesk;
  readonly #clientFrames: ClientFrames;
  readonly #clientHalf: ClientHalf;
  readonly #clientReader: FrameReader;
  readonly #upstreamHalf: UpstreamHalf;
  readonly #connector: Connector;
  readonly #vmEnds: VmEnds;
  readonly #acceptedAtMs: number;
  #state: ConnectionState = { name: "greeting", received: Buffer.alloc(0), drains: false };
  #wakeScheduled = false;
  #clientPaused = false;
  #upstreamPaused = false;
  #pausedSinceMs = Infinity;
  /** Others than the spliced VM are served here: the client is read even if that VM stalls. */
  #readsAhead = false;
  #unfinishedSinceMs: number | undefined;

  /** @param onClosed called once, when the client's connection is closed */
  constructor(
    wire: Wire,
    info: ConnectionInfo,
    context: SpliceContext,
    onClosed: (connection: Connection) => void,
  ) {
    this.info = info;
    this.#context = context;
    this.#wire = wire;
    this.#onClosed = onClosed;
    this.#acceptedAtMs = context.clock.monotonicMs();
    const splice = new Splice(context);
    this.#splice = splice;
    this.#goodbye = new Goodbye(splice, context.clock);
    this.#upstreamHalf = new UpstreamHalf(splice, {
      onReady: () => this.#onReady(),
      onMaxFrameBytes: (maxFrameBytes) => {
        this.#clientReader.maxFrameBytes = maxFrameBytes;
      },
      onGoAway: (lastStreamId, errorCode, debug) => this.#vmEnds.onGoAway(lastStreamId, errorCode, debug),
    });
    const wake = (): void => this.#wake();
    const guard = (what: () => void): void => this.#guard(what);
    const route: DeskPort["route"] = (upstream, streamId, mayBeSpliced) =>
      this.#connector.route(upstream, streamId, mayBeSpliced);
    this.#desk = new RequestDesk({ info, route, wake, guard }, splice, context);
    this.#connector = new Connector(splice, context, {
      desk: this.#desk,
      frames: this.#upstreamHalf,
      events: {
        onUpstreamTurn: () => this.#turn(),
        onUpstreamDrain: () => this.#turn(),
        onUpstreamLost: (link, error) => guard(() => this.#onLinkLost(link, error)),
      },
      wake,
      guard,
    });
    this.#clientHalf = new ClientHalf(splice, this.#desk, context, {
      onPingAnswer: (opaque) => this.#goodbye.onPingAnswer(opaque),
      countDropped: () => this.#clientFrames.countDropped(),
      mapped: () => this.#connector.mapped,
    });
    this.#vmEnds = new VmEnds({
      splice,
      context,
      connector: this.#connector,
      desk: this.#desk,
      clientHalf: this.#clientHalf,
      upstreamHalf: this.#upstreamHalf,
      goodbye: this.#goodbye,
    });
    this.#clientFrames = new ClientFrames(this.#clientHalf, context.limits, context.clock);
    this.#clientReader = new FrameReader(this.#clientFrames, {
      maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
      maxWholeFrameBytes: context.limits.maxFrameBytes,
    });
    wire.listen(this);
  }

  /**
   * The satellite is about to sleep. A connection that has no stream open to it is asked to come back anew; what is on its
   * way meanwhile is held, and served after the sleep.
   */
  goAwayIdle(satellite: string): void {
    this.#guard(() => {
      this.#connector.closeIdle(satellite);
      const isIdle = this.#splice.streams.active === 0 && this.#desk.held.size === 0;
      if (this.#splice.isSpliced && this.#connector.bound?.satellite === satellite && isIdle) {
        this.drain();
      }
    });
  }

  /** Ends everything that goes to an epoch of that satellite up to `lastEpoch`: its VM is off. */
  endStreams(satellite: string, lastEpoch: number): void {
    this.#guard(() => {
      for (const link of this.#links()) {
        const { upstream } = link;
        if (upstream.satellite === satellite && upstream.epoch <= lastEpoch) {
          link.fail(new SatelliteError("VMOff", `the VM of ${satellite} is off`));
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
    if (this.#isOver || !this.#clientFrames.settingsSeen) {
      this.destroy();
      return;
    }
    this.#guard(() => {
      this.#desk.refuseAll(ROUTER_STOPPING);
      this.#answerOpen(ROUTER_STOPPING);
      this.#splice.goAway(this.#splice.lastClientId, ErrorCode.NO_ERROR);
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
  get #isOver(): boolean {
    return this.#state.name === "finished" || this.#state.name === "closed";
  }

  /** @returns whether that is a way on from here */
  #become(next: ConnectionState): boolean {
    const moved = moveOn(this.#state, next);
    this.#state = moved ?? this.#state;
    return moved !== undefined;
  }

  #sweep(nowMs: number): void {
    const { clientTimeoutMs, lingerMs } = this.#context.limits;
    if (this.#state.name === "finished" && nowMs - this.#state.sinceMs > lingerMs) {
      this.destroy();
    }
    if (this.#isOver) {
      return;
    }
    if (!this.#clientFrames.settingsSeen && nowMs - this.#acceptedAtMs > clientTimeoutMs) {
      this.destroy();
      return;
    }
    this.#sweepUnfinished(nowMs, clientTimeoutMs);
    if (nowMs - this.#pausedSinceMs > STALL_MS) {
      // Nobody knows what else the client has sent: it may be for others.
      this.#readsAhead = true;
      this.#balance();
    }
    this.#connector.sweep(nowMs);
    if (this.#goodbye.sweep(nowMs)) {
      this.#turn();
    }
  }

  /** A header block, or another frame that is taken only whole, and of which the rest does not come. */
  #sweepUnfinished(nowMs: number, timeoutMs: number): void {
    const reader = this.#clientReader;
    const isUnfinished = this.#clientFrames.isMidBlock || (reader.isMidFrame && reader.atBoundary);
    this.#unfinishedSinceMs = isUnfinished ? (this.#unfinishedSinceMs ?? nowMs) : undefined;
    if (this.#unfinishedSinceMs !== undefined && nowMs - this.#unfinishedSinceMs > timeoutMs) {
      this.#failClient(
        new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a frame that never gets whole"),
      );
    }
  }

  onBytes(buffer: Buffer, end: number): void {
    const state = this.#state;
    if (this.#isOver) {
      return;
    }
    try {
      if (state.name === "greeting") {
        this.#onPreface(Buffer.concat([state.received, buffer.subarray(0, end)]), state.drains);
      } else {
        this.#clientReader.read(buffer, 0, end);
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
        this.#splice.toClient.inject(settingsFrame(this.#splice.settings.own()));
        if (drains) {
          this.#goodbye.announce();
        }
        this.#clientReader.read(bytes, CLIENT_PREFACE.length);
        return;
      case "http1":
        this.#splice.toClient.inject(upgradeRequired(this.#wire.isEncrypted ? "h2" : "h2c"));
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
    this.#splice.goAway(this.#splice.lastClientId, code, isPeers ? error.message : "");
    this.#finish();
  }

  onEnd(): void {
    this.#guard(() => this.#onClientEnd());
  }

  #onClientEnd(): void {
    if (this.#isOver) {
      this.#wire.end();
      return;
    }
    // While requests are held, a client that ended its side is one that is gone: nothing of it reaches a VM.
    this.#desk.dropAll();
    for (const stream of this.#splice.streams.all()) {
      if (stream.mapped !== undefined && !stream.clientEnded) {
        // The rest of it will never come. A spliced VM hears that by the end of its connection.
        this.#splice.onRequestEnd(RequestEnd.CANCELLED);
        stream.mapped.onReset(ErrorCode.CANCEL);
        this.#splice.streams.reset(stream);
      }
    }
    if (this.#splice.streams.active === 0) {
      this.#finish();
      return;
    }
    this.#goodbye.skip();
    this.#turn();
    for (const mapped of this.#connector.mapped) {
      mapped.endRequests();
    }
    if (this.#splice.isSpliced) {
      this.#splice.link?.wire.end();
    }
  }

  onError(error: Error): void {
    this.#context.logger.debug("client connection broke", { id: this.info.id, error });
  }

  onClose(): void {
    this.#dispose();
  }

  /** The VM has sent SETTINGS: it hears what the client said so far, then the requests. */
  #onReady(): void {
    for (const entries of this.#splice.settings.takeRecorded()) {
      this.#splice.toUpstream.add(settingsFrame(entries));
    }
    this.#splice.begin();
  }

  #onLinkLost(link: UpstreamLink, error: Error | undefined): void {
    if (!this.#isOver) {
      this.#vmEnds.onLost(link, error);
      this.#wake();
    }
  }

  /** Answers what no VM has ended, in its place. */
  #answerOpen(refusal: Refusal): void {
    for (const stream of this.#splice.streams.all()) {
      this.#splice.answerOpen(stream, refusal);
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
      if (!this.#isOver) {
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
    const { flow, streams, toClient } = this.#splice;
    if (this.#desk.held.size > 0) {
      this.#desk.pump();
    } else if (!this.#splice.isSpliced) {
      this.#connector.abandonUnused();
    }
    if (this.#desk.held.bytes > 0 && streams.active > 0 && flow.receiveBytes < LOW_WINDOW_BYTES) {
      this.#desk.giveWindowBack();
    }
    toClient.settle();
    this.#flush();
    if (this.#goodbye.isSaid && streams.active === 0 && this.#desk.held.size === 0 && toClient.isIdle) {
      this.#answerOpen(CONNECTION_ENDING);
      this.#finish();
      return;
    }
    this.#balance();
  }

  #flush(): void {
    const { link, isSpliced, toClient, toUpstream } = this.#splice;
    for (const mapped of this.#connector.mapped) {
      mapped.flush();
    }
    this.#splice.settleWindows();
    if (isSpliced && link !== undefined && !toUpstream.isEmpty) {
      toUpstream.flush(link.wire);
    }
    try {
      toClient.flush(this.#wire);
    } catch (error) {
      this.#context.logger.debug("client connection fails", { id: this.info.id, error });
      this.destroy();
    }
  }

  /**
   * Reads no side faster than the other takes it. Mapped links and requests that wait hold the client back by its windows
   * alone: it must always be heard, since the streams that are open wait for the windows that it grants.
   */
  #balance(): void {
    const { maxUnsentBytes } = this.#context.limits;
    const { link, toClient } = this.#splice;
    const upstreamIsFull = this.#isUpstreamFull(link?.wire.unsentBytes ?? 0);
    if (upstreamIsFull !== this.#clientPaused) {
      this.#clientPaused = upstreamIsFull;
      this.#pausedSinceMs = upstreamIsFull ? this.#context.clock.monotonicMs() : Infinity;
      this.#wire[upstreamIsFull ? "pause" : "resume"]();
    }
    const clientIsFull = this.#wire.unsentBytes > maxUnsentBytes || toClient.queuedBytes > maxUnsentBytes;
    if (clientIsFull !== this.#upstreamPaused) {
      this.#upstreamPaused = clientIsFull;
      for (const each of this.#links()) {
        each.wire[clientIsFull ? "pause" : "resume"]();
      }
    }
  }

  /** The client of a spliced VM is paused while that VM does not read; but for it alone, others do not wait for that. */
  #isUpstreamFull(unsentBytes: number): boolean {
    const { flow, streams } = this.#splice;
    if (unsentBytes <= this.#context.limits.maxUnsentBytes) {
      flow.cover(0);
      return false;
    }
    this.#readsAhead ||= streams.mapped > 0 || this.#desk.held.size > 0;
    return !this.#readsAhead || !flow.cover(unsentBytes);
  }

  #links(): UpstreamLink[] {
    const mapped = [...this.#connector.mapped].map(({ link }) => link);
    return this.#splice.link === undefined ? mapped : [this.#splice.link, ...mapped];
  }

  onDrain(): void {
    this.#turn();
  }

  /** Sends what is gathered, ends both sides, and lets the client read to the end. */
  #finish(): void {
    if (this.#isOver) {
      return;
    }
    this.#desk.dropAll();
    this.#flush();
    if (!this.#become({ name: "finished", sinceMs: this.#context.clock.monotonicMs() })) {
      // It broke while the last bytes were written.
      return;
    }
    this.#clientReader.stop();
    this.#releaseAll();
    this.#connector.stop((link) => link.close());
    this.#splice.link?.close();
    this.#wire.resume();
    this.#wire.end();
  }

  #releaseAll(): void {
    for (const stream of this.#splice.streams.all()) {
      stream.mapped?.onReset(ErrorCode.CANCEL);
      this.#splice.streams.reset(stream);
    }
  }

  /** Forgets everything. Nothing of it may keep the rest from being forgotten. */
  #dispose(): void {
    if (!this.#become({ name: "closed" })) {
      return;
    }
    this.#onClosed(this);
    const steps = [
      () => this.#clientReader.stop(),
      () => this.#desk.dropAll(),
      () => this.#releaseAll(),
      () => this.#connector.stop((link) => link.abandon()),
      () => this.#splice.link?.abandon(),
      () => void this.#splice.flow.cover(0),
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
