import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { GrpcStatus } from "./engine.ts";
import { statusOfHttp } from "./grpc-status.ts";

/** One gRPC call with one message to the server. */
export interface GrpcCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Serialized. */
  readonly message: Buffer;
  /** A longer answer is given up; {@link DEFAULT_MAX_ANSWER_BYTES} when absent. */
  readonly maxAnswerBytes?: number;
}

/** What came back. */
export interface GrpcAnswer {
  readonly status: number;
  /** Serialized, in order. */
  readonly messages: readonly Buffer[];
}

/** A message's length is preceded by a flag for compression (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** More than most answers that are asked for here. */
const DEFAULT_MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Makes calls over a connection of their own, which is closed afterwards: first one, and where that is answered with OK
 * the others beside each other.
 *
 * @param dial opens the connection and says when bytes may be written
 * @param timeoutMs milliseconds that connecting and calling may take in all
 * @returns the answers in the order of the calls; those of others that did not come in time are missing
 * @throws where the first call is not answered: the connection's error; SatelliteError `CallTimeout`, `CallBroken`
 */
export function callGrpc(
  dial: (onOpen: (socket: Duplex) => void) => Duplex,
  [first, ...others]: readonly [GrpcCall, ...GrpcCall[]],
  timeoutMs: number,
  clock: Clock,
): Promise<readonly [GrpcAnswer, ...(GrpcAnswer | undefined)[]]> {
  return new Promise((resolve, reject) => {
    let session: ClientHttp2Session | undefined;
    let greeting: GrpcAnswer | undefined;
    const further: (GrpcAnswer | undefined)[] = others.map(() => undefined);
    const end = (error?: Error): void => {
      timer.cancel();
      if (greeting === undefined) {
        reject(error ?? new SatelliteError("CallBroken", `${first.path} was not answered`));
      } else {
        resolve([greeting, ...further]);
      }
      session?.destroy();
      socket.destroy();
    };
    const timer = clock.setTimer(timeoutMs, () =>
      end(new SatelliteError("CallTimeout", `${first.path} was not answered within ${timeoutMs} ms`)),
    );
    const askOthers = (to: ClientHttp2Session): void => {
      let missing = others.length;
      for (const [place, call] of others.entries()) {
        request(to, call, (answer) => {
          further[place] = answer;
          missing -= 1;
          if (missing === 0) {
            end();
          }
        });
      }
    };
    const socket = dial((open) =>
      onceConnected(open, () => {
        try {
          const opened = connect("http://vm", { createConnection: () => open });
          session = opened;
          opened.on("error", end);
          request(opened, first, (answer) => {
            greeting = answer;
            if (others.length === 0 || answer.status !== GrpcStatus.OK) {
              end();
            } else {
              askOthers(opened);
            }
          });
        } catch (error) {
          // The connection may have ended in this very moment.
          end(toError(error));
        }
      }),
    );
    socket.on("error", end);
    socket.once("close", () =>
      end(new SatelliteError("CallBroken", `the connection ended before ${first.path} was answered`)),
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
  { path, message, maxAnswerBytes = DEFAULT_MAX_ANSWER_BYTES }: GrpcCall,
  onAnswer: (answer: GrpcAnswer) => void,
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
    if (sizeBytes > maxAnswerBytes) {
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
      onAnswer({
        status: status ?? statusOfHttp(httpStatus),
        messages: messagesIn(Buffer.concat(chunks)),
      });
    } else if (speaksHttp2 && stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
      const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      onAnswer({ status: isRefused ? GrpcStatus.UNAVAILABLE : GrpcStatus.INTERNAL, messages: [] });
    }
  });
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
}

/** Length-prefixed messages; one that is not whole is left out. */
function messagesIn(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at + PREFIX_BYTES <= body.length) {
    const end = at + PREFIX_BYTES + body.readUInt32BE(at + 1);
    if (end > body.length) {
      break;
    }
    messages.push(body.subarray(at + PREFIX_BYTES, end));
    at = end;
  }
  return messages;
}
