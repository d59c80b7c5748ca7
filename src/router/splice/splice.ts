import { goAwayFrame, rstStreamFrame, windowUpdateFrame } from "../http2/frame-writer.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { DEFAULT_WINDOW_BYTES, ErrorCode, MAX_31_BIT, type ErrorCodeValue } from "../http2/protocol.ts";
import { statusName } from "../grpc-status.ts";
import { answerFrames, type Refusal } from "./answers.ts";
import { ClientOutput } from "./client-output.ts";
import type { SpliceContext } from "./context.ts";
import { Outbox } from "./outbox.ts";
import { RateLimit } from "../rate-limit.ts";
import { SettingsBridge } from "./settings-bridge.ts";
import { StreamTable } from "./stream-table.ts";
import type { UpstreamLink } from "./upstream-link.ts";

/** What the two halves of a connection share: where bytes go, which streams there are, what was promised. */
export class Splice {
  readonly streams = new StreamTable();
  readonly settings: SettingsBridge;
  readonly toClient: ClientOutput;
  readonly toUpstream: Outbox;
  /** Counts an ended request, see {@link RequestEnd}. */
  readonly onRequestEnd: (code: string) => void;
  link: UpstreamLink | undefined;
  /** The VM has sent its SETTINGS: from now on it is the peer, until then the router answers for it. */
  isSpliced = false;
  /** Highest stream id that the client has opened. */
  lastClientId = 0;
  /** Client or VM has said by GOAWAY that it goes away: the VM's end is then no failure. */
  isGoodbyeSaid = false;
  /** No further requests are taken; the connection ends when its streams have run out. */
  isClosing = false;
  readonly #resetRate: RateLimit;
  #goAwayLimit = MAX_31_BIT;
  #refundBytes = 0;
  /** What the client has used of the connection window that the router grants while it answers. */
  #windowUsedBytes = 0;
  #grantedBytes = 0;

  constructor(context: SpliceContext) {
    this.onRequestEnd = context.onRequestEnd;
    this.#resetRate = new RateLimit(context.limits.resetRate, "errors on streams", context.clock);
    this.settings = new SettingsBridge(context.limits);
    this.toUpstream = new Outbox(context.slabs);
    this.toClient = new ClientOutput(
      context.slabs,
      context.limits,
      () => !this.isSpliced || this.link === undefined || this.link.atBoundary,
    );
  }

  /** Streams above this id will not be processed; it only falls (RFC 9113 §6.8). */
  get goAwayLimit(): number {
    return this.#goAwayLimit;
  }

  /** Sends GOAWAY; the last stream id is never above one that was sent before. */
  goAway(lastStreamId: number, errorCode: number, debug = ""): void {
    this.#goAwayLimit = Math.min(this.#goAwayLimit, lastStreamId);
    this.toClient.inject(goAwayFrame(this.#goAwayLimit, errorCode, debug));
  }

  /** Tells the client to take everything that was not passed on elsewhere, and to expect no more. */
  giveBackUnforwarded(): void {
    this.goAway(this.streams.lastForwardedId, ErrorCode.NO_ERROR);
    this.isClosing = true;
  }

  /** Answers a request in the VM's place. The answer is made when it is put in: it depends on its place. */
  answer(streamId: number, refusal: Refusal, clientSends: boolean, responseStarted = false): void {
    this.onRequestEnd(statusName(refusal.status));
    this.toClient.inject(() =>
      answerFrames(refusal, {
        streamId,
        responseStarted,
        clientSends,
        tableSizeBytes: this.settings.takeTableAnnouncement(),
      }),
    );
  }

  /**
   * Resets a stream towards the client, for an error of the client's: as cheap for it to cause as a reset of its own
   * (CVE-2025-8671, "MadeYouReset").
   *
   * @throws Http2ConnectionError ENHANCE_YOUR_CALM when there were too many
   */
  resetStream(streamId: number, errorCode: ErrorCodeValue): void {
    this.#resetRate.take();
    this.toClient.inject(rstStreamFrame(streamId, errorCode));
  }

  /**
   * Counts DATA against the connection window as long as the router answers for the VM. No stream can use
   * more than the connection, and both windows start alike, so streams need no account of their own.
   *
   * @throws Http2ConnectionError FLOW_CONTROL_ERROR (RFC 9113 §6.9.1)
   */
  useWindow(sizeBytes: number): void {
    if (this.isSpliced) {
      return;
    }
    this.#windowUsedBytes += sizeBytes;
    if (this.#windowUsedBytes > DEFAULT_WINDOW_BYTES) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window");
    }
  }

  /** Gives connection window back for DATA that the VM never sees; without it the connection starves. */
  refund(sizeBytes: number): void {
    this.#refundBytes += sizeBytes;
    this.#windowUsedBytes -= sizeBytes;
  }

  /** Sends what {@link refund} gathered. */
  sendRefund(): void {
    if (this.#refundBytes > 0) {
      this.toClient.inject(windowUpdateFrame(0, this.#refundBytes));
      this.#refundBytes = 0;
    }
  }

  /**
   * Notes connection window that the client granted before there was a VM to tell.
   *
   * @throws Http2ConnectionError for an increment of zero or an overflow (RFC 9113 §6.9)
   */
  recordGrant(incrementBytes: number): void {
    this.#grantedBytes += incrementBytes;
    if (incrementBytes === 0) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0");
    }
    if (this.#grantedBytes > MAX_31_BIT - DEFAULT_WINDOW_BYTES) {
      throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
    }
  }

  /** Connection window to grant the VM in the client's name. */
  takeGrant(): number {
    const granted = this.#grantedBytes;
    this.#grantedBytes = 0;
    return granted;
  }
}
