import { addressOf, type AddressOptions } from "./address.ts";
import { GrpcStatus } from "./engine.ts";
import { firstValue } from "./header-list.ts";
import {
  decodeHealthRequest,
  encodeHealthResponse,
  HEALTH_PREFIX,
  ServingStatus,
  type Health,
} from "./health.ts";
import type { OwnCall, OwnCallHandler, OwnService } from "./own-service.ts";

/** More than any health request needs. */
const MAX_REQUEST_BYTES = 1024;

/**
 * Serves grpc.health.v1 for the router itself: for requests that name no satellite. A health check that names one is for
 * its VM. A listener's default satellite does not count: probes of the router must not depend on a VM.
 */
export function createHealthService(health: Health, address: AddressOptions): OwnService {
  return {
    handles(connection, headers) {
      if (!(firstValue(headers, ":path") ?? "").startsWith(HEALTH_PREFIX)) {
        return false;
      }
      const result = addressOf(connection, headers, address);
      return result.kind === "none" || (result.kind === "found" && result.address.source === "default");
    },
    serve: (call) => new HealthCall(call, health),
  };
}

class HealthCall implements OwnCallHandler {
  readonly #call: OwnCall;
  readonly #health: Health;
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(call: OwnCall, health: Health) {
    this.#call = call;
    this.#health = health;
  }

  onData(bytes: Buffer): void {
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes <= MAX_REQUEST_BYTES) {
      this.#chunks.push(Buffer.from(bytes));
    } else {
      this.#call.end({ status: GrpcStatus.RESOURCE_EXHAUSTED, message: "the request is too long" });
    }
  }

  onEnd(): void {
    const service = decodeHealthRequest(Buffer.concat(this.#chunks));
    if (service === undefined) {
      this.#call.end({
        status: GrpcStatus.INVALID_ARGUMENT,
        message: "this is no uncompressed HealthCheckRequest",
      });
      return;
    }
    const method = firstValue(this.#call.headers, ":path")?.slice(HEALTH_PREFIX.length);
    if (method === "Check") {
      this.#check(service);
    } else if (method === "Watch") {
      this.#watch(service);
    } else {
      this.#call.end({ status: GrpcStatus.UNIMPLEMENTED, message: "the router serves Check and Watch" });
    }
  }

  onCancel(): void {
    this.#unsubscribe?.();
  }

  #check(service: string): void {
    if (service !== "") {
      this.#call.end({ status: GrpcStatus.NOT_FOUND, message: 'the router knows only the service ""' });
      return;
    }
    this.#call.send(encodeHealthResponse(this.#health.status));
    this.#call.end({ status: GrpcStatus.OK, message: "" });
  }

  /** A watch stays open, also for a service that is not known (health.proto). */
  #watch(service: string): void {
    if (service !== "") {
      this.#call.send(encodeHealthResponse(ServingStatus.SERVICE_UNKNOWN));
      return;
    }
    this.#call.send(encodeHealthResponse(this.#health.status));
    this.#unsubscribe = this.#health.subscribe((status) => this.#call.send(encodeHealthResponse(status)));
  }
}
