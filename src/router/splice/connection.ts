import { SatelliteError, toError } from "../../base/errors.ts";
import type { ConnectionInfo } from "../engine.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { FrameReader } from "../http2/frame-reader.ts";
import { rstStreamFrame, settingsFrame } from "../http2/frame-writer.ts";
import { CLIENT_PREFACE, DEFAULT_MAX_FRAME_BYTES, ErrorCode, MAX_31_BIT } from "../http2/protocol.ts";
import { CONNECTION_ENDING, ROUTER_STOPPING } from "../refusal.ts";
import type { Refusal } from "./answers.ts";
import { ClientFrames } from "./client-frames.ts";
import { ClientHalf } from "./client-half.ts";
import { connectionLost, Connector } from "./connector.ts";
import type { SpliceContext } from "./context.ts";
import { Goodbye } from "./goodbye.ts";
import type { MappedLink } from "./mapped-link.ts";
import { judgePreface, upgradeRequired } from "./preface.ts";
import { RequestDesk, type DeskPort } from "./request-desk.ts";
import { Splice } from "./splice.ts";
import { UpstreamHalf } from "./upstream-half.ts";
import { endedError, type UpstreamLink } from "./upstream-link.ts";
import type { Wire, WireEvents } from "./wire.ts";

/** Below this the requests that wait must not use the client's window any more. */
const LOW_WINDOW_BYTES = 32 * 1024;

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
  readonly #acceptedAtMs: number;
  #preface: Buffer | undefined = Buffer.alloc(0);
  /** It was to drain while its preface came: SETTINGS come before GOAWAY (RFC 9113 §3.4). */
  #drainsAtStart = false;
  #wakeScheduled = false;
  #isFinished = false;
  #isDisposed = false;
  #clientPaused = false;
  #upstreamPaused = false;
  #finishedAtMs = 0;
  #unfinishedSinceMs: number | undefined;
  /** What the spliced VM said when it went away. */
  #farewell = "";

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
    const splice = new Splice(context, () => this.#isUpstreamWhole());
    this.#splice = splice;
    this.#goodbye = new Goodbye(splice, context.clock);
    this.#upstreamHalf = new UpstreamHalf(splice, {
      onReady: () => this.#onReady(),
      onMaxFrameBytes: (maxFrameBytes) => {
        this.#clientReader.maxFrameBytes = maxFrameBytes;
      },
      onGoAway: (lastStreamId, errorCode, debug) => this.#onUpstreamGoAway(lastStreamId, errorCode, debug),
    });
    const wake = (): void => this.#wake();
    const route: DeskPort["route"] = (upstream, streamId, mayBeSpliced) =>
      this.#connector.route(upstream, streamId, mayBeSpliced);
    this.#desk = new RequestDesk({ info, route, wake }, splice, context);
    this.#connector = new Connector(splice, context, {
      desk: this.#desk,
      frames: this.#upstreamHalf,
      events: {
        onUpstreamTurn: () => this.#turn(),
        onUpstreamDrain: () => this.#turn(),
        onUpstreamLost: (link, error) => this.#guard(() => this.#onLinkLost(link, error)),
      },
      wake,
    });
    this.#clientHalf = new ClientHalf(splice, this.#desk, context, {
      onPingAnswer: (opaque) => this.#goodbye.onPingAnswer(opaque),
      countDropped: () => this.#clientFrames.countDropped(),
      mapped: () => this.#connector.mapped,
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
    const { link } = this.#splice;
    const mapped = [...this.#connector.mapped].map((further) => further.link);
    for (const candidate of link === undefined ? mapped : [link, ...mapped]) {
      const { upstream } = candidate;
      if (upstream.satellite === satellite && upstream.epoch <= lastEpoch) {
        candidate.fail(new SatelliteError("VMOff", `the VM of ${satellite} is off`));
      }
    }
  }

  /** Tells the client to go elsewhere with new requests (RFC 9113 §6.8); ends when all streams have ended. */
  drain(): void {
    if (this.#preface?.length === 0) {
      this.destroy();
    } else if (this.#preface !== undefined) {
      this.#drainsAtStart = true;
    } else if (!this.#isFinished) {
      this.#goodbye.announce();
      this.#turn();
    }
  }

  /** Ends the connection and what is still open on it: gRPC clients hear UNAVAILABLE. */
  end(): void {
    if (this.#isFinished || !this.#clientFrames.settingsSeen) {
      this.destroy();
      return;
    }
    this.#guard(() => {
      this.#desk.refuseAll(ROUTER_STOPPING);
      if (this.#isUpstreamWhole()) {
        this.#answerOpen(ROUTER_STOPPING);
      }
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

  #sweep(nowMs: number): void {
    const { clientTimeoutMs, lingerMs } = this.#context.limits;
    if (this.#isFinished) {
      if (nowMs - this.#finishedAtMs > lingerMs) {
        this.destroy();
      }
      return;
    }
    if (!this.#clientFrames.settingsSeen && nowMs - this.#acceptedAtMs > clientTimeoutMs) {
      this.destroy();
      return;
    }
    this.#sweepUnfinished(nowMs, clientTimeoutMs);
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
    if (this.#isFinished) {
      return;
    }
    try {
      if (this.#preface === undefined) {
        this.#clientReader.read(buffer, 0, end);
      } else {
        this.#onPreface(Buffer.concat([this.#preface, buffer.subarray(0, end)]));
      }
    } catch (error) {
      this.#failClient(error);
      return;
    }
    this.#turn();
  }

  #onPreface(bytes: Buffer): void {
    switch (judgePreface(bytes)) {
      case "incomplete":
        this.#preface = bytes;
        return;
      case "http2":
        this.#preface = undefined;
        this.#splice.toClient.inject(settingsFrame(this.#splice.settings.own()));
        if (this.#drainsAtStart) {
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
    if (this.#isFinished) {
      this.#wire.end();
      return;
    }
    // While requests are held, a client that ended its side is one that is gone: nothing of it reaches a VM.
    this.#desk.dropAll();
    if (this.#splice.streams.active === 0) {
      this.#finish();
      return;
    }
    this.#goodbye.skip();
    this.#turn();
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

  /** Whether the spliced VM's bytes that were passed on end with a whole frame, outside a header block. */
  #isUpstreamWhole(): boolean {
    const { isSpliced, link } = this.#splice;
    return !isSpliced || link === undefined || this.#upstreamHalf.isCut || link.atBoundary;
  }

  /** The VM has sent SETTINGS: it hears what the client said so far, then the requests. */
  #onReady(): void {
    for (const entries of this.#splice.settings.takeRecorded()) {
      this.#splice.toUpstream.add(settingsFrame(entries));
    }
    this.#splice.begin();
  }

  /**
   * The spliced VM takes no more requests. The client is not told its last stream: requests for others, or for the time
   * after the VM's sleep, may be on the connection. What the VM did not take the client may send again (REFUSED_STREAM).
   */
  #onUpstreamGoAway(lastStreamId: number, errorCode: number, debug: string): void {
    const { streams, toClient } = this.#splice;
    if (lastStreamId === MAX_31_BIT) {
      // It only announces its end: requests that are on their way are still taken (RFC 9113 §6.8).
      this.#goodbye.announce();
      return;
    }
    this.#farewell = debug;
    this.#connector.leaveBound();
    if (errorCode !== ErrorCode.NO_ERROR && streams.mapped === 0 && this.#desk.held.size === 0) {
      // What the client did wrong it must hear: grpc-go pings less often after `too_many_pings`.
      this.#splice.goAway(lastStreamId, errorCode, debug);
      this.#goodbye.skip();
      return;
    }
    this.#goodbye.announce();
    for (const stream of streams.all()) {
      if (stream.mapped === undefined && stream.id > lastStreamId) {
        toClient.answer(stream.id, rstStreamFrame(stream.id, ErrorCode.REFUSED_STREAM));
        streams.markUnforwarded(stream.id);
        streams.reset(stream);
      }
    }
  }

  #onLinkLost(link: UpstreamLink, error: Error | undefined): void {
    if (this.#isFinished) {
      return;
    }
    this.#context.logger.debug("upstream connection ended", { satellite: link.upstream.satellite, error });
    const mapped = [...this.#connector.mapped].find((further) => further.link === link);
    if (mapped !== undefined) {
      this.#onMappedLost(mapped, error);
    } else if (link === this.#splice.link) {
      this.#onBoundLost(link, error);
    }
    this.#wake();
  }

  #onMappedLost(mapped: MappedLink, error: Error | undefined): void {
    const { upstream } = mapped;
    const cause = error ?? endedError(upstream);
    this.#connector.onMappedLost(mapped);
    if (!mapped.isReady) {
      this.#connector.onFailed(upstream, cause);
      return;
    }
    if (mapped.size > 0 || !mapped.isGoingAway) {
      this.#context.gatekeeper.upstreamFailed(upstream, cause);
    }
    for (const call of mapped.calls()) {
      call.endByRouter(connectionLost(upstream, mapped.farewell));
    }
  }

  #onBoundLost(link: UpstreamLink, error: Error | undefined): void {
    const { isSpliced, streams } = this.#splice;
    const isGoodbyeSaid = this.#upstreamHalf.isGoodbyeSaid || this.#clientHalf.isGoodbyeSaid;
    const { upstream } = link;
    const cause = error ?? endedError(upstream);
    if (!isSpliced) {
      this.#connector.onFailed(upstream, cause);
      return;
    }
    const isOwed = streams.all().some(({ mapped, upstreamEnded }) => mapped === undefined && !upstreamEnded);
    if (isOwed || error !== undefined || !isGoodbyeSaid) {
      this.#context.gatekeeper.upstreamFailed(upstream, cause);
    }
    if (!this.#isUpstreamWhole()) {
      // The client has part of a frame: nothing can follow on this connection.
      this.#finish();
      return;
    }
    for (const stream of streams.all()) {
      if (stream.mapped === undefined) {
        this.#answer(stream, connectionLost(upstream, this.#farewell));
        streams.reset(stream);
      }
    }
    this.#clientHalf.stopPassing();
    this.#splice.finish();
    if (this.#clientHalf.isGoodbyeSaid) {
      this.#goodbye.skip();
    } else {
      this.#goodbye.announce();
    }
  }

  /** Answers what no VM has ended, in its place. */
  #answerOpen(refusal: Refusal): void {
    for (const stream of this.#splice.streams.all()) {
      this.#answer(stream, refusal);
    }
  }

  #answer(stream: ReturnType<Splice["streams"]["all"]>[number], refusal: Refusal): void {
    const { clientEnded, id, responseStarted, upstreamEnded } = stream;
    if (!upstreamEnded) {
      this.#splice.answer(id, refusal, !clientEnded, responseStarted);
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
      if (!this.#isFinished) {
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
      this.#desk.prepay();
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

  /** Reads no side faster than the other takes it. A mapped link holds the client back by its windows alone. */
  #balance(): void {
    const { maxUnsentBytes, maxWaitingBytes } = this.#context.limits;
    const { link, toClient } = this.#splice;
    const upstreamIsFull = link !== undefined && link.wire.unsentBytes > maxUnsentBytes;
    if (!this.#clientPaused && (upstreamIsFull || this.#desk.held.bytes > maxWaitingBytes)) {
      this.#clientPaused = true;
      this.#wire.pause();
    } else if (this.#clientPaused && !upstreamIsFull && this.#desk.held.bytes <= maxWaitingBytes) {
      this.#clientPaused = false;
      this.#wire.resume();
    }
    const clientIsFull = this.#wire.unsentBytes > maxUnsentBytes || toClient.queuedBytes > maxUnsentBytes;
    if (clientIsFull !== this.#upstreamPaused) {
      this.#upstreamPaused = clientIsFull;
      for (const each of this.#links()) {
        each.wire[clientIsFull ? "pause" : "resume"]();
      }
    }
  }

  *#links(): Iterable<UpstreamLink> {
    if (this.#splice.link !== undefined) {
      yield this.#splice.link;
    }
    for (const { link } of this.#connector.mapped) {
      yield link;
    }
  }

  onDrain(): void {
    this.#turn();
  }

  /** Sends what is gathered, ends both sides, and lets the client read to the end. */
  #finish(): void {
    if (this.#isFinished) {
      return;
    }
    this.#desk.dropAll();
    this.#flush();
    this.#isFinished = true;
    this.#finishedAtMs = this.#context.clock.monotonicMs();
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

  #dispose(): void {
    if (this.#isDisposed) {
      return;
    }
    this.#isDisposed = true;
    this.#isFinished = true;
    this.#clientReader.stop();
    this.#desk.dropAll();
    this.#releaseAll();
    this.#connector.stop((link) => link.abandon());
    this.#splice.link?.abandon();
    this.#onClosed(this);
  }
}
