import { encodeGrpcMessage } from "../http2/grpc-message.ts";
import { GrpcStatus, type GrpcStatusCode, type HeaderList } from "./engine.ts";

const NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(GrpcStatus).map(([name, code]) => [String(code), name]),
);

/**
 * Name of a status as it stands in a `grpc-status` header. The value may come from an untrusted VM, so what is not a
 * known code becomes UNKNOWN: metric labels stay bounded.
 */
export function statusName(code: string | number): string {
  return NAMES.get(String(code)) ?? "UNKNOWN";
}

/** `grpc-status` and `grpc-message`, then `metadata`. */
export function statusFields(status: GrpcStatusCode, message: string, metadata: HeaderList = []): HeaderList {
  return [["grpc-status", String(status)], ["grpc-message", encodeGrpcMessage(message)], ...metadata];
}

/**
 * The status of an answer that carries none, by its HTTP status (gRPC core, "HTTP to gRPC Status Code Mapping"). A 200
 * without one broke the protocol: INTERNAL, as grpc-go says it.
 */
export function statusOfHttp(httpStatus: number): GrpcStatusCode {
  switch (httpStatus) {
    case 200:
    case 400:
      return GrpcStatus.INTERNAL;
    case 401:
      return GrpcStatus.UNAUTHENTICATED;
    case 403:
      return GrpcStatus.PERMISSION_DENIED;
    case 404:
      return GrpcStatus.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus.UNAVAILABLE;
    default:
      return GrpcStatus.UNKNOWN;
  }
}
