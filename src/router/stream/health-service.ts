import type { ServerHttp2Stream } from "node:http2";

import { addressOf, type AddressOptions } from "../address.ts";
import { GrpcStatus, type HeaderList } from "../engine.ts";
import { statusFields } from "../grpc-status.ts";
import { firstValue } from "../header-list.ts";
import {
  decodeHealthRequest,
  encodeHealthResponse,
  HEALTH_PREFIX,
  ServingStatus,
  type Health,
} from "../health.ts";
import { answerStatus } from "./answer.ts";
import type { LocalService } from "./client-connection.ts";
import { toRaw, toTrailers } from "./raw-headers.ts";

/** More than any health request needs. */
const MAX_REQUEST_BYTES = 1024;

/**
 * Serves grpc.health.v1 for the router itself: for requests that name no satellite. A health check that names one is for
 * its VM. A listener's default satellite does not count: probes of the router must not depend on a VM.
 */
export function createHealthService(health: Health, address: AddressOptions): LocalService {
  return {
    handles(connection, headers) {
      if (!(firstValue(headers, ":path") ?? "").startsWith(HEALTH_PREFIX)) {
        return false;
      }
      const result = addressOf(connection, headers, address);
      return result.kind === "none" || (result.kind === "found" && result.address.source === "default");
    },
    serve(stream, headers) {
      const method = firstValue(headers, ":path")?.slice(HEALTH_PREFIX.length);
      if (method !== "Check" && method !== "Watch") {
        answerStatus(stream, {
          status: GrpcStatus.UNIMPLEMENTED,
          message: "the router serves Check and Watch",
        });
        return;
      }
      readRequest(stream, (service) => {
        if (method === "Check") {
          check(stream, health, service);
        } else {
          watch(stream, health, service);
        }
      });
    },
  };
}

function readRequest(stream: ServerHttp2Stream, serve: (service: string) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_REQUEST_BYTES) {
      chunks.push(chunk);
    } else {
      answerStatus(stream, { status: GrpcStatus.RESOURCE_EXHAUSTED, message: "the request is too long" });
    }
  });
  stream.once("end", () => {
    const service = decodeHealthRequest(Buffer.concat(chunks));
    if (service === undefined) {
      answerStatus(stream, {
        status: GrpcStatus.INVALID_ARGUMENT,
        message: "this is no uncompressed HealthCheckRequest",
      });
    } else {
      serve(service);
    }
  });
}

function check(stream: ServerHttp2Stream, health: Health, service: string): void {
  if (service !== "") {
    answerStatus(stream, { status: GrpcStatus.NOT_FOUND, message: 'the router knows only the service ""' });
    return;
  }
  if (!begin(stream)) {
    return;
  }
  stream.once("wantTrailers", () => stream.sendTrailers(toTrailers(statusFields(GrpcStatus.OK, ""))));
  stream.end(encodeHealthResponse(health.status));
}

/** A watch stays open, also for a service that is not known (health.proto). */
function watch(stream: ServerHttp2Stream, health: Health, service: string): void {
  if (!begin(stream)) {
    return;
  }
  if (service !== "") {
    stream.write(encodeHealthResponse(ServingStatus.SERVICE_UNKNOWN));
    return;
  }
  stream.write(encodeHealthResponse(health.status));
  const unsubscribe = health.subscribe((status) => stream.write(encodeHealthResponse(status)));
  stream.once("close", unsubscribe);
}

function begin(stream: ServerHttp2Stream): boolean {
  if (stream.destroyed || stream.closed || stream.headersSent) {
    return false;
  }
  const headers: HeaderList = [
    [":status", "200"],
    ["content-type", "application/grpc"],
  ];
  stream.respond(toRaw(headers), { waitForTrailers: true });
  return true;
}
