import { type sendUnaryData, type ServerUnaryCall, type ServerWritableStream, status } from "@grpc/grpc-js";

type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

interface HealthRequest {
  readonly service: string;
}

interface HealthResponse {
  readonly status: ServingStatus;
}

/** Health of the guest's services, in grpc-js's terms. */
export interface HealthService {
  readonly handlers: {
    Check(
      call: ServerUnaryCall<HealthRequest, HealthResponse>,
      callback: sendUnaryData<HealthResponse>,
    ): void;
    Watch(call: ServerWritableStream<HealthRequest, HealthResponse>): void;
  };
  /** Tells watching clients that the server is shutting down, and ends their calls. */
  shutDown(): void;
}

/**
 * Implements `grpc.health.v1.Health` as the health checking protocol says: Check of an unknown service is
 * NOT_FOUND, Watch of one answers SERVICE_UNKNOWN and stays open; the empty name means the whole server.
 */
export function createHealthService(services: readonly string[]): HealthService {
  const known = new Set(["", ...services]);
  const watchers = new Set<ServerWritableStream<HealthRequest, HealthResponse>>();
  let serving = true;
  const statusOf = (service: string): ServingStatus => {
    if (!known.has(service)) {
      return "SERVICE_UNKNOWN";
    }
    return serving ? "SERVING" : "NOT_SERVING";
  };
  return {
    handlers: {
      Check(call, callback) {
        const found = statusOf(call.request.service);
        if (found === "SERVICE_UNKNOWN") {
          callback({ code: status.NOT_FOUND, details: `unknown service ${call.request.service}` });
          return;
        }
        callback(null, { status: found });
      },
      Watch(call) {
        watchers.add(call);
        call.once("cancelled", () => watchers.delete(call));
        call.write({ status: statusOf(call.request.service) });
      },
    },
    shutDown() {
      serving = false;
      for (const call of watchers) {
        call.write({ status: statusOf(call.request.service) });
        call.end();
      }
      watchers.clear();
    },
  };
}
