import type { ServerHttp2Stream } from "node:http2";

import type { ConnectionInfo, HeaderList } from "../engine.ts";
import { statusFields } from "../grpc-status.ts";
import type { OwnService, OwnStatus } from "../own-service.ts";
import { answerStatus } from "./answer.ts";
import { toRaw, toTrailers } from "./raw-headers.ts";

const RESPONSE_START: HeaderList = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** Serves a stream by a service of the router itself. */
export function serveOwnCall(
  service: OwnService,
  stream: ServerHttp2Stream,
  connection: ConnectionInfo,
  headers: HeaderList,
): void {
  let isOver = false;
  const isOpen = (): boolean => !isOver && !stream.destroyed && !stream.closed;
  const end = ({ status, message, metadata }: OwnStatus): void => {
    if (!isOpen()) {
      return;
    }
    isOver = true;
    if (!stream.headersSent) {
      answerStatus(stream, { status, message, ...(metadata === undefined ? {} : { metadata }) });
      return;
    }
    stream.once("wantTrailers", () =>
      stream.sendTrailers(toTrailers(statusFields(status, message, metadata))),
    );
    stream.end();
  };
  const handler = service.serve({
    connection,
    headers,
    send(framed) {
      if (isOpen()) {
        if (!stream.headersSent) {
          stream.respond(toRaw(RESPONSE_START), { waitForTrailers: true });
        }
        stream.write(framed);
      }
    },
    end,
  });
  stream.on("data", (chunk: Buffer) => {
    if (!isOver) {
      handler.onData(chunk);
    }
  });
  stream.once("end", () => {
    if (isOpen()) {
      handler.onEnd();
    }
  });
  stream.once("close", () => {
    if (!isOver) {
      isOver = true;
      handler.onCancel();
    }
  });
}
