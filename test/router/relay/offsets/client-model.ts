import { settingsAckFrame } from "../../../../src/http2/frame-writer.ts";
import { Flag, FrameType, MAX_31_BIT, Setting } from "../../../../src/http2/protocol.ts";
import { frame, u32 } from "../support/peer.ts";
import { StrictPeer, unpadded, type Arrived, type ArrivedBlock } from "./strict-peer.ts";
import { WindowReceiver, WindowSender } from "./window-sender.ts";

/** How a call ended for the client. */
export interface Ended {
  /** grpc-status, or "reset N" by RST_STREAM. */
  status: string | undefined;
  body: Buffer;
  /** The trailers' or the only headers. */
  trailers: ReadonlyMap<string, string>;
  hasHeaders: boolean;
}

/** A client that acknowledges, grants windows, and throws at what it must not be sent. */
export class ClientModel extends StrictPeer {
  /** Its bytes that have not arrived at the router yet. */
  outgoing: Buffer[] = [];
  readonly calls = new Map<number, Ended>();
  /** Last stream id of the last GOAWAY. */
  lastStreamId = MAX_31_BIT;
  goAwayCode: number | undefined;
  /** It grants windows only when it is asked to. */
  isSlow = false;
  readonly sender = new WindowSender();
  readonly #received = new WindowReceiver();
  readonly #cancelled = new Set<number>();

  /** It is about to open this stream. */
  open(id: number): void {
    this.calls.set(id, { status: undefined, body: Buffer.alloc(0), trailers: new Map(), hasHeaders: false });
  }

  /**
   * Grants the windows of what it has received.
   *
   * @returns whether there was anything to grant
   */
  grant(): boolean {
    const due = this.#received.takeDue();
    for (const [id, sizeBytes] of due) {
      if (id === 0 || this.calls.get(id)?.status === undefined) {
        this.outgoing.push(frame(FrameType.WINDOW_UPDATE, 0, id, u32(sizeBytes)));
      }
    }
    return due.length > 0;
  }

  /** It has reset this stream: frames may still be on their way. */
  cancel(id: number): void {
    this.#cancelled.add(id);
  }

  protected onBlock({ id, fields, endStream }: ArrivedBlock): void {
    const call = this.#require(id, "HEADERS");
    if (fields.has(":status") === call.hasHeaders) {
      throw new Error(`client: headers of stream ${id} ${call.hasHeaders ? "twice" : "without a status"}`);
    }
    call.hasHeaders = true;
    if (endStream) {
      call.trailers = fields;
      call.status = fields.get("grpc-status") ?? "none";
    }
  }

  protected onContent({ flags, id, payload }: Arrived): void {
    const call = this.#require(id, "DATA");
    if (!call.hasHeaders) {
      throw new Error(`client: DATA of stream ${id} before its headers`);
    }
    this.#received.receive("client", id, payload.length);
    if (!this.isSlow) {
      this.grant();
    }
    call.body = Buffer.concat([call.body, unpadded(payload, flags)]);
    if ((flags & Flag.END_STREAM) !== 0) {
      call.status = "none";
    }
  }

  protected onOther({ type, flags, id, payload }: Arrived): void {
    const isAck = (flags & Flag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAck) {
      this.outgoing.push(settingsAckFrame());
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === Setting.INITIAL_WINDOW_SIZE) {
          this.sender.initial(payload.readUInt32BE(at + 2));
        }
      }
      this.outgoing.push(...this.sender.take());
    } else if (type === FrameType.PING && !isAck) {
      this.outgoing.push(frame(FrameType.PING, Flag.ACK, 0, payload));
    } else if (type === FrameType.WINDOW_UPDATE) {
      this.sender.grant(id, payload.readUInt32BE(0));
      this.outgoing.push(...this.sender.take());
    } else if (type === FrameType.RST_STREAM) {
      this.sender.drop(id);
      const call = this.calls.get(id);
      if (call === undefined) {
        throw new Error(`client: RST_STREAM on stream ${id}, which it never opened`);
      }
      call.status ??= `reset ${payload.readUInt32BE(0)}`;
    } else if (type === FrameType.GOAWAY) {
      const lastStreamId = payload.readUInt32BE(0);
      if (lastStreamId > this.lastStreamId) {
        throw new Error(`client: GOAWAY rises from ${this.lastStreamId} to ${lastStreamId}`);
      }
      this.lastStreamId = lastStreamId;
      this.goAwayCode = payload.readUInt32BE(4);
    }
  }

  #require(id: number, what: string): Ended {
    const call = this.calls.get(id);
    if (call === undefined) {
      throw new Error(`client: ${what} on stream ${id}, which it never opened`);
    }
    if (call.status !== undefined && !this.#cancelled.has(id)) {
      throw new Error(`client: ${what} behind the end of stream ${id}`);
    }
    return call;
  }
}
