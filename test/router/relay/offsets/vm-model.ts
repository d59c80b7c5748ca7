import { settingsAckFrame, settingsFrame } from "../../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, Flag, FrameType, MAX_31_BIT, Setting } from "../../../../src/http2/protocol.ts";
import { data, frame, headers, u32 } from "../support/peer.ts";
import type { MemoryWire } from "./memory-wire.ts";
import { StrictPeer, unpadded, type Arrived, type ArrivedBlock } from "./strict-peer.ts";
import { WindowReceiver, WindowSender } from "./window-sender.ts";

/** A request as the machine got it. */
export interface Received {
  readonly call: string;
  body: Buffer;
  trailers: ReadonlyMap<string, string> | undefined;
  isWhole: boolean;
  isReset: boolean;
  isAnswered: boolean;
}

/** A machine that answers each whole request by its own body, and throws at what it must not be sent. */
export class VmModel extends StrictPeer {
  readonly name: string;
  readonly wire: MemoryWire;
  readonly requests = new Map<number, Received>();
  /** Its own bytes that have not arrived at the router yet. */
  outgoing: Buffer[] = [];
  /** It grants windows only when it is asked to. */
  isSlow = false;
  #prefaceLeft: number = CLIENT_PREFACE.length;
  #lastId = 0;
  readonly #received = new WindowReceiver();
  readonly #sender = new WindowSender();
  #isSettled = false;
  #takenUpTo: number = MAX_31_BIT;

  /** @param settles whether it sends its SETTINGS at once */
  constructor(name: string, wire: MemoryWire, settles: boolean) {
    super();
    this.name = name;
    this.wire = wire;
    if (settles) {
      this.settle();
    }
  }

  /**
   * Grants the windows of what it has received.
   *
   * @returns whether there was anything to grant
   */
  grant(): boolean {
    const due = this.#received.takeDue();
    for (const [id, sizeBytes] of due) {
      this.outgoing.push(frame(FrameType.WINDOW_UPDATE, 0, id, u32(sizeBytes)));
    }
    return due.length > 0;
  }

  /** Whether it says nothing yet. */
  get isSilent(): boolean {
    return !this.#isSettled;
  }

  /** Sends its SETTINGS, once, before everything else (RFC 9113 §3.4). */
  settle(): void {
    if (!this.#isSettled) {
      this.#isSettled = true;
      this.outgoing.unshift(settingsFrame([]));
    }
  }

  override read(bytes: Buffer): void {
    const skipped = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= skipped;
    super.read(bytes.subarray(skipped));
  }

  /** Resets the first request that is open, as a server does that lost interest. */
  resetOne(): void {
    for (const [id, request] of this.requests) {
      if (!request.isReset && !request.isAnswered) {
        request.isReset = true;
        this.outgoing.push(frame(FrameType.RST_STREAM, 0, id, u32(2)));
        return;
      }
    }
  }

  /** Ends the first open answer before the request is whole. */
  answerEarly(): void {
    for (const [id, request] of this.requests) {
      if (!request.isReset && !request.isAnswered) {
        request.isAnswered = true;
        this.outgoing.push(
          headers(id, { ":status": "200", "content-type": "application/grpc", "grpc-status": "10" }, true),
        );
        return;
      }
    }
  }

  /** @param lastId 2^31-1 to announce it only */
  goAway(lastId: number): void {
    this.#takenUpTo = lastId;
    this.outgoing.push(frame(FrameType.GOAWAY, 0, 0, u32(lastId, 0)));
    for (const [id, request] of this.requests) {
      request.isReset ||= id > lastId;
    }
  }

  get lastId(): number {
    return this.#lastId;
  }

  protected onBlock({ id, fields, endStream }: ArrivedBlock): void {
    const known = this.requests.get(id);
    if (known === undefined) {
      if (id <= this.#lastId || id % 2 === 0) {
        throw new Error(`${this.name}: HEADERS on stream ${id} behind ${this.#lastId}`);
      }
      this.#lastId = id;
      this.requests.set(id, {
        call: fields.get("call") ?? "",
        body: Buffer.alloc(0),
        trailers: undefined,
        isWhole: false,
        isReset: id > this.#takenUpTo,
        isAnswered: false,
      });
    } else {
      this.#requireOpen(id, known);
      known.trailers = fields;
    }
    if (endStream) {
      this.#end(id);
    }
  }

  protected onContent({ flags, id, payload }: Arrived): void {
    const request = this.requests.get(id);
    if (request === undefined) {
      throw new Error(`${this.name}: DATA on stream ${id}, which was never opened`);
    }
    this.#requireOpen(id, request);
    this.#received.receive(this.name, id, payload.length);
    if (!this.isSlow) {
      this.grant();
    }
    request.body = Buffer.concat([request.body, unpadded(payload, flags)]);
    if ((flags & Flag.END_STREAM) !== 0) {
      this.#end(id);
    }
  }

  protected onOther({ type, flags, id, payload }: Arrived): void {
    const isAck = (flags & Flag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAck) {
      this.outgoing.push(settingsAckFrame());
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === Setting.INITIAL_WINDOW_SIZE) {
          this.#sender.initial(payload.readUInt32BE(at + 2));
        }
      }
    } else if (type === FrameType.PING && !isAck) {
      this.outgoing.push(frame(FrameType.PING, Flag.ACK, 0, payload));
    } else if (type === FrameType.WINDOW_UPDATE) {
      this.#sender.grant(id, payload.readUInt32BE(0));
      this.outgoing.push(...this.#sender.take());
    } else if (type === FrameType.RST_STREAM) {
      const request = this.requests.get(id);
      if (request === undefined) {
        throw new Error(`${this.name}: RST_STREAM on stream ${id}, which was never opened`);
      }
      request.isReset = true;
      this.#sender.drop(id);
    } else if (type === FrameType.PRIORITY) {
      throw new Error(`${this.name}: PRIORITY, which does not pass`);
    }
  }

  #requireOpen(id: number, request: Received): void {
    if (request.isWhole) {
      throw new Error(`${this.name}: a frame behind the end of stream ${id}`);
    }
  }

  /** Answers with headers in CONTINUATION, content in two frames, one of them padded, and trailers. */
  #end(id: number): void {
    const request = this.requests.get(id);
    if (request === undefined) {
      return;
    }
    request.isWhole = true;
    if (request.isReset || request.isAnswered) {
      return;
    }
    request.isAnswered = true;
    const half = Math.floor(request.body.length / 2);
    const block = headers(id, { ":status": "200", "content-type": "application/grpc", vm: this.name });
    const payload = block.subarray(9);
    this.outgoing.push(
      frame(FrameType.HEADERS, 0, id, payload.subarray(0, 5)),
      frame(FrameType.CONTINUATION, Flag.END_HEADERS, id, payload.subarray(5)),
    );
    const trailers = headers(id, { "grpc-status": "0", trailer: request.trailers?.get("sum") ?? "" }, true);
    if (this.isSlow) {
      this.#sender.add(id, request.body, [trailers]);
      this.outgoing.push(...this.#sender.take());
      return;
    }
    this.outgoing.push(
      data(id, request.body.subarray(0, half)),
      frame(
        FrameType.DATA,
        Flag.PADDED,
        id,
        Buffer.concat([Buffer.from([3]), request.body.subarray(half), Buffer.alloc(3)]),
      ),
      trailers,
    );
  }
}
