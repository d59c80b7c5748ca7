import { toError } from "../../base/errors.ts";
import {
  isSameUpstream,
  type Admission,
  type ConnectionInfo,
  type HeaderList,
  type Upstream,
} from "../engine.ts";
import { parseGrpcTimeoutMs, withReducedTimeout } from "../grpc-timeout.ts";
import { firstValue } from "../header-list.ts";
import { windowUpdateFrame } from "../../http2/frame-writer.ts";
import type { ErrorCodeValue } from "../../http2/protocol.ts";
import type { OwnService } from "../own-service.ts";
import type { Refusal } from "../refusal.ts";
import { expired, notJudged, tooLarge, tooMuchWaits } from "./refusals.ts";
import type { SpliceContext } from "./context.ts";
import { writeData } from "./data-frame.ts";
import { abandoned, HeldRequests, type HeldRequest } from "./held-requests.ts";
import { MappedCall } from "./mapped-call.ts";
import type { MappedLink } from "./mapped-link.ts";
import { OwnStream } from "./own-stream.ts";
import { writeBlock, type Block } from "./block.ts";
import type { Splice } from "./splice.ts";
import type { Forward } from "./stream-table.ts";

/** Where a request goes: to the spliced VM, over a further link, or nowhere yet: there is no VM, or it takes no more now. */
export type Route = "spliced" | MappedLink | "later";

/** What the desk needs of its connection. */
export interface DeskPort {
  readonly info: ConnectionInfo;
  /** Asks where a request goes; may begin to connect. One that `mayBeSpliced` need not be. */
  route(upstream: Upstream, streamId: number, mayBeSpliced: boolean): Route;
  /** Something may be able to go on: look at it at the end of this turn. */
  wake(): void;
  /** Does something that nobody called for; a fault in it ends the connection alone. */
  guard(what: () => void): void;
}

/** Admits the requests of one connection and passes them on. */
export class RequestDesk {
  readonly held = new HeldRequests();
  readonly #port: DeskPort;
  readonly #splice: Splice;
  readonly #context: SpliceContext;
  /** For the next request; it is used up only by a request that has to wait. */
  #spareAbort: AbortController | undefined;

  constructor(port: DeskPort, splice: Splice, context: SpliceContext) {
    this.#port = port;
    this.#splice = splice;
    this.#context = context;
  }

  /** Takes a new request. On the way without obstacles it is passed on at once. */
  request(streamId: number, block: Block, endStream: boolean): void {
    const { limits, own } = this.#context;
    if (block.tooLarge) {
      this.#refuse(streamId, tooLarge(limits.maxHeaderListBytes), !endStream);
      return;
    }
    if (own?.handles(this.#port.info, block.fields) === true) {
      this.#serve(own, streamId, block, endStream);
      return;
    }
    const abort = (this.#spareAbort ??= new AbortController());
    const admission = this.#ask(block.fields, abort.signal);
    if (admission instanceof Promise) {
      const held = this.#hold(streamId, block, endStream, abort);
      held.asked = 1;
      this.#await(held, admission);
      return;
    }
    if (admission.kind === "refuse") {
      this.#refuse(streamId, admission, !endStream);
      return;
    }
    if (admission.heldMs <= 0 && this.#forwardAtOnce(streamId, block, endStream, admission)) {
      return;
    }
    this.#hold(streamId, block, endStream, abort).admission = admission;
    this.#port.wake();
  }

  /** @returns whether the request could be passed on without waiting */
  #forwardAtOnce(streamId: number, block: Block, endStream: boolean, admission: Forward): boolean {
    const { upstream } = admission;
    if (this.held.size > 0 && this.waitsFor(upstream)) {
      return false;
    }
    const { streams, toUpstream } = this.#splice;
    const route = this.#port.route(upstream, streamId, true);
    if (route === "spliced") {
      streams.openSpliced(streamId, admission, endStream);
      writeBlock(toUpstream, streamId, block, endStream, admission);
    } else if (route !== "later") {
      void new MappedCall({ id: streamId, admission, block, isWhole: endStream }, route, this.#splice);
    }
    return route !== "later";
  }

  /** The client reset a waiting request: the VM never hears of it. */
  cancel(held: HeldRequest): void {
    this.#drop(held);
  }

  /** Ends a waiting request with RST_STREAM. */
  reset(held: HeldRequest, errorCode: ErrorCodeValue): void {
    this.#drop(held);
    this.#splice.resetStream(held.id, errorCode);
  }

  /** Drops every waiting request without a word to the client. */
  dropAll(): void {
    for (const held of this.held.all()) {
      this.#drop(held);
    }
  }

  /** Answers every waiting request, or those that were admitted to one satellite. */
  refuseAll(refusal: Refusal, satellite?: string): void {
    for (const held of this.held.all()) {
      if (satellite === undefined || held.admission?.upstream.satellite === satellite) {
        this.#refuseHeld(held, refusal);
      }
    }
  }

  /** Takes the admissions to one satellite back without asking anew yet; {@link askSuspended} follows. */
  suspend(satellite: string): void {
    for (const held of this.held.all()) {
      if (held.admission?.upstream.satellite === satellite) {
        this.#releaseAdmission(held);
        held.asked = 0;
      }
    }
  }

  /** Asks for every request for which no question is open. */
  askSuspended(): void {
    for (const held of this.held.all()) {
      if (held.admission === undefined && held.asked === 0) {
        this.#askFor(held);
      }
    }
  }

  /** Gives connection window back for what waits, so that it does not stop the streams that are open. */
  giveWindowBack(): void {
    let wantedBytes = 0;
    let givenBytes = 0;
    for (const held of this.held.all()) {
      const missingBytes = held.body.sizeBytes - held.prepaidBytes;
      const prepaidBytes = this.#splice.flow.prepay(missingBytes);
      held.prepaidBytes += prepaidBytes;
      wantedBytes += missingBytes;
      givenBytes += prepaidBytes;
    }
    if (wantedBytes > 0 && givenBytes === 0) {
      this.#refuseNewest(({ body }) => body.sizeBytes > 0);
    }
  }

  /** Keeps what waits within its bound. */
  #bound(): void {
    while (this.held.memoryBytes > this.#context.limits.maxWaitingBytes) {
      this.#refuseNewest(() => true);
    }
  }

  #refuseNewest(isMeant: (held: HeldRequest) => boolean): void {
    const newest = [...this.held.all()].findLast(isMeant);
    if (newest !== undefined) {
      this.#refuseHeld(newest, tooMuchWaits());
    }
  }

  /** Whether a request waits that was admitted to this VM. */
  waitsFor(upstream: Upstream): boolean {
    for (const { admission } of this.held.all()) {
      if (admission !== undefined && isSameUpstream(admission.upstream, upstream)) {
        return true;
      }
    }
    return false;
  }

  /** Passes on what can be passed on, in the order of the ids; what has to wait holds nothing up. */
  pump(): void {
    this.#bound();
    for (const held of this.held.all()) {
      const { admission } = held;
      if (admission === undefined || this.#refuseExpired(held, admission)) {
        continue;
      }
      const route = this.#port.route(admission.upstream, held.id, held.prepaidBytes === 0);
      if (route === "spliced") {
        this.#splicedForward(held, admission);
      } else if (route !== "later") {
        this.#map(held, admission, route);
      }
    }
  }

  #serve(own: OwnService, streamId: number, { fields }: Block, isWhole: boolean): void {
    const request = { connection: this.#port.info, headers: fields, isWhole };
    // It is known by the table of streams from now on.
    void new OwnStream(streamId, request, own, this.#splice, this.#context, this.#port);
  }

  #ask(fields: HeaderList, signal: AbortSignal): Admission | Promise<Admission> {
    try {
      return this.#context.gatekeeper.admit(this.#port.info, fields, signal);
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Admission {
    this.#context.logger.error("a request could not be judged", { error: toError(error) });
    return notJudged();
  }

  #hold(streamId: number, block: Block, endStream: boolean, abort: AbortController): HeldRequest {
    this.#spareAbort = undefined;
    return this.held.add(streamId, block, endStream, abort, this.#context.clock.monotonicMs());
  }

  #askFor(held: HeldRequest): void {
    held.asked += 1;
    const elapsedMs = this.#context.clock.monotonicMs() - held.arrivedAtMs;
    const admission = this.#ask(withReducedTimeout(held.block.fields, elapsedMs), held.abort.signal);
    if (admission instanceof Promise) {
      this.#await(held, admission);
    } else {
      this.#settle(held, held.asked, admission);
    }
  }

  #await(held: HeldRequest, admission: Promise<Admission>): void {
    const { asked } = held;
    admission.then(
      (settled) => this.#port.guard(() => this.#settle(held, asked, settled)),
      (error: unknown) => this.#port.guard(() => this.#settle(held, asked, this.#failed(error))),
    );
  }

  #settle(held: HeldRequest, asked: number, admission: Admission): void {
    if (this.held.get(held.id) !== held || held.asked !== asked) {
      if (admission.kind === "forward") {
        admission.release();
      }
      return;
    }
    if (admission.kind === "refuse") {
      this.#refuseHeld(held, admission);
    } else {
      held.admission = admission;
    }
    this.#port.wake();
  }

  /** @returns whether its deadline has passed, and it is answered so */
  #refuseExpired(held: HeldRequest, admission: Forward): boolean {
    const timeoutMs = parseGrpcTimeoutMs(firstValue(held.block.fields, "grpc-timeout") ?? "");
    if (timeoutMs === undefined || timeoutMs > this.#waitedMs(held, admission)) {
      return false;
    }
    this.#refuseHeld(held, expired());
    return true;
  }

  #waitedMs(held: HeldRequest, admission: Forward): number {
    return Math.max(admission.heldMs, this.#context.clock.monotonicMs() - held.arrivedAtMs);
  }

  /** Passes a held request to the spliced VM. What is still to come of it follows as it comes. */
  #splicedForward(held: HeldRequest, admission: Forward): void {
    const { block, body, id, trailers } = held;
    const { flow, streams, toUpstream } = this.#splice;
    this.held.take(held);
    streams.openSpliced(id, admission, held.clientEnded);
    const isWhole = held.clientEnded && body.sizeBytes === 0 && trailers === undefined;
    const fields = withReducedTimeout(block.fields, this.#waitedMs(held, admission));
    writeBlock(toUpstream, id, block, isWhole, { fields, drop: admission.drop });
    if (held.grantedBytes > 0) {
      toUpstream.add(windowUpdateFrame(id, held.grantedBytes));
    }
    flow.passToSpliced(body.sizeBytes);
    const parts = body.parts();
    for (const [place, part] of parts.entries()) {
      const isLast = held.clientEnded && trailers === undefined && place === parts.length - 1;
      writeData(toUpstream, id, part, isLast);
    }
    if (trailers !== undefined) {
      writeBlock(toUpstream, id, trailers, true, admission);
    }
  }

  /** Passes a held request over a link of its own. */
  #map(held: HeldRequest, admission: Forward, link: MappedLink): void {
    const { block, body, clientEnded, grantedBytes, id, prepaidBytes, trailers } = held;
    this.held.take(held);
    const isWhole = clientEnded && body.sizeBytes === 0 && trailers === undefined;
    const fields = withReducedTimeout(block.fields, this.#waitedMs(held, admission));
    const call = new MappedCall({ id, admission, block, fields, isWhole, prepaidBytes }, link, this.#splice);
    if (grantedBytes > 0) {
      call.onGrant(grantedBytes);
    }
    call.open.clientEnded = clientEnded;
    const parts = body.parts();
    for (const [place, part] of parts.entries()) {
      call.onContent(part, clientEnded && trailers === undefined && place === parts.length - 1);
    }
    if (trailers !== undefined) {
      call.onTrailers(trailers);
    }
  }

  #refuse(streamId: number, refusal: Refusal, clientSends: boolean): void {
    this.#splice.streams.markUnforwarded(streamId);
    this.#splice.answer(streamId, refusal, clientSends);
  }

  #refuseHeld(held: HeldRequest, refusal: Refusal): void {
    this.#drop(held);
    this.#splice.answer(held.id, refusal, !held.clientEnded);
  }

  #drop(held: HeldRequest): void {
    this.held.take(held);
    this.#splice.streams.markUnforwarded(held.id);
    this.#splice.flow.repay(held.prepaidBytes);
    this.#splice.flow.refund(held.body.sizeBytes - held.prepaidBytes);
    this.#releaseAdmission(held);
    held.abort.abort(abandoned());
  }

  #releaseAdmission(held: HeldRequest): void {
    const { admission } = held;
    held.admission = undefined;
    admission?.release();
  }
}
