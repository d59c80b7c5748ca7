import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

import { pause } from "../attack.ts";
import type { End } from "./plan.ts";

/** One end of a connection: TCP, and TLS over it where there is TLS. */
export interface Ends {
  /** What bytes are written to and read from. */
  readonly stream: Socket | TLSSocket;
  readonly tcp: Socket;
  /** How the two hang together where there is TLS: whether the end of TLS ends TCP. */
  readonly link?: { passesEnd: boolean };
}

/** Time that the router gets for its part after a half-close. */
const READ_ON_MS = 50;
const SILENCE_MS = 30;

/** Ends a connection in one of the ways; it is gone when this resolves. */
export async function endConnection({ stream, tcp, link }: Ends, end: End): Promise<void> {
  switch (end) {
    case "half-close":
      stream.end();
      await closedOrAfter(tcp, READ_ON_MS);
      break;
    case "close":
      stream.destroy();
      break;
    case "reset":
      tcp.resetAndDestroy();
      break;
    case "cut":
      tcp.end();
      await closedOrAfter(tcp, READ_ON_MS);
      break;
    case "close_notify":
      if (link !== undefined) {
        link.passesEnd = false;
        stream.end();
      }
      await closedOrAfter(tcp, SILENCE_MS);
      tcp.resetAndDestroy();
      break;
    case "silence":
      await closedOrAfter(tcp, SILENCE_MS);
      tcp.resetAndDestroy();
      break;
  }
  stream.destroy();
  tcp.destroy();
}

async function closedOrAfter(socket: Socket, ms: number): Promise<void> {
  if (!socket.closed) {
    await Promise.race([new Promise((resolve) => void socket.once("close", resolve)), pause(ms)]);
  }
}
