import { SatelliteError } from "../base/errors.ts";
import { isLoopback } from "../base/loopback.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { SatelliteAddress } from "./address.ts";
import type { ConnectionInfo, HeaderList } from "./engine.ts";
import type { Refusal } from "./refusal.ts";

/** One question to {@link Access}. */
export interface AccessRequest {
  readonly connection: ConnectionInfo;
  readonly headers: HeaderList;
  readonly satellite: SatelliteAddress;
  /** Aborts when the client has given the request up. */
  readonly signal: AbortSignal;
}

/** Who asks, and that they may; or the refusal. */
export type AccessDecision =
  | {
      readonly kind: "allow";
      /** Name of the caller, for limits; absent where nobody is asked for a name and limits would hit all alike. */
      readonly identity?: string;
      /** Request headers that must not reach the VM, in lower case: it runs code that nobody trusts. */
      readonly drop: ReadonlySet<string>;
    }
  | Refusal;

/** Decides who may use a satellite. Asked before anything is woken. */
export interface Access {
  /**
   * @param isTls whether the listener serves TLS
   * @throws SatelliteError when this kind of access may not be served on that address
   */
  checkListener(host: string, isTls?: boolean): void;
  /** Decides at once where it can, so that the fast path costs no turn of the event loop. */
  check(request: AccessRequest): AccessDecision | Promise<AccessDecision>;
}

/**
 * Credentials for the router. They never reach a VM, also where the router asks for none: a client may send its token
 * all the same. Authorization meant for the VM travels in another header.
 */
export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "satellite-token",
  "satellite_token",
]);

/** Options of {@link anonymousLoopback}. */
export interface AnonymousAccessOptions {
  readonly logger: Logger;
  /** Serve everybody on every address. Whoever reaches the port then wakes and uses any satellite. */
  readonly allowEveryAddress?: boolean;
}

/**
 * Lets every caller in, for one machine: the listener must be on a loopback address, unless the operator of the router
 * says explicitly that something else guards the port.
 */
export function anonymousLoopback({ logger, allowEveryAddress = false }: AnonymousAccessOptions): Access {
  const allowed: AccessDecision = { kind: "allow", drop: CREDENTIAL_HEADERS };
  return {
    checkListener(host) {
      if (!isLoopback(host) && !allowEveryAddress) {
        throw new SatelliteError(
          "AnonymousListenerNotLoopback",
          `refusing to listen on ${host} without access control: whoever reaches it could wake and use every ` +
            "satellite. Listen on 127.0.0.1, or, where something else guards the port, allow anonymous access " +
            "on every address explicitly",
        );
      }
      logger.warn(
        "ANONYMOUS ACCESS: every caller that reaches this listener may wake and use every satellite, since no " +
          "access control is configured",
        { host, loopback: isLoopback(host) },
      );
    },
    check: () => allowed,
  };
}
