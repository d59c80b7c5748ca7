import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";

import type { Clock, Timer } from "../../base/clock.ts";

/**
 * Looks after a client of which nothing is heard: it is sent a PING, and ended where nothing comes for as long again. Node
 * reads nothing while something that it wrote is on its way, and does not always hear that this failed: of a client that
 * resets its TLS connection just then it would never learn, and keep the connection for ever. (A session that closes is
 * left alone: Node sends no PING on it, and its streams may be quiet for hours.)
 *
 * @param quietMs milliseconds
 */
export function watchQuiet(
  session: ServerHttp2Session,
  socket: Socket,
  { clock, quietMs }: { readonly clock: Clock; readonly quietMs: number },
): void {
  let heardBytes = -1;
  let isAsked = false;
  let timer: Timer = clock.setTimer(quietMs, look);
  session.once("close", () => timer.cancel());

  function look(): void {
    const isQuiet = socket.bytesRead === heardBytes;
    heardBytes = socket.bytesRead;
    if (session.destroyed) {
      socket.destroy();
      return;
    }
    if (isQuiet && isAsked) {
      session.destroy();
      socket.destroy();
      return;
    }
    isAsked = isQuiet && !session.closed;
    if (isAsked) {
      session.ping(() => {
        // Whether it answers is seen by what is read.
      });
    }
    timer = clock.setTimer(quietMs, look);
  }
}
