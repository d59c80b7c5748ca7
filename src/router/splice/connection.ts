import { SatelliteError, toError } from "../../base/errors.ts";
import type { ConnectionInfo } from "../engine.ts";
import { ROUTER_STOPPING } from "../refusal.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { FrameReader } from "../http2/frame-reader.ts";
import { pingFrame, settingsFrame, windowUpdateFrame } from "../http2/frame-writer.ts";
import { CLIENT_PREFACE, DEFAULT_MAX_FRAME_BYTES, ErrorCode, MAX_31_BIT } from "../http2/protocol.ts";
import { ClientFrames } from "./client-frames.ts";
import { ClientHalf } from "./client-half.ts";
import type { Refusal } from "./answers.ts";
import { Connector, unavailable } from "./connector.ts";
import type { SpliceContext } from "./context.ts";
import { judgePreface, upgradeRequired } from "./preface.ts";
import { RequestDesk } from "./request-desk.ts";
import { Splice } from "./splice.ts";
import { UpstreamHalf } from "./upstream-half.ts";
import { endedError, type UpstreamLink } from "./upstream-link.ts";
import type { Wire, WireEvents } from "./wire.ts";

/** What the PING between the two GOAWAYs of a drain carries: its answer is for the router. */
const DRAIN_PING: Buffer = Buffer.from("satldrn\0", "latin1");
/** A client that does not answer the PING of a drain is told the last stream id without. */
const DRAIN_PING_MS = 1000;

/**
 * One client connection. It is answered at once, holds requests until they are admitted, then is spliced to
 * the one VM that it talks to.
 */
export class Connection implements WireEvents {
  readonly info: ConnectionInfo;
  readonly #context: SpliceContext;
  readonly #wire: Wire;
  readonly #onClosed: (connection: Connection) => void;
  readonly #splice: Splice;
  readonly #desk: RequestDesk;
  readonly #clientFrames: ClientFrames;
  readonly #clientHalf: ClientHalf;
  readonly #clientReader: FrameReader;
  readonly #connector: Connector;
  readonly #acceptedAtMs: number;
  #preface: Buffer | undefined = Buffer.alloc(0);
  #wakeScheduled = false;
  #isFinished = false;
  #isDisposed = false;
  #clientPaused = false;
  #upstreamPaused = false;
  #finishedAtMs = 0;
  #drainPingAtMs: number | undefined;
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
    this.#splice = new Splice(context);
    this.#desk = new RequestDesk(this.#deskPort());
    this.#clientHalf = new ClientHalf(this.#splice, this.#desk, context, {
      onPingAnswer: (opaque) => this.#onPingAnswer(opaque),
      countDropped: () => this.#clientFrames.countDropped(),
    });
    this.#clientFrames = new ClientFrames(this.#clientHalf, context.limits, context.clock);
    this.#clientReader = new FrameReader(this.#clientFrames, {
      maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
      maxWholeFrameBytes: context.limits.maxFrameBytes,
    });
    this.#connector = this.#newConnector();
    wire.listen(this);
  }

  /** Sends GOAWAY and ends the connection if it is spliced to that satellite and no stream is open. */
  goAwayIdle(satellite: string): void {
    const { isSpliced, lastClientId, streams } = this.#splice;
    const isIdle = isSpliced && streams.active === 0 && this.#desk.held.size === 0;
    if (this.#connector.bound?.satellite === satellite && isIdle && !this.#isFinished) {
      this.#splice.goAway(lastClientId, ErrorCode.NO_ERROR);
      this.#finish();
    }
  }

  /** Ends everything that goes to an epoch of that satellite up to `lastEpoch`: its VM is off. */
  endStreams(satellite: string, lastEpoch: number): void {
    const { link } = this.#splice;
    if (link !== undefined && link.upstream.satellite === satellite && link.upstream.epoch <= lastEpoch) {
      link.fail(new SatelliteError("VMOff", `the VM of ${satellite} is off`));
    }
  }

  /** Tells the client to go elsewhere with new requests (RFC 9113 §6.8); ends when all streams have ended. */
  drain(): void {
    if (!this.#clientFrames.settingsSeen) {
      this.destroy();
      return;
    }
    if (this.#isFinished || this.#drainPingAtMs !== undefined) {
      return;
    }
    this.#splice.goAway(MAX_31_BIT, ErrorCode.NO_ERROR);
    this.#splice.toClient.inject(pingFrame(DRAIN_PING, false));
    this.#drainPingAtMs = this.#context.clock.monotonicMs();
    this.#turn();
  }

  /** Ends the connection and what is still open on it: gRPC clients hear UNAVAILABLE. */
  end(): void {
    if (this.#isFinished || !this.#clientFrames.settingsSeen) {
      this.destroy();
      return;
    }
    this.#desk.refuseAll(ROUTER_STOPPING);
    if (this.#splice.link?.atBoundary !== false) {
      this.#answerOpen(ROUTER_STOPPING);
    }
    this.#splice.goAway(this.#splice.lastClientId, ErrorCode.NO_ERROR);
    this.#finish();
  }

  /** Ends the connection now. */
  destroy(): void {
    this.#wire.destroy();
    this.#dispose();
  }

  /** Looks after everything that may take too long; to be called about once a second. */
  sweep(nowMs: number): void {
    const { clientTimeoutMs, connectTimeoutMs, lingerMs } = this.#context.limits;
    const { link, isSpliced } = this.#splice;
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
    if (link !== undefined && !isSpliced && nowMs - link.dialedAtMs > connectTimeoutMs) {
      link.fail(
        new SatelliteError(
          "UpstreamTimeout",
          `${link.upstream.satellite} sent no SETTINGS in ${connectTimeoutMs} ms`,
        ),
      );
    }
    if (this.#drainPingAtMs !== undefined && nowMs - this.#drainPingAtMs > DRAIN_PING_MS) {
      this.#finishDrain();
    }
  }

  /** A header block or another frame that must be whole, and does not get there. */
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
    if (this.#isFinished) {
      this.#wire.end();
      return;
    }
    // While requests are held, a client that ended its side is one that is gone: nothing of it reaches a VM.
    this.#desk.dropAll();
    if (!this.#splice.isSpliced || this.#splice.streams.active === 0) {
      this.#finish();
      return;
    }
    this.#splice.isClosing = true;
    this.#turn();
    this.#splice.link?.wire.end();
  }

  onError(error: Error): void {
    this.#context.logger.debug("client connection broke", { id: this.info.id, error });
  }

  onClose(): void {
    this.#dispose();
  }

  #onPingAnswer(opaque: Buffer): boolean {
    if (this.#drainPingAtMs === undefined || !opaque.equals(DRAIN_PING)) {
      return false;
    }
    this.#finishDrain();
    return true;
  }

  /** One round trip after the first GOAWAY every request that the client sent before it is here. */
  #finishDrain(): void {
    if (!this.#splice.isClosing) {
      this.#splice.goAway(this.#splice.lastClientId, ErrorCode.NO_ERROR);
      this.#splice.isClosing = true;
    }
    this.#wake();
  }

  #newConnector(): Connector {
    const frames = new UpstreamHalf(this.#splice, {
      onReady: () => this.#onReady(),
      onMaxFrameBytes: (maxFrameBytes) => {
        this.#clientReader.maxFrameBytes = maxFrameBytes;
      },
      onGoAway: (lastStreamId) => this.#onUpstreamGoAway(lastStreamId),
    });
    const events = {
      onUpstreamTurn: (): void => this.#turn(),
      onUpstreamDrain: (): void => this.#turn(),
      onUpstreamLost: (link: UpstreamLink, error: Error | undefined): void =>
        this.#onUpstreamLost(link, error),
    };
    return new Connector(this.#splice, this.#context, {
      desk: this.#desk,
      frames,
      events,
      wake: () => this.#wake(),
    });
  }

  #deskPort(): ConstructorParameters<typeof RequestDesk>[0] {
    const splice = this.#splice;
    const { clock, gatekeeper, limits, logger } = this.#context;
    const bound = (): string | undefined => {
      const upstream = this.#connector.bound;
      return upstream === this.#context.own?.upstream ? undefined : upstream?.satellite;
    };
    const canForward = (): boolean =>
      splice.isSpliced && (this.#clientReader.atBoundary || !this.#clientHalf.isPassingData);
    return {
      info: this.info,
      gatekeeper,
      clock,
      logger,
      limits,
      streams: splice.streams,
      settings: splice.settings,
      toUpstream: splice.toUpstream,
      boundTo: bound,
      canForward,
      route: (upstream) => this.#connector.route(upstream),
      answer: (streamId, refusal, clientSends) => splice.answer(streamId, refusal, clientSends),
      resetStream: (streamId, errorCode) => splice.resetStream(streamId, errorCode),
      refund: (sizeBytes) => splice.refund(sizeBytes),
      giveBack: () => {
        splice.giveBackUnforwarded();
        this.#desk.dropAll();
      },
      wake: () => this.#wake(),
    };
  }

  /** The VM has sent SETTINGS: it hears what the client said so far, then the requests. */
  #onReady(): void {
    const { settings, toUpstream } = this.#splice;
    this.#splice.isSpliced = true;
    for (const entries of settings.takeRecorded()) {
      toUpstream.add(settingsFrame(entries));
    }
    const grantedBytes = this.#splice.takeGrant();
    if (grantedBytes > 0) {
      toUpstream.add(windowUpdateFrame(0, grantedBytes));
    }
  }

  /** What the VM will not take goes back; the client reads so in the GOAWAY. */
  #onUpstreamGoAway(lastStreamId: number): void {
    // 2^31-1 only announces the end: requests that are on their way are still taken (RFC 9113 §6.8).
    this.#splice.isClosing = lastStreamId < MAX_31_BIT;
    for (const held of this.#desk.held.all()) {
      if (held.id > lastStreamId) {
        this.#desk.cancel(held);
      }
    }
  }

  #onUpstreamLost(link: UpstreamLink, error: Error | undefined): void {
    if (link !== this.#splice.link || this.#isFinished) {
      return;
    }
    this.#context.logger.debug("upstream connection ended", { satellite: link.upstream.satellite, error });
    if (!this.#splice.isSpliced) {
      this.#connector.onFailed(link.upstream, error ?? endedError(link.upstream));
      return;
    }
    const { streams, isGoodbyeSaid } = this.#splice;
    if (streams.active > 0 || error !== undefined || !isGoodbyeSaid) {
      this.#context.gatekeeper.upstreamFailed(link.upstream, error ?? endedError(link.upstream));
    }
    if (link.atBoundary) {
      const satellite = this.#connector.bound?.satellite ?? "the satellite";
      this.#answerOpen(unavailable(`the connection to ${satellite} ended`));
      this.#splice.giveBackUnforwarded();
    }
    this.#finish();
  }

  /** Answers what the VM has not ended, in its place. */
  #answerOpen(refusal: Refusal): void {
    for (const { id, clientEnded, upstreamEnded, responseStarted } of this.#splice.streams.all()) {
      if (!upstreamEnded) {
        this.#splice.answer(id, refusal, !clientEnded, responseStarted);
      }
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

  /** The end of a turn. A fault in here is one connection's and must not become everybody's. */
  #turn(): void {
    if (this.#isFinished) {
      return;
    }
    try {
      this.#endTurn();
    } catch (error) {
      this.#context.logger.error("connection failed", { id: this.info.id, error: toError(error) });
      this.destroy();
    }
  }

  /** Passes on what can be passed on, and writes once to each side. */
  #endTurn(): void {
    const splice = this.#splice;
    if (this.#desk.held.size > 0) {
      this.#desk.pump();
    } else if (!splice.isSpliced && splice.link !== undefined) {
      this.#connector.abandon();
    }
    splice.sendRefund();
    this.#flush();
    if (splice.isClosing && splice.streams.active === 0 && this.#desk.held.size === 0) {
      this.#finish();
      return;
    }
    this.#balance();
  }

  #flush(): void {
    const { link, isSpliced, toClient, toUpstream } = this.#splice;
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

  /** Reads no side faster than the other takes it. */
  #balance(): void {
    const { maxUnsentBytes, maxWaitingBytes } = this.#context.limits;
    const { link } = this.#splice;
    const upstreamIsFull = link !== undefined && link.wire.unsentBytes > maxUnsentBytes;
    if (!this.#clientPaused && (upstreamIsFull || this.#desk.held.bytes > maxWaitingBytes)) {
      this.#clientPaused = true;
      this.#wire.pause();
    } else if (this.#clientPaused && !upstreamIsFull && this.#desk.held.bytes <= maxWaitingBytes) {
      this.#clientPaused = false;
      this.#wire.resume();
    }
    if (!this.#upstreamPaused && this.#wire.unsentBytes > maxUnsentBytes) {
      this.#upstreamPaused = true;
      link?.wire.pause();
    }
  }

  onDrain(): void {
    if (this.#upstreamPaused) {
      this.#upstreamPaused = false;
      this.#splice.link?.wire.resume();
    }
    this.#turn();
  }

  /** Sends what is gathered, ends both sides, and lets the client read to the end. */
  #finish(): void {
    if (this.#isFinished) {
      return;
    }
    this.#desk.dropAll();
    this.#splice.sendRefund();
    this.#flush();
    this.#isFinished = true;
    this.#finishedAtMs = this.#context.clock.monotonicMs();
    this.#clientReader.stop();
    this.#releaseAll();
    this.#splice.link?.close();
    this.#wire.resume();
    this.#wire.end();
  }

  #releaseAll(): void {
    for (const stream of this.#splice.streams.all()) {
      this.#splice.streams.reset(stream);
    }
  }

  #dispose(): void {
    if (this.#isDisposed) {
      return;
    }
    this.#isDisposed = true;
    this.#isFinished = true;
    this.#connector.stop();
    this.#clientReader.stop();
    this.#desk.dropAll();
    this.#releaseAll();
    this.#splice.link?.abandon();
    this.#onClosed(this);
  }
}
