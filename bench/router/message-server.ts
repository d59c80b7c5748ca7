// A server of streams: each request is answered by 100 gRPC messages of 100 bytes, a DATA frame each, and trailers.
//   message-server.ts PORT
import net from "node:net";
import process from "node:process";

import { FrameReader, type FrameSink } from "../../src/http2/frame-reader.ts";
import { settingsAckFrame, settingsFrame } from "../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, Flag, FRAME_HEADER_BYTES, FrameType } from "../../src/http2/protocol.ts";
import { data, frame, headers } from "../../test/router/relay/support/peer.ts";

const MESSAGES = 100;
const MESSAGE_BYTES = 105;

/** An answer to stream 0, and where its frames begin: the stream's id is written there. */
const frames = [
  headers(0, { ":status": "200", "content-type": "application/grpc" }),
  ...Array.from({ length: MESSAGES }, () => data(0, Buffer.alloc(MESSAGE_BYTES, 1).toString("latin1"))),
  headers(0, { "grpc-status": "0" }, true),
];
const answer = Buffer.concat(frames);
const places = frames.map((_frame, place) => Buffer.concat(frames.slice(0, place)).length);

class Connection implements FrameSink {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    const reader = new FrameReader(this, 1 << 20);
    let skipBytes = CLIENT_PREFACE.length;
    socket.setNoDelay(true);
    socket.write(settingsFrame([[3, 1000]]));
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(skipBytes, chunk.length);
      skipBytes -= skipped;
      socket.cork();
      reader.read(chunk, skipped);
      socket.uncork();
    });
  }

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    _bytes: number,
    buffer: Buffer,
    start: number,
  ): void {
    if (type === FrameType.HEADERS) {
      const own = Buffer.from(answer);
      for (const place of places) {
        own.writeUInt32BE(streamId, place + FRAME_HEADER_BYTES - 4);
      }
      this.#socket.write(own);
    } else if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) {
      this.#socket.write(settingsAckFrame());
    } else if (type === FrameType.PING && (flags & Flag.ACK) === 0) {
      const opaque = buffer.subarray(start + FRAME_HEADER_BYTES, start + FRAME_HEADER_BYTES + 8);
      this.#socket.write(frame(FrameType.PING, Flag.ACK, 0, opaque));
    }
  }

  // Requests have no bodies, and clients' windows are larger than all that is under way.
  onData(): void {}
  onDataPart(): void {}
}

net.createServer((socket) => new Connection(socket)).listen(Number(process.argv[2]), "127.0.0.1");
process.once("SIGTERM", () => process.exit());
