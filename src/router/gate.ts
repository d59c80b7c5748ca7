import { untilAborted } from "../base/abort.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { keyString } from "../kube/objects.ts";
import type { Access, AccessDecision } from "./access.ts";
import { addressHelp, addressOf, type AddressOptions, type AddressResult } from "./address.ts";
import {
  GrpcStatus,
  type Admission,
  type ConnectionInfo,
  type Gatekeeper,
  type HeaderList,
  type Upstream,
} from "./engine.ts";
import type { GateContext } from "./gate-context.ts";
import { parseGrpcTimeoutMs } from "./grpc-timeout.ts";
import { firstValue } from "./header-list.ts";
import { DEFAULT_IDENTITY_LIMITS, IdentityLimits } from "./identity-limits.ts";
import { epochToDrain } from "./lease-rules.ts";
import type { StreamUse } from "./open-streams.ts";
import { refusal, ROUTER_STOPPING, type Refusal } from "./refusal.ts";
import { SatelliteGate, type GateRequest } from "./satellite-gate.ts";
import { unknownSatellite } from "./standing.ts";

/** Options of {@link Gate}. */
export interface GateSettings extends GateContext {
  readonly access: Access;
  readonly address: AddressOptions;
  /** Called with the key of a satellite that is about to lose its VM. */
  readonly onStopping?: (key: string) => void;
  /** Called with the key of a satellite whose VM is off, and the last epoch that ended with it. */
  readonly onOff?: (key: string, lastEpoch: number) => void;
}

/** What a header list says about its satellite, and the satellite's key where it names one. */
interface Addressed {
  readonly headers: HeaderList;
  readonly result: AddressResult;
  readonly key: string;
}

/** Decides about every request of a router: which satellite, may they, is it awake; wakes and holds where it must. */
export class Gate implements Gatekeeper {
  readonly #settings: GateSettings;
  readonly #gates = new Map<string, SatelliteGate>();
  readonly #identities: IdentityLimits;
  readonly #unsubscribe: () => void;
  readonly #addressed = new WeakMap<ConnectionInfo, Addressed>();
  #isClosed = false;

  constructor(settings: GateSettings) {
    this.#settings = settings;
    const { identities, maxHeld } = settings.options;
    this.#identities = new IdentityLimits(
      { ...DEFAULT_IDENTITY_LIMITS, ...identities },
      maxHeld,
      settings.clock,
    );
    this.#unsubscribe = settings.view.subscribe((key) => this.#onSatelliteChange(key));
  }

  admit(
    connection: ConnectionInfo,
    headers: HeaderList,
    signal: AbortSignal,
  ): Admission | Promise<Admission> {
    const { access, clock } = this.#settings;
    const arrivedAtMs = clock.monotonicMs();
    const { result, key } = this.#addressOf(connection, headers);
    if (result.kind !== "found") {
      return this.#misaddressed(result);
    }
    const decision = access.check({ connection, headers, satellite: result.address, signal });
    return decision instanceof Promise
      ? decision.then((settled) => this.#enter(key, settled, headers, arrivedAtMs, signal))
      : this.#enter(key, decision, headers, arrivedAtMs, signal);
  }

  upstreamFailed(upstream: Upstream, error: Error): void {
    this.#settings.logger.info("connection to the VM failed", { ...upstream, error });
    this.#gates.get(upstream.satellite)?.onUpstreamFailed(upstream, error);
  }

  /**
   * The last act, after {@link close} and when no stream is open any more: withdraws this router's leases, so that no satellite waits for a
   * router that is gone. Resolves when every write has ended, or after `timeoutMs`; what is left then lapses by itself.
   */
  async withdraw(timeoutMs: number): Promise<void> {
    const { clock, logger } = this.#settings;
    const abort = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => abort.abort());
    const withdrawals = Promise.all([...this.#gates.values()].map((gate) => gate.withdraw(abort.signal)));
    await Promise.race([withdrawals, untilAborted(abort.signal)]);
    timer.cancel();
    if (abort.signal.aborted) {
      logger.warn("ends without having withdrawn its leases; they lapse by themselves", { timeoutMs });
    }
  }

  /** Refuses what is held and what still comes, and stops listening to changes. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    for (const gate of this.#gates.values()) {
      gate.refuseAll(ROUTER_STOPPING);
    }
  }

  /** The address in a header list depends on nothing that changes, and engines hand the same list over many times. */
  #addressOf(connection: ConnectionInfo, headers: HeaderList): Addressed {
    const known = this.#addressed.get(connection);
    if (known?.headers === headers) {
      return known;
    }
    const result = addressOf(connection, headers, this.#settings.address);
    const addressed = { headers, result, key: result.kind === "found" ? keyString(result.address) : "" };
    this.#addressed.set(connection, addressed);
    return addressed;
  }

  #misaddressed(result: Exclude<AddressResult, { kind: "found" }>): Refusal {
    const message =
      result.kind === "invalid"
        ? result.message
        : `the request names no satellite; ${addressHelp(this.#settings.address)}`;
    return refusal(GrpcStatus.INVALID_ARGUMENT, message, "InvalidAddress");
  }

  #enter(
    key: string,
    decision: AccessDecision,
    headers: HeaderList,
    arrivedAtMs: number,
    signal: AbortSignal,
  ): Admission | Promise<Admission> {
    if (decision.kind === "refuse") {
      return decision;
    }
    if (this.#isClosed) {
      return ROUTER_STOPPING;
    }
    const { drop, identity } = decision;
    const isKnown = this.#settings.view.get(key) !== undefined;
    const use = { user: identity, path: firstValue(headers, ":path") ?? "", sinceMs: arrivedAtMs };
    if (this.#wakesNothing(use.path)) {
      return isKnown ? this.#gateOf(key).pass(drop) : this.#whenKnown(key, (gate) => gate.pass(drop));
    }
    const admission = isKnown ? this.#gateOf(key).admitNow(drop, use) : undefined;
    if (admission !== undefined) {
      return admission;
    }
    const request = this.#requestOf(headers, drop, use, signal);
    const hold = (gate: SatelliteGate): Refusal | Promise<Admission> => this.#hold(gate, request, identity);
    return isKnown ? hold(this.#gateOf(key)) : this.#whenKnown(key, hold);
  }

  /** Holds a request for as long as its sender's share allows. */
  #hold(
    gate: SatelliteGate,
    request: GateRequest,
    identity: string | undefined,
  ): Refusal | Promise<Admission> {
    if (identity === undefined) {
      return gate.hold(request);
    }
    return this.#identities.enter(identity, gate.needsWake) ?? this.#holdCounted(gate, request, identity);
  }

  async #holdCounted(gate: SatelliteGate, request: GateRequest, identity: string): Promise<Admission> {
    try {
      return await gate.hold(request);
    } finally {
      this.#identities.leave(identity);
    }
  }

  #requestOf(
    headers: HeaderList,
    drop: ReadonlySet<string>,
    use: StreamUse,
    signal: AbortSignal,
  ): GateRequest {
    const timeout = firstValue(headers, "grpc-timeout");
    return {
      use,
      signal,
      drop,
      timeoutMs: timeout === undefined ? undefined : parseGrpcTimeoutMs(timeout),
    };
  }

  #wakesNothing(path: string): boolean {
    const { noWakeMethods } = this.#settings.options;
    return noWakeMethods.some((method) => (method.endsWith("/") ? path.startsWith(method) : path === method));
  }

  /** A satellite that the cache does not have may be newer than the cache. */
  async #whenKnown(
    key: string,
    admit: (gate: SatelliteGate) => Admission | Promise<Admission>,
  ): Promise<Admission> {
    try {
      const satellite = await this.#settings.view.lookUp(key);
      return satellite === undefined ? unknownSatellite(key) : await admit(this.#gateOf(key));
    } catch (thrown) {
      return this.#unreachable(key, toError(thrown));
    }
  }

  #unreachable(key: string, error: Error): Refusal {
    this.#settings.logger.warn("could not look a satellite up", { satellite: key, error });
    return refusal(
      GrpcStatus.UNAVAILABLE,
      `satellite ${key} cannot be looked up: ${error.message}`,
      error instanceof SatelliteError ? error.code : "InternalError",
    );
  }

  #gateOf(key: string): SatelliteGate {
    const known = this.#gates.get(key);
    if (known !== undefined) {
      return known;
    }
    const gate: SatelliteGate = new SatelliteGate(key, this.#settings, () => {
      if (this.#gates.get(key) === gate) {
        this.#gates.delete(key);
      }
    });
    this.#gates.set(key, gate);
    return gate;
  }

  #onSatelliteChange(key: string): void {
    const satellite = this.#settings.view.get(key);
    const status = satellite?.status;
    if (status === undefined) {
      this.#settings.onOff?.(key, Number.MAX_SAFE_INTEGER);
    } else if (status.power.state === "Stopping") {
      this.#settings.onStopping?.(key);
    } else if (status.power.state === "Off") {
      this.#settings.onOff?.(key, status.power.epoch);
    } else {
      // The news that it was off may have been missed: an epoch begins only after the one before has ended.
      this.#settings.onOff?.(key, status.power.epoch - 1);
    }
    const mustAcknowledge =
      satellite !== undefined && epochToDrain(satellite, this.#settings.router) !== undefined;
    // Also an entry that this router wrote before a restart has to be acknowledged.
    const gate = mustAcknowledge ? this.#gateOf(key) : this.#gates.get(key);
    gate?.onSatelliteChange();
  }
}
