import { AsyncLocalStorage } from "node:async_hooks";

import type { Admission, Gatekeeper } from "./engine.ts";

/** What has to end when something in it was thrown that nobody caught: one client connection with all that hangs on it. */
export interface FaultDomain {
  /** Of the connection, for logs. */
  readonly id: number;
  /** Ends it now. */
  end(): void;
}

/**
 * Which connection the running code works for. Node hands it on to every callback, timer and promise that begins in it,
 * those of its own HTTP/2 and TLS included (decision 50).
 */
const domains = new AsyncLocalStorage<FaultDomain | undefined>();
const outside = AsyncLocalStorage.snapshot();

/** Does the work of one connection; what comes of it later is the connection's, too. */
export function inDomain<T>(domain: FaultDomain, work: () => T): T {
  return domains.run(domain, work);
}

/** Does work that all connections share, in the middle of one's: its timers and promises are nobody's. */
export function outsideDomains<T>(work: () => T): T {
  return domains.getStore() === undefined ? work() : outside(work);
}

/**
 * The connection that the error in hand belongs to, where it is one's. To be called by the handler of uncaught errors
 * alone, once for each: the domain is left, since Node would otherwise take what runs next for the same connection's.
 */
export function takeFaultyDomain(): FaultDomain | undefined {
  const domain = domains.getStore();
  domains.enterWith(undefined);
  return domain;
}

/** A gatekeeper whose own work, which all connections share, is outside of the connection that asks it. */
export function sharedGatekeeper(gatekeeper: Gatekeeper): Gatekeeper {
  const shared = (admission: Admission): Admission =>
    admission.kind === "refuse"
      ? admission
      : { ...admission, release: () => outsideDomains(() => admission.release()) };
  return {
    admit(connection, headers, signal) {
      const admission = outsideDomains(() => gatekeeper.admit(connection, headers, signal));
      return admission instanceof Promise ? admission.then(shared) : shared(admission);
    },
    upstreamFailed: (upstream, error) => outsideDomains(() => gatekeeper.upstreamFailed(upstream, error)),
  };
}
