import { settingsAckFrame } from "../../../../src/router/http2/frame-writer.ts";
import { Flag, FrameType, MAX_31_BIT } from "../../../../src/router/http2/protocol.ts";
import { frame, u32 } from "../support/peer.ts";
import { StrictPeer, unpadded, type Arrived, type ArrivedBlock } from "./strict-peer.ts";

const WINDOW_BYTES = 65_535;

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
  #connectionBytes = WINDOW_BYTES;
  readonly #streamBytes = new Map<number, number>();
  readonly #cancelled = new Set<number>();

  /** It is about to open this stream. */
  open(id: number): void {
    this.calls.set(id, { status: undefined, body: Buffer.alloc(0), trailers: new Map(), hasHeaders: false });
    this.#streamBytes.set(id, WINDOW_BYTES);
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
    this.#connectionBytes -= payload.length;
    const streamBytes = (this.#streamBytes.get(id) ?? 0) - payload.length;
    if (streamBytes < 0 || this.#connectionBytes < 0) {
      throw new Error(`client: more DATA than its window on stream ${id}`);
    }
    this.#connectionBytes += payload.length;
    if (payload.length > 0) {
      this.outgoing.push(frame(FrameType.WINDOW_UPDATE, 0, 0, u32(payload.length)));
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
    } else if (type === FrameType.PING && !isAck) {
      this.outgoing.push(frame(FrameType.PING, Flag.ACK, 0, payload));
    } else if (type === FrameType.RST_STREAM) {
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
