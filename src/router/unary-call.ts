import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { GrpcStatus } from "./engine.ts";
import { statusOfHttp } from "./grpc-status.ts";

/** One gRPC call with one message each way. */
export interface UnaryCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Serialized. */
  readonly message: Buffer;
  /** Milliseconds that connecting and calling may take together. */
  readonly timeoutMs: number;
}

/** What came back. */
export interface UnaryAnswer {
  readonly status: number;
  /** Serialized; undefined where none came. */
  readonly message: Buffer | undefined;
}

/** A message's length is preceded by a flag for compression (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** More than any answer that is asked for here. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Makes one call over a connection of its own, which is closed afterwards.
 *
 * @param dial opens the connection and says when bytes may be written
 * @throws the connection's error; SatelliteError `CallTimeout`, `CallBroken`
 */
export function callUnary(
  dial: (onOpen: (socket: Duplex) => void) => Duplex,
  call: UnaryCall,
  clock: Clock,
): Promise<UnaryAnswer> {
  return new Promise((resolve, reject) => {
    let session: ClientHttp2Session | undefined;
    const end = (settle: () => void): void => {
      timer.cancel();
      settle();
      session?.destroy();
      socket.destroy();
    };
    const fail = (error: Error): void => end(() => reject(error));
    const timer = clock.setTimer(call.timeoutMs, () =>
      fail(new SatelliteError("CallTimeout", `${call.path} was not answered within ${call.timeoutMs} ms`)),
    );
    const socket = dial((open) =>
      onceConnected(open, () => {
        try {
          session = connect("http://vm", { createConnection: () => open });
          session.on("error", fail);
          request(session, call, (answer) => end(() => resolve(answer)));
        } catch (error) {
          // The connection may have ended in this very moment.
          fail(toError(error));
        }
      }),
    );
    socket.on("error", fail);
    socket.once("close", () =>
      fail(new SatelliteError("CallBroken", `the connection ended before ${call.path} was answered`)),
    );
  });
}

/** A session is too much to make for each of a thousand VMs that do not listen yet. */
function onceConnected(stream: Duplex, begin: () => void): void {
  if (stream instanceof Socket && stream.connecting) {
    stream.once("connect", begin);
  } else {
    begin();
  }
}

function request(
  session: ClientHttp2Session,
  { path, message }: UnaryCall,
  onAnswer: (answer: UnaryAnswer) => void,
): void {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  let httpStatus = 0;
  let status: number | undefined;
  let speaksHttp2 = false;
  session.once("remoteSettings", () => {
    speaksHttp2 = true;
  });
  const noteStatus = (headers: IncomingHttpHeaders): void => {
    const value = headers["grpc-status"];
    status = typeof value === "string" ? Number(value) : status;
  };
  stream.once("response", (headers) => {
    httpStatus = headers[":status"] ?? 0;
    noteStatus(headers);
  });
  stream.once("trailers", noteStatus);
  stream.on("data", (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) {
      stream.close(constants.NGHTTP2_CANCEL);
    } else {
      chunks.push(chunk);
    }
  });
  stream.on("error", () => {
    // Every end is dealt with at "close".
  });
  stream.once("close", () => {
    if (httpStatus !== 0) {
      const body = Buffer.concat(chunks);
      onAnswer({
        status: status ?? statusOfHttp(httpStatus),
        message: body.length < PREFIX_BYTES ? undefined : body.subarray(PREFIX_BYTES),
      });
    } else if (speaksHttp2 && stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
      const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      onAnswer({ status: isRefused ? GrpcStatus.UNAVAILABLE : GrpcStatus.INTERNAL, message: undefined });
    }
  });
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
}
