import { rstStreamFrame } from "../../http2/frame-writer.ts";
import { ErrorCode, MAX_31_BIT } from "../../http2/protocol.ts";
import type { ClientHalf } from "./client-half.ts";
import type { Connector } from "./connector.ts";
import { connectionLost } from "./refusals.ts";
import type { SpliceContext } from "./context.ts";
import type { Goodbye } from "./goodbye.ts";
import type { MappedLink } from "./mapped-link.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { Splice } from "./splice.ts";
import type { UpstreamHalf } from "./upstream-half.ts";
import { endedError, type UpstreamLink } from "./upstream-link.ts";

/** The parts of a connection that hear of it when a VM goes away. */
export interface VmEndsParts {
  readonly splice: Splice;
  readonly context: SpliceContext;
  readonly connector: Connector;
  readonly desk: RequestDesk;
  readonly clientHalf: ClientHalf;
  readonly upstreamHalf: UpstreamHalf;
  readonly goodbye: Goodbye;
}

/** What becomes of a client's connection when one of its VMs goes away, in good order or not. */
export class VmEnds {
  readonly #parts: VmEndsParts;
  /** What the spliced VM said when it went away. */
  #farewell = "";

  constructor(parts: VmEndsParts) {
    this.#parts = parts;
  }

  /**
   * The spliced VM takes no more requests. The client is not told its last stream: requests for others, or for the time
   * after the VM's sleep, may be on the connection. What the VM did not take the client may send again (REFUSED_STREAM).
   */
  onGoAway(lastStreamId: number, errorCode: number, debug: string): void {
    const { connector, desk, goodbye, splice } = this.#parts;
    const { streams, toClient } = splice;
    if (lastStreamId === MAX_31_BIT) {
      // It only announces its end: requests that are on their way are still taken (RFC 9113 §6.8).
      goodbye.announce();
      return;
    }
    this.#farewell = debug || this.#farewell;
    connector.leaveBound();
    if (errorCode === ErrorCode.ENHANCE_YOUR_CALM && streams.mapped === 0 && desk.held.size === 0) {
      // What the client did wrong it must hear: grpc-go pings less often after `too_many_pings`.
      splice.goAway(lastStreamId, errorCode, debug);
      goodbye.skip();
      return;
    }
    goodbye.announce();
    for (const stream of streams.all()) {
      if (stream.mapped === undefined && stream.id > lastStreamId) {
        toClient.answer(stream.id, rstStreamFrame(stream.id, ErrorCode.REFUSED_STREAM));
        streams.markUnforwarded(stream.id);
        streams.reset(stream);
      }
    }
  }

  /** A connection to a VM is over. */
  onLost(link: UpstreamLink, error: Error | undefined): void {
    const { connector, context, splice } = this.#parts;
    context.logger.debug("upstream connection ended", { satellite: link.upstream.satellite, error });
    const mapped = [...connector.mapped].find((further) => further.link === link);
    if (mapped !== undefined) {
      this.#onMappedLost(mapped, error);
    } else if (link === splice.link) {
      this.#onSplicedLost(link, error);
    }
  }

  #onMappedLost(mapped: MappedLink, error: Error | undefined): void {
    const { connector, context } = this.#parts;
    const { upstream } = mapped;
    const cause = error ?? endedError(upstream);
    connector.onMappedLost(mapped);
    if (!mapped.isReady) {
      connector.onFailed(upstream, cause);
      return;
    }
    if (mapped.size > 0 || !mapped.isGoingAway) {
      context.gatekeeper.upstreamFailed(upstream, cause);
    }
    for (const call of mapped.calls()) {
      call.endByRouter(connectionLost(upstream, mapped.farewell));
    }
  }

  #onSplicedLost({ upstream }: UpstreamLink, error: Error | undefined): void {
    const { clientHalf, connector, context, goodbye, splice, upstreamHalf } = this.#parts;
    const { streams } = splice;
    const cause = error ?? endedError(upstream);
    if (!splice.isSpliced) {
      connector.onFailed(upstream, cause);
      return;
    }
    const isGoodbyeSaid = upstreamHalf.isGoodbyeSaid || clientHalf.isGoodbyeSaid;
    const isOwed = streams.all().some(({ mapped, upstreamEnded }) => mapped === undefined && !upstreamEnded);
    if (isOwed || error !== undefined || !isGoodbyeSaid) {
      context.gatekeeper.upstreamFailed(upstream, cause);
    }
    for (const stream of streams.all()) {
      if (stream.mapped === undefined) {
        splice.answerOpen(stream, connectionLost(upstream, this.#farewell));
        streams.reset(stream);
      }
    }
    splice.finish();
    if (clientHalf.isGoodbyeSaid) {
      goodbye.skip();
    } else {
      goodbye.announce();
    }
  }
}
