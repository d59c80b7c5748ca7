import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";

import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Upstream } from "../engine.ts";
import { dialError, dialVm, OtherVmError } from "../vm-dial.ts";
import { sessionOptions, type StreamLimits } from "./limits.ts";

/** What VMs said when they ended a connection, in the debug data of their GOAWAY (RFC 9113 section 6.8). */
const farewells = new WeakMap<ClientHttp2Session, string>();
/** How much of it is passed on. */
const MAX_FAREWELL_BYTES = 256;

/** Why a VM has ended a connection, in its own words; "" where it did not say. */
export function farewellOf(session: ClientHttp2Session): string {
  return farewells.get(session) ?? "";
}

/** Options of {@link UpstreamConnection}. */
export interface UpstreamConnectionOptions {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly logger: Logger;
}

/** One connection to a VM: dialled, then found to be the right VM, then an HTTP/2 session. */
export class UpstreamConnection {
  readonly upstream: Upstream;
  /**
   * The session, once the VM's SETTINGS came: a connection that is only accepted may be a listening backlog.
   * Rejects with an OtherVmError, or with a SatelliteError `UpstreamUnreachable`.
   */
  readonly whenReady: Promise<ClientHttp2Session>;
  readonly #options: UpstreamConnectionOptions;
  readonly #socket: Duplex;
  readonly #outcome = Promise.withResolvers<ClientHttp2Session>();
  /** Undefined until bytes may be written. */
  #session: ClientHttp2Session | undefined;
  #isReady = false;

  /** @param onClosed called once, when the connection is gone */
  constructor(upstream: Upstream, options: UpstreamConnectionOptions, onClosed: () => void) {
    const { clock, limits, logger } = options;
    this.upstream = upstream;
    this.whenReady = this.#outcome.promise;
    this.#options = options;
    const timer = clock.setTimer(limits.connectTimeoutMs, () =>
      this.#fail(`did not speak HTTP/2 within ${limits.connectTimeoutMs} ms`),
    );
    this.#socket = dialVm(upstream, (socket) => {
      const session = this.#openSession(socket);
      this.#session = session;
      session.once("remoteSettings", () => {
        timer.cancel();
        this.#isReady = true;
        this.#outcome.resolve(session);
      });
      session.once("close", () => this.#fail("closed the connection"));
    });
    this.#socket.on("error", (error) => {
      logger.debug("connection to the VM ended", { ...upstream, error });
      this.#fail(`could not be reached: ${error.message}`, error);
    });
    this.#socket.once("close", () => {
      timer.cancel();
      this.#fail("closed the connection");
      onClosed();
    });
  }

  /** The session, where new requests may go out on it at once. */
  get session(): ClientHttp2Session | undefined {
    return this.#isReady ? this.#session : undefined;
  }

  /** Whether new requests may go out on it, now or when it is ready. */
  get isUsable(): boolean {
    return this.#session === undefined ? !this.#socket.destroyed : isUsable(this.#session);
  }

  /** Takes no new requests; ends with the last stream. */
  close(): void {
    if (this.#session === undefined) {
      this.#socket.destroy();
    } else {
      this.#session.close();
    }
  }

  /** Ends now, streams included. */
  destroy(): void {
    this.#session?.destroy();
    this.#socket.destroy();
  }

  #openSession(socket: Duplex): ClientHttp2Session {
    const { limits, logger } = this.#options;
    const session = connectHttp2(`http://${hostPort(this.upstream)}`, {
      ...sessionOptions(limits),
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: limits.streamWindowBytes,
        maxHeaderListSize: limits.maxAnswerListBytes,
      },
    });
    session.once("connect", () => {
      // The connection may come about when its client has just gone.
      if (isUsable(session)) {
        session.setLocalWindowSize(limits.connectionWindowBytes);
      }
    });
    session.on("goaway", (_code: number, _lastStreamId: number, debug?: Buffer) => {
      farewells.set(session, debug?.toString("utf8", 0, MAX_FAREWELL_BYTES) ?? "");
    });
    session.on("error", (error) => {
      logger.debug("connection to the VM ended", { ...this.upstream, error });
      this.#fail(`could not be reached: ${toError(error).message}`, toError(error));
    });
    return session;
  }

  /** Without effect once it was ready. */
  #fail(why: string, cause?: Error): void {
    if (this.#isReady) {
      return;
    }
    const error = cause === undefined ? undefined : dialError(this.upstream, cause);
    const { satellite } = this.upstream;
    this.#outcome.reject(
      error instanceof OtherVmError
        ? error
        : new SatelliteError(
            "UpstreamUnreachable",
            error === undefined || error === cause
              ? `the VM of ${satellite} at ${hostPort(this.upstream)} ${why}`
              : `${satellite} could not be reached: ${error.message}`,
            { cause },
          ),
    );
    this.destroy();
  }
}

/** Whether new requests may go out on a session. */
export function isUsable(session: ClientHttp2Session): boolean {
  return !session.closed && !session.destroyed;
}

function hostPort({ host, port }: Upstream): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
