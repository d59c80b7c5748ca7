import { once } from "node:events";
import tls from "node:tls";

import { settingsFrame } from "../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE } from "../../src/http2/protocol.ts";
import { requestFor, type Fields } from "../router/access/access-bench.ts";
import { Peer } from "../router/relay/support/peer.ts";

/** A call by a client that connects for it alone. */
export interface TlsCall {
  readonly port: number;
  /** Whose certificate the router shows. */
  readonly ca: string;
  /** The client's own certificate, as node:tls takes it. */
  readonly certificate?: object;
  readonly satellite?: string;
  readonly fields: Fields;
}

/** What a fresh client gets: "code reason", and the message. */
export async function callByTls({
  port,
  ca,
  certificate = {},
  satellite = "ada",
  fields,
}: TlsCall): Promise<{ readonly brief: string; readonly message: string }> {
  const socket = tls.connect({
    host: "127.0.0.1",
    port,
    ca,
    servername: "localhost",
    ALPNProtocols: ["h2"],
    ...certificate,
  });
  try {
    await once(socket, "secureConnect");
    const peer = new Peer(socket);
    peer.send(CLIENT_PREFACE, settingsFrame([]), requestFor(1, satellite, fields));
    const answer = await peer.headers(1);
    return {
      brief: `${answer.get("grpc-status") ?? ""} ${answer.get("satellite-reason") ?? ""}`.trim(),
      message: decodeURIComponent(answer.get("grpc-message") ?? ""),
    };
  } finally {
    socket.destroy();
  }
}
