import { once } from "node:events";
import net from "node:net";
import { FrameReader, type FrameSink } from "../../../../src/http2/frame-reader.ts";
import { settingsFrame, writeFrameHeader, writeHeaderFrames } from "../../../../src/http2/frame-writer.ts";
import { HpackDecoder } from "../../../../src/http2/hpack-decoder.ts";
import { encodeField, maxFieldBytes } from "../../../../src/http2/hpack-encoder.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../../../src/http2/protocol.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
  /** Of a header block, on its last frame. */
  readonly fields?: readonly (readonly [name: string, value: string])[];
}

interface Waiter {
  readonly match: (frame: Frame) => boolean;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
}

/** Either end of an HTTP/2 connection, frame by frame: sends any bytes, and waits for what comes. */
export class Peer implements FrameSink {
  readonly socket: net.Socket;
  /** Everything that came and was not taken. */
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  #waiters: Waiter[] = [];
  #data: { flags: number; id: number; parts: Buffer[]; missing: number } | undefined;
  #blocks: Buffer[] = [];
  readonly #decoder: HpackDecoder;
  readonly #reader = new FrameReader(this, 0xff_ffff);
  #skip: number;

  constructor(
    socket: net.Socket,
    options: { readonly skipBytes?: number; readonly tableBytes?: number } = {},
  ) {
    this.socket = socket;
    this.#skip = options.skipBytes ?? 0;
    this.#decoder = new HpackDecoder({ maxListBytes: 1 << 24, maxTableBytes: options.tableBytes ?? 4096 });
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    const ended = new Promise<void>((resolve) => {
      socket.once("end", resolve);
      socket.once("close", () => resolve());
    });
    this.closed = this.#rejectAfter(ended);
  }

  async #rejectAfter(ended: Promise<void>): Promise<void> {
    await ended;
    for (const { reject } of this.#waiters.splice(0)) {
      reject(new Error(`the connection ended; unread: ${this.describe()}`));
    }
  }

  describe(): string {
    return this.frames
      .map(({ type, flags, id, payload }) => `${type}/${flags}/${id}/${payload.length}`)
      .join(" ");
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** The first frame, come or coming, that matches; it is taken out. */
  take(match: (frame: Frame) => boolean): Promise<Frame> {
    const place = this.frames.findIndex(match);
    const [found] = place < 0 ? [] : this.frames.splice(place, 1);
    if (found !== undefined) {
      return Promise.resolve(found);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ match, resolve, reject });
    });
  }

  type(type: number, id?: number): Promise<Frame> {
    return this.take((candidate) => candidate.type === type && (id === undefined || candidate.id === id));
  }

  /** The fields of the next whole header block of a stream. */
  async headers(id: number): Promise<Map<string, string>> {
    const last = await this.take((candidate) => candidate.id === id && candidate.fields !== undefined);
    return new Map(last.fields);
  }

  /** The next `sizeBytes` of a stream's content, in as many frames as they come. */
  async content(id: number, sizeBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = sizeBytes; missing > 0;) {
      const { payload } = await this.type(FrameType.DATA, id);
      parts.push(payload);
      missing -= payload.length;
    }
    return Buffer.concat(parts);
  }

  /** A round trip: everything that was sent before was handled when this resolves. */
  async roundTrip(): Promise<void> {
    this.#pings += 1;
    const opaque = Buffer.alloc(8);
    opaque.writeUInt32BE(this.#pings);
    this.send(frame(FrameType.PING, 0, 0, opaque));
    await this.take(
      ({ type, flags, payload }) => type === FrameType.PING && flags === Flag.ACK && payload.equals(opaque),
    );
  }

  /** A round trip through the router to the machine and back, on a stream on which both sides may send. */
  async roundTripThrough(vm: Peer, id = 1, linkId = 1): Promise<void> {
    const ping = Buffer.from("ping");
    this.send(data(id, ping));
    vm.send(data(linkId, await vm.content(linkId, ping.length)));
    await this.content(id, ping.length);
  }

  #pings = 0;

  #read(chunk: Buffer): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    this.#reader.read(chunk, skipped);
  }

  onFrame(
    type: number,
    flags: number,
    id: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    const payload = Buffer.from(buffer.subarray(start + 9, start + 9 + payloadBytes));
    if (type !== FrameType.HEADERS && type !== FrameType.CONTINUATION) {
      this.#add({ type, flags, id, payload });
      return;
    }
    this.#blocks.push(type === FrameType.HEADERS ? fragment(payload, flags) : payload);
    if ((flags & Flag.END_HEADERS) === 0) {
      this.#add({ type, flags, id, payload });
      return;
    }
    const whole = Buffer.concat(this.#blocks.splice(0));
    this.#add({ type, flags, id, payload, fields: this.#decoder.decode(whole, 0, whole.length).fields });
  }

  onData(flags: number, id: number, payloadBytes: number, buffer: Buffer, start: number, end: number): void {
    this.#data = { flags, id, parts: [], missing: payloadBytes };
    this.onDataPart(buffer, start + 9, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    const current = this.#data;
    if (current === undefined) {
      throw new Error("a part of no frame");
    }
    const { flags, id, parts } = current;
    parts.push(Buffer.from(buffer.subarray(start, end)));
    current.missing -= end - start;
    if (current.missing === 0) {
      this.#add({ type: FrameType.DATA, flags, id, payload: Buffer.concat(parts) });
    }
  }

  #add(added: Frame): void {
    const place = this.#waiters.findIndex(({ match }) => match(added));
    const [waiter] = place < 0 ? [] : this.#waiters.splice(place, 1);
    if (waiter === undefined) {
      this.frames.push(added);
    } else {
      waiter.resolve(added);
    }
  }
}

function fragment(payload: Buffer, flags: number): Buffer {
  const padded = (flags & Flag.PADDED) !== 0;
  const from = (padded ? 1 : 0) + ((flags & Flag.PRIORITY) !== 0 ? 5 : 0);
  return payload.subarray(from, payload.length - (padded ? (payload[0] ?? 0) : 0));
}

/** Any frame. */
export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  writeFrameHeader(header, 0, payload.length, type, flags, id);
  return Buffer.concat([header, payload]);
}

/** A DATA frame. */
export function data(id: number, payload: Uint8Array | string, endStream = false): Buffer {
  return frame(FrameType.DATA, endStream ? Flag.END_STREAM : 0, id, Buffer.from(payload as string));
}

/** A header block of literals. */
export function block(fields: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(fields);
  const target = Buffer.alloc(pairs.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0));
  return target.subarray(
    0,
    pairs.reduce((at, [name, value]) => encodeField(target, at, name, value, false), 0),
  );
}

/** HEADERS, and CONTINUATION where needed. */
export function headers(id: number, fields: Readonly<Record<string, string>>, endStream = false): Buffer {
  const encoded = block(fields);
  const target = Buffer.alloc(encoded.length + 1000);
  return target.subarray(0, writeHeaderFrames(target, 0, id, encoded, endStream));
}

/** The HEADERS of a gRPC request. */
export function request(
  id: number,
  fields: Readonly<Record<string, string>> = {},
  endStream = false,
): Buffer {
  return headers(
    id,
    {
      ":method": "POST",
      ":scheme": "http",
      ":path": "/test.Service/Method",
      ":authority": "a.b.example",
      "content-type": "application/grpc",
      te: "trailers",
      ...fields,
    },
    endStream,
  );
}

/** A whole gRPC answer without messages. */
export function trailersOnly(id: number): Buffer {
  return headers(id, { ":status": "200", "content-type": "application/grpc", "grpc-status": "0" }, true);
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [place, value] of values.entries()) {
    bytes.writeUInt32BE(value, place * 4);
  }
  return bytes;
}

/** Reads a SETTINGS payload. */
export function settingsOf(payload: Buffer): (readonly [id: number, value: number])[] {
  return Array.from({ length: payload.length / 6 }, (_unused, place) => [
    payload.readUInt16BE(place * 6),
    payload.readUInt32BE(place * 6 + 2),
  ]);
}

/** Connects as a client that has sent its preface and SETTINGS. */
export async function connectRaw(
  port: number,
  settings: readonly (readonly [id: number, value: number])[] = [],
  options: { readonly tableBytes?: number } = {},
): Promise<Peer> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  const peer = new Peer(socket, options);
  peer.send(CLIENT_PREFACE, settingsFrame(settings));
  return peer;
}
