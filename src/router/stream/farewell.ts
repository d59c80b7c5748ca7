import type { ServerHttp2Session } from "node:http2";

import type { Clock, Timer } from "../../base/clock.ts";

/** How long a client that has said goodbye has to answer a PING. */
export const FAREWELL_PING_MS = 10_000;

/**
 * Ends the session of a client that sends GOAWAY and does not answer the PING after it. A client may finish its streams
 * after a GOAWAY, for hours if need be. But if it breaks the protocol then, nghttp2 ends the session inside and reads no
 * more, not even the end of the connection, while node goes on waiting for the streams: the socket would stay open for
 * ever. Node sends no PING on a session that closes, so only what comes right behind the GOAWAY is found.
 */
export function watchFarewell(session: ServerHttp2Session, clock: Clock): void {
  let timer: Timer | undefined;
  session.once("goaway", () => {
    timer = clock.setTimer(FAREWELL_PING_MS, () => session.destroy());
    session.ping(() => timer?.cancel());
  });
  session.once("close", () => timer?.cancel());
}
