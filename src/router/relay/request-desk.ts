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
import type { ErrorCodeValue } from "../../http2/protocol.ts";
import type { OwnService } from "../own-service.ts";
import type { Refusal } from "../refusal.ts";
import { expired, notJudged, tooLarge, tooMuchWaits } from "./refusals.ts";
import { RequestEnd, type RelayContext } from "./context.ts";
import { abandoned, HeldRequests, type HeldRequest } from "./held-requests.ts";
import { VmCall } from "./vm-call.ts";
import type { VmLink } from "./vm-link.ts";
import { OwnStream } from "./own-stream.ts";
import type { Block } from "./block.ts";
import type { ClientSession } from "./client-session.ts";
import type { Forward } from "./stream-table.ts";

/** What the desk needs of its connection. */
export interface DeskPort {
  readonly info: ConnectionInfo;
  /** The link that takes one more request to that VM now, if there is one; may begin to connect. */
  linkTo(upstream: Upstream): VmLink | undefined;
  /** Something may be able to go on: look at it at the end of this turn. */
  wake(): void;
  /** Does something that nobody called for; a fault in it ends the connection alone. */
  guard(what: () => void): void;
}

/** Admits the requests of one connection and passes them on. */
export class RequestDesk {
  readonly held = new HeldRequests();
  readonly #port: DeskPort;
  readonly #session: ClientSession;
  readonly #context: RelayContext;
  /** For the next request; it is used up only by a request that has to wait. */
  #spareAbort: AbortController | undefined;

  constructor(port: DeskPort, session: ClientSession, context: RelayContext) {
    this.#port = port;
    this.#session = session;
    this.#context = context;
  }

  /** Takes a new request. On the way without obstacles it is passed on at once. */
  request(streamId: number, block: Block, endStream: boolean): void {
    const { limits, own } = this.#context;
    if (block.tooLarge) {
      this.#session.answer(streamId, tooLarge(limits.maxHeaderListBytes), !endStream);
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
      this.#session.answer(streamId, admission, !endStream);
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
    const link = this.#port.linkTo(upstream);
    if (link === undefined) {
      return false;
    }
    void new VmCall({ id: streamId, admission, block, isWhole: endStream }, link, this.#session);
    return true;
  }

  /** The client reset a waiting request: the VM never hears of it. */
  cancel(held: HeldRequest): void {
    this.#drop(held);
    this.#session.onRequestEnd(RequestEnd.CANCELLED);
  }

  /** Ends a waiting request with RST_STREAM. */
  reset(held: HeldRequest, errorCode: ErrorCodeValue): void {
    this.cancel(held);
    this.#session.resetStream(held.id, errorCode);
  }

  /** Drops every waiting request without a word to the client. */
  dropAll(): void {
    for (const held of this.held.all()) {
      this.cancel(held);
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
      const prepaidBytes = this.#session.flow.prepay(missingBytes);
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
      const link = this.#port.linkTo(admission.upstream);
      if (link !== undefined) {
        this.#forward(held, admission, link);
      }
    }
  }

  #serve(own: OwnService, streamId: number, { fields }: Block, isWhole: boolean): void {
    const request = { connection: this.#port.info, headers: fields, isWhole };
    // It is known by the table of streams from now on.
    void new OwnStream(streamId, request, own, this.#session, this.#context, this.#port);
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

  /** Passes a held request on. What is still to come of it follows as it comes. */
  #forward(held: HeldRequest, admission: Forward, link: VmLink): void {
    const { block, body, clientEnded, grantedBytes, id, prepaidBytes, trailers } = held;
    this.held.take(held);
    const isWhole = clientEnded && body.sizeBytes === 0 && trailers === undefined;
    const fields = withReducedTimeout(block.fields, this.#waitedMs(held, admission));
    const call = new VmCall({ id, admission, block, fields, isWhole, prepaidBytes }, link, this.#session);
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

  #refuseHeld(held: HeldRequest, refusal: Refusal): void {
    this.#drop(held);
    this.#session.answer(held.id, refusal, !held.clientEnded);
  }

  #drop(held: HeldRequest): void {
    this.held.take(held);
    this.#session.flow.repay(held.prepaidBytes);
    this.#session.flow.refund(held.body.sizeBytes - held.prepaidBytes);
    this.#releaseAdmission(held);
    held.abort.abort(abandoned());
  }

  #releaseAdmission(held: HeldRequest): void {
    const { admission } = held;
    held.admission = undefined;
    admission?.release();
  }
}
