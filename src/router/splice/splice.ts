import { goAwayFrame, rstStreamFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { MAX_31_BIT, type ErrorCodeValue } from "../../http2/protocol.ts";
import { statusName } from "../grpc-status.ts";
import { RateLimit } from "../rate-limit.ts";
import type { Refusal } from "../refusal.ts";
import { answerFrames } from "./answers.ts";
import { ClientFlow } from "./client-flow.ts";
import { ClientOutput } from "./client-output.ts";
import type { SpliceContext } from "./context.ts";
import { SettingsBridge } from "./settings-bridge.ts";
import { StreamTable, type OpenStream } from "./stream-table.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import { Outbox } from "./outbox.ts";

/**
 * Where a connection stands with the VM whose frames pass as they are. It gets one at most: `none` until a VM has sent
 * SETTINGS, `spliced` as long as that VM is connected, `over` ever after (and from the start where nothing is spliced). Requests that cannot go there are mapped.
 */
export type SpliceState = "none" | "spliced" | "over";

/** What the parts of a connection share: where bytes go, which streams there are, what was promised. */
export class Splice {
  readonly streams = new StreamTable();
  readonly settings: SettingsBridge;
  readonly flow: ClientFlow;
  readonly toClient: ClientOutput;
  readonly toUpstream: Outbox;
  /** Counts an ended request, see {@link RequestEnd}. */
  readonly onRequestEnd: (code: string) => void;
  /** The connection to the VM that is spliced, or that is to be. */
  link: UpstreamLink | undefined;
  /** Highest stream id that the client has opened. */
  lastClientId = 0;
  readonly #resetRate: RateLimit;
  #state: SpliceState;
  #goAwayLimit = MAX_31_BIT;

  constructor(context: SpliceContext) {
    this.#state = context.splices ? "none" : "over";
    if (!context.splices) {
      this.streams.endSplicing();
    }
    this.onRequestEnd = context.onRequestEnd;
    this.#resetRate = new RateLimit(context.limits.resetRate, "errors on streams", context.clock);
    this.settings = new SettingsBridge(context.limits);
    this.flow = new ClientFlow(context.prepaid);
    this.toUpstream = new Outbox(context.slabs);
    this.toClient = new ClientOutput(context.slabs, context.limits, this.flow, this.settings);
  }

  get state(): SpliceState {
    return this.#state;
  }

  /** Whether a VM's frames pass as they are: it is then the client's peer; else the router answers for it. */
  get isSpliced(): boolean {
    return this.#state === "spliced";
  }

  /** The VM has sent its SETTINGS. It hears what the client granted so far. */
  begin(): void {
    this.#state = "spliced";
    const grantedBytes = this.flow.splice();
    if (grantedBytes > 0) {
      this.toUpstream.add(windowUpdateFrame(0, grantedBytes));
    }
  }

  /** The spliced VM is gone: the router answers for what is still to come. */
  finish(): void {
    this.#state = "over";
    this.streams.endSplicing();
    this.link = undefined;
    this.flow.unsplice();
    this.toUpstream.clear();
    for (const frame of this.settings.forgetSpliced()) {
      this.toClient.inject(frame);
    }
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

  /** Answers a request in the VM's place. The answer is made when it is put in: it depends on its place. */
  answer(streamId: number, refusal: Refusal, clientSends: boolean, responseStarted = false): void {
    this.onRequestEnd(statusName(refusal.status));
    this.toClient.answer(streamId, () =>
      answerFrames(refusal, {
        streamId,
        responseStarted,
        clientSends,
        tableSizeBytes: this.settings.takeTableAnnouncement(),
      }),
    );
  }

  /** {@link answer} for an open stream, unless its answer has ended. */
  answerOpen({ clientEnded, id, responseStarted, upstreamEnded }: OpenStream, refusal: Refusal): void {
    if (!upstreamEnded) {
      this.answer(id, refusal, !clientEnded, responseStarted);
    }
  }

  /**
   * Resets a stream towards the client, for an error of the client's: as cheap for it to cause as a reset of its own
   * (CVE-2025-8671, "MadeYouReset").
   *
   * @throws Http2ConnectionError ENHANCE_YOUR_CALM when there were too many
   */
  resetStream(streamId: number, errorCode: ErrorCodeValue): void {
    this.#resetRate.take();
    this.toClient.drop(streamId);
    this.toClient.answer(streamId, rstStreamFrame(streamId, errorCode));
  }

  /** Grants windows that were used for DATA which the spliced VM did not see; goes back to plain splicing where it can. */
  settleWindows(): void {
    for (const frame of this.flow.takeRefunds()) {
      this.toClient.inject(frame);
    }
    if (this.flow.isShared && this.isSpliced) {
      this.#grantSpliced();
    }
  }

  #grantSpliced(): void {
    const isQuiet = this.toClient.isIdle && this.streams.mapped === 0 && this.link?.atBoundary === true;
    const grantBytes = (isQuiet ? this.flow.unshare() : undefined) ?? this.flow.takeSplicedDue();
    if (grantBytes > 0) {
      this.toUpstream.add(windowUpdateFrame(0, grantBytes));
    }
  }
}
