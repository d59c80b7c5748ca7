import { SatelliteError, toError } from "../base/errors.ts";
import { keyString } from "../kube/objects.ts";
import type { Access } from "./access.ts";
import { addressOf, type AddressOptions } from "./address.ts";
import { GrpcStatus } from "./engine.ts";
import { firstValue } from "./header-list.ts";
import {
  decodeHealthRequest,
  encodeHealthList,
  encodeHealthResponse,
  HEALTH_PREFIX,
  ServingStatus,
  type Health,
  type HealthSource,
} from "./health.ts";
import type { OwnCall, OwnCallHandler, OwnService, OwnStatus } from "./own-service.ts";
import { refusal, ROUTER_STOPPING, type Refusal } from "./refusal.ts";
import type { SatelliteHealth } from "./satellite-health.ts";
import { unknownSatellite } from "./standing.ts";

/** More than any health request needs. */
const MAX_REQUEST_BYTES = 1024;

/** The calls of grpc/health/v1/health.proto. */
const METHODS = ["Check", "List", "Watch"] as const;
type Method = (typeof METHODS)[number];

/** What the health service is made of. */
export interface HealthServiceOptions {
  /** The router's own. */
  readonly health: Health;
  readonly satellites: SatelliteHealth;
  readonly access: Access;
  readonly address: AddressOptions;
}

/**
 * Serves grpc.health.v1. A request that names a satellite is told of that satellite, by those who may use it, and is
 * answered here: a health check must neither wake a VM nor keep it awake. Services of the VM are not known here, so every
 * name of one means the whole. A request that names no satellite is told of the router; a listener's default satellite
 * does not count, since probes of the router must not depend on a VM.
 */
export function createHealthService(options: HealthServiceOptions): OwnService {
  return {
    handles: (_connection, headers) => (firstValue(headers, ":path") ?? "").startsWith(HEALTH_PREFIX),
    serve(call) {
      const name = firstValue(call.headers, ":path")?.slice(HEALTH_PREFIX.length);
      const method = METHODS.find((known) => known === name);
      if (method === undefined) {
        const message = `the router serves ${METHODS.join(", ")}`;
        call.end(refusal(GrpcStatus.UNIMPLEMENTED, message, "UnknownMethod"));
        return IGNORING;
      }
      return new HealthCall(call, method, options);
    },
  };
}

/** Of a call that has been answered before its request came. */
const IGNORING: OwnCallHandler = { onData: () => {}, onEnd: () => {}, onCancel: () => {} };

/** One call. */
class HealthCall implements OwnCallHandler {
  readonly #call: OwnCall;
  readonly #method: Method;
  readonly #options: HealthServiceOptions;
  readonly #gone = new AbortController();
  readonly #request: Buffer[] = [];
  #size = 0;
  #unsubscribe: () => void = () => {};

  constructor(call: OwnCall, method: Method, options: HealthServiceOptions) {
    this.#call = call;
    this.#method = method;
    this.#options = options;
  }

  onData(bytes: Buffer): void {
    this.#size += bytes.length;
    if (this.#size <= MAX_REQUEST_BYTES) {
      this.#request.push(Buffer.from(bytes));
    } else {
      this.#end(refusal(GrpcStatus.RESOURCE_EXHAUSTED, "the request is too long", "RequestTooLong"));
    }
  }

  onEnd(): void {
    const service = decodeHealthRequest(Buffer.concat(this.#request));
    if (service === undefined) {
      const message = "this is no uncompressed request of grpc.health.v1";
      this.#end(refusal(GrpcStatus.INVALID_ARGUMENT, message, "InvalidRequest"));
      return;
    }
    this.#serve(service).catch((thrown: unknown) => this.#end(lookUpFailed(toError(thrown))));
  }

  onCancel(): void {
    this.#stop();
  }

  async #serve(service: string): Promise<void> {
    const { address, health } = this.#options;
    const { connection, headers } = this.#call;
    const result = addressOf(connection, headers, address);
    if (result.kind === "invalid") {
      this.#end(refusal(GrpcStatus.INVALID_ARGUMENT, result.message, "InvalidAddress"));
      return;
    }
    if (result.kind === "none" || result.address.source === "default") {
      // The router has no services but itself.
      this.#answer(
        service === "" || this.#method === "List" ? health : UNKNOWN,
        'the router knows only the service ""',
      );
      return;
    }
    const { access, satellites } = this.#options;
    const decision = await access.check({
      connection,
      headers,
      satellite: result.address,
      signal: this.#gone.signal,
    });
    if (decision.kind === "refuse") {
      this.#end(decision);
      return;
    }
    const key = keyString(result.address);
    const source = await satellites.of(key);
    if (!this.#gone.signal.aborted) {
      this.#answer(source, unknownSatellite(key).message);
    }
  }

  /** @param unknown what a Check is told when it asks for something that is not there */
  #answer(source: HealthSource, unknown: string): void {
    const { status } = source;
    if (this.#method === "Watch") {
      this.#watch(source);
    } else if (status === ServingStatus.SERVICE_UNKNOWN) {
      this.#end(refusal(GrpcStatus.NOT_FOUND, unknown, "NotFound"));
    } else {
      this.#call.send(this.#method === "List" ? encodeHealthList(status) : encodeHealthResponse(status));
      this.#end({ status: GrpcStatus.OK, message: "" });
    }
  }

  /** A watch stays open, also on what is not known (health.proto), until the router drains. */
  #watch(source: HealthSource): void {
    const { health } = this.#options;
    const tell = (status: ServingStatus): void => this.#call.send(encodeHealthResponse(status));
    tell(source.status);
    if (health.isDraining) {
      this.#end(ROUTER_STOPPING);
      return;
    }
    const stops = [source.subscribe(tell), health.onDrain(() => this.#end(ROUTER_STOPPING))];
    this.#unsubscribe = () => {
      for (const stop of stops) {
        stop();
      }
    };
  }

  #end(answer: OwnStatus): void {
    this.#stop();
    this.#call.end(answer);
  }

  #stop(): void {
    this.#unsubscribe();
    this.#gone.abort();
  }
}

/** A service that the router does not have, and never will. */
const UNKNOWN: HealthSource = { status: ServingStatus.SERVICE_UNKNOWN, subscribe: () => () => {} };

function lookUpFailed(error: Error): Refusal {
  return refusal(
    GrpcStatus.UNAVAILABLE,
    `the satellite cannot be looked up: ${error.message}`,
    error instanceof SatelliteError ? error.code : "InternalError",
  );
}
