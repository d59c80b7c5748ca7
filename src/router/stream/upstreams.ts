import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";

import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Upstream } from "../engine.ts";
import { sessionOptions, type StreamLimits } from "./limits.ts";

/** Options of {@link Upstreams}. */
export interface UpstreamsOptions {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly logger: Logger;
}

interface Entry {
  readonly upstream: Upstream;
  readonly session: ClientHttp2Session;
  /** Set once the VM's SETTINGS came. */
  ready: boolean;
  readonly whenReady: Promise<ClientHttp2Session>;
}

/**
 * When TCP begins to ask whether the VM is still there, in milliseconds. HTTP/2 pings are not sent: buildkitd punishes
 * more than one in 5 minutes.
 */
const KEEPALIVE_MS = 30_000;

/**
 * The connections of one client connection to VMs: one per satellite and epoch, so that what one tenant sends can never
 * end another's connection. A broken one is replaced by the next request; nothing is ever sent twice.
 */
export class Upstreams {
  readonly #options: UpstreamsOptions;
  /** Also connections that take no new requests, until their last stream has ended. */
  readonly #entries = new Set<Entry>();

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /**
   * The session for an upstream, at once when it is connected.
   *
   * @throws SatelliteError `UpstreamUnreachable` (the promise rejects) when the VM does not speak HTTP/2 in time
   */
  session(upstream: Upstream): ClientHttp2Session | Promise<ClientHttp2Session> {
    for (const entry of this.#entries) {
      if (entry.upstream.satellite === upstream.satellite && isUsable(entry.session)) {
        if (isSame(entry.upstream, upstream)) {
          return entry.ready ? entry.session : entry.whenReady;
        }
        // Another epoch is another stretch of being awake: connections do not carry over. Streams left run out.
        entry.session.close();
      }
    }
    return this.#connect(upstream);
  }

  /** Takes no new requests to a satellite; its connection ends with its last stream. */
  close(satellite: string): void {
    for (const { upstream, session } of this.#entries) {
      if (upstream.satellite === satellite) {
        session.close();
      }
    }
  }

  /** Ends the connections to epochs of a satellite up to `lastEpoch`, streams included. */
  destroyUpTo(satellite: string, lastEpoch: number): void {
    for (const { upstream, session } of this.#entries) {
      if (upstream.satellite === satellite && upstream.epoch <= lastEpoch) {
        session.destroy();
      }
    }
  }

  /** Ends every connection now. */
  destroy(): void {
    for (const { session } of this.#entries) {
      session.destroy();
    }
  }

  #connect(upstream: Upstream): Promise<ClientHttp2Session> {
    const { limits, logger } = this.#options;
    const socket = connectTcp({ host: upstream.host, port: upstream.port, noDelay: true });
    socket.setKeepAlive(true, KEEPALIVE_MS);
    const session = connectHttp2(`http://${hostPort(upstream)}`, {
      ...sessionOptions(limits),
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: limits.streamWindowBytes,
        maxHeaderListSize: limits.maxHeaderListBytes,
      },
    });
    session.once("connect", () => {
      // The connection may come about when its client has just gone.
      if (isUsable(session)) {
        session.setLocalWindowSize(limits.connectionWindowBytes);
      }
    });
    session.on("error", (error) => logger.debug("connection to the VM ended", { ...upstream, error }));
    const entry: Entry = {
      upstream,
      session,
      ready: false,
      whenReady: this.#whenReady(session, upstream).then(() => {
        entry.ready = true;
        return session;
      }),
    };
    this.#entries.add(entry);
    session.once("close", () => this.#entries.delete(entry));
    return entry.whenReady;
  }

  /** Waits for the VM's SETTINGS: a connection that is only accepted may be a listening backlog. */
  #whenReady(session: ClientHttp2Session, upstream: Upstream): Promise<void> {
    const { clock, limits } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void => {
        timer.cancel();
        const message = `the VM of ${upstream.satellite} at ${hostPort(upstream)} ${why}`;
        reject(new SatelliteError("UpstreamUnreachable", message, { cause }));
        session.destroy();
      };
      const timer = clock.setTimer(limits.connectTimeoutMs, () =>
        fail(`did not speak HTTP/2 within ${limits.connectTimeoutMs} ms`),
      );
      session.once("remoteSettings", () => {
        timer.cancel();
        resolve();
      });
      session.once("error", (error) => fail(`could not be reached: ${toError(error).message}`, error));
      session.once("close", () => fail("closed the connection"));
    });
  }
}

/** Whether new requests may go out on a session. */
export function isUsable(session: ClientHttp2Session): boolean {
  return !session.closed && !session.destroyed;
}

function isSame(left: Upstream, right: Upstream): boolean {
  return left.epoch === right.epoch && left.host === right.host && left.port === right.port;
}

function hostPort({ host, port }: Upstream): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
