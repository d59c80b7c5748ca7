import type { Upstream } from "../engine.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import {
  pingFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  type SettingEntry,
} from "../../http2/frame-writer.ts";
import { HpackEncoder } from "../../http2/hpack-encoder.ts";
import {
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  MAX_31_BIT,
  Setting,
  CLIENT_PREFACE,
} from "../../http2/protocol.ts";
import { requireIncrement, requireWindow } from "../../http2/windows.ts";
import type { RelayContext } from "./context.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { CallLink, VmCall } from "./vm-call.ts";
import { Outbox } from "./outbox.ts";
import type { ClientSession } from "./client-session.ts";
import type { PeerEvents } from "./peer-frames.ts";
import { ANSWER_WINDOW_BYTES, VmAnswers, type LinkCalls } from "./vm-answers.ts";
import { UntakenBytes } from "./untaken-bytes.ts";
import { VmConnection, type LinkEvents } from "./vm-connection.ts";

/** What is gathered for a VM in one turn: few bytes of a header block can stand for many. */
const MAX_GATHERED_BYTES = 1024 * 1024;

/** What a link tells its connector, besides {@link LinkEvents}. */
export interface VmLinkPort {
  readonly events: LinkEvents;
  /** The VM's first SETTINGS are here: it can be given requests. */
  onReady(link: VmLink): void;
  /** More was gathered in a turn than it may be, and has been written: requests that wait may go on. */
  onRoom(): void;
}

/**
 * HTTP/2 with one VM, for the streams of one client's connection: their ids, windows and header blocks are rewritten, so
 * that they fit among those of other VMs. Stream windows for answers stay an affair between client and VM.
 */
export class VmLink implements CallLink, LinkCalls, PeerEvents {
  readonly upstream: Upstream;
  readonly connection: VmConnection;
  readonly #session: ClientSession;
  readonly #port: VmLinkPort;
  readonly #out: Outbox;
  readonly #answers: VmAnswers;
  readonly #calls = new Map<number, VmCall>();
  #nextId = 1;
  #isReady = false;
  #isGoingAway = false;
  #farewell = "";
  #sendWindowBytes = DEFAULT_WINDOW_BYTES;
  #streamWindowBytes = DEFAULT_WINDOW_BYTES;
  #maxStreams = MAX_31_BIT;
  readonly encoder = new HpackEncoder();
  /** Bytes of answers that the VM has asked for. */
  readonly #answered = new UntakenBytes();
  /** Calls that wait for the VM's windows. */
  readonly #waiting = new Set<VmCall>();
  readonly #maxUnsentBytes: number;
  readonly #maxControlBytes: number;

  constructor(upstream: Upstream, session: ClientSession, context: RelayContext, port: VmLinkPort) {
    const { clock, dial, limits, memory, scratch, slabs } = context;
    this.upstream = upstream;
    this.#session = session;
    this.#port = port;
    this.#out = new Outbox(slabs);
    this.#answers = new VmAnswers(upstream, session, scratch, this);
    this.#maxUnsentBytes = limits.maxUnsentBytes;
    this.#maxControlBytes = limits.maxControlBytes;
    const settings = settingsFrame(session.settings.forVm());
    const window = windowUpdateFrame(0, ANSWER_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
    const wire = dial(upstream, memory, (open) => open.writeAll([CLIENT_PREFACE, settings, window]));
    this.connection = new VmConnection(upstream, wire, this, port.events, limits, clock);
  }

  /** Whether the VM has sent its SETTINGS. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether the VM takes no new requests on this connection. */
  get isGoingAway(): boolean {
    return this.#isGoingAway;
  }

  /** What the VM said when it went away. */
  get farewell(): string {
    return this.#farewell;
  }

  /** Whether one more request may be given to the VM now. */
  get canTake(): boolean {
    const isOpen = this.#isReady && !this.#isGoingAway && this.#calls.size < this.#maxStreams;
    return isOpen && !this.isFull && this.#out.gatheredBytes <= MAX_GATHERED_BYTES;
  }

  /** Streams that are open here. */
  get size(): number {
    return this.#calls.size;
  }

  get isFull(): boolean {
    return this.connection.wire.unsentBytes > this.#maxUnsentBytes;
  }

  get out(): Outbox {
    return this.#out;
  }

  get sendWindowBytes(): number {
    return this.#sendWindowBytes;
  }

  get streamWindowBytes(): number {
    return this.#streamWindowBytes;
  }

  add(call: VmCall): number {
    const linkId = this.#nextId;
    this.#nextId += 2;
    this.#calls.set(linkId, call);
    return linkId;
  }

  remove(linkId: number): void {
    this.#calls.delete(linkId);
  }

  charge(sizeBytes: number): void {
    this.#sendWindowBytes -= sizeBytes;
  }

  noteWaiting(call: VmCall): void {
    this.#waiting.add(call);
  }

  /**
   * The client has new SETTINGS: so has the VM.
   *
   * @param deltaBytes by how much the windows of the client's streams have become larger, or smaller
   */
  onClientSettings(deltaBytes: number): void {
    this.#out.add(settingsFrame(this.#session.settings.forVm()));
    for (const call of this.#calls.values()) {
      call.widenClient(deltaBytes);
    }
  }

  /** Sends what waits for the VM's windows, and writes. */
  flush(): void {
    if (!this.#isReady) {
      return;
    }
    for (const call of this.#waiting) {
      if (call.isForgotten || call.pump()) {
        this.#waiting.delete(call);
      }
    }
    const grantBytes = this.#answers.takeGrant();
    if (grantBytes > 0) {
      this.#out.add(windowUpdateFrame(0, grantBytes));
    }
    const writtenBytes = this.#out.gatheredBytes;
    if (!this.#out.isEmpty) {
      const hadRoom = writtenBytes <= MAX_GATHERED_BYTES;
      this.#out.flush(this.connection.wire);
      if (!hadRoom) {
        this.#port.onRoom();
      }
    }
    this.#answered.settle(writtenBytes, this.connection.wire.unsentBytes);
  }

  /** All calls; ending them meanwhile is allowed. */
  calls(): VmCall[] {
    return [...this.#calls.values()];
  }

  onSettings(entries: readonly SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (id === Setting.INITIAL_WINDOW_SIZE) {
        const deltaBytes = value - this.#streamWindowBytes;
        this.#streamWindowBytes = value;
        for (const call of this.#calls.values()) {
          call.widen(deltaBytes);
        }
      } else if (id === Setting.MAX_CONCURRENT_STREAMS) {
        this.#maxStreams = value;
      } else if (id === Setting.HEADER_TABLE_SIZE) {
        this.encoder.adopt(value);
      }
    }
    this.#answerVm(settingsAckFrame());
    if (!this.#isReady) {
      this.#isReady = true;
      this.#port.onReady(this);
    }
  }

  onPing(isAck: boolean, opaque: Buffer): void {
    if (!isAck) {
      this.#answerVm(pingFrame(opaque, true));
    }
  }

  onSelfDependency(): void {
    // The client decides what its requests depend on.
  }

  /** @throws Http2ConnectionError ENHANCE_YOUR_CALM for a VM that does not read the answers it asks for */
  #answerVm(frame: Buffer): void {
    this.#answered.note(frame.length);
    if (this.isFull && this.#answered.atMost > this.#maxControlBytes) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the VM does not read what it asks for");
    }
    this.#out.add(frame);
  }

  onGoAway(lastStreamId: number, debug: string): void {
    this.#isGoingAway = true;
    // Node says goodbye a second time, without a word, when it closes.
    this.#farewell = debug || this.#farewell;
    for (const [linkId, call] of this.#calls) {
      if (linkId > lastStreamId) {
        call.endByVm(ErrorCode.REFUSED_STREAM);
      }
    }
  }

  onWindowUpdate(linkId: number, incrementBytes: number): void {
    requireIncrement(incrementBytes);
    if (linkId === 0) {
      this.#sendWindowBytes += incrementBytes;
      requireWindow(this.#sendWindowBytes);
    } else {
      this.require(linkId)?.widen(incrementBytes);
    }
  }

  onHeaderBlock(block: HeaderBlock): void {
    this.#answers.onHeaderBlock(block);
  }

  onData(
    flags: number,
    linkId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.#answers.onData(flags, linkId, payloadBytes, buffer, start, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    this.#answers.onDataPart(buffer, start, end);
  }

  onReset(linkId: number, errorCode: number): void {
    this.require(linkId)?.endByVm(errorCode);
  }

  /**
   * The call of a stream, unless it is over.
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR: the VM may speak of nothing but what it was asked
   */
  require(linkId: number): VmCall | undefined {
    if (linkId === 0 || (linkId & 1) === 0 || linkId >= this.#nextId) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `the VM sent a frame for stream ${linkId}, which it was never given`,
      );
    }
    return this.#calls.get(linkId);
  }
}
