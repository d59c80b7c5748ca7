import type { ConnectionInfo, GrpcStatusCode, HeaderList } from "./engine.ts";

/** A status that the router gives itself. */
export interface OwnStatus {
  readonly status: GrpcStatusCode;
  readonly message: string;
  readonly metadata?: HeaderList;
}

/** A call that the router serves itself, as its service sees it. */
export interface OwnCall {
  readonly connection: ConnectionInfo;
  readonly headers: HeaderList;
  /** Sends one gRPC-framed message, behind the response's headers. Ignored once the call has ended. */
  send(framed: Buffer): void;
  /** Ends the call with a status. Ignored once the call has ended. */
  end(status: OwnStatus): void;
}

/** What a service wants to hear of a call. */
export interface OwnCallHandler {
  /** Bytes of the request's body in order, cut anywhere. What is kept must be copied. */
  onData(bytes: Buffer): void;
  /** The client has ended its side. */
  onEnd(): void;
  /** The client or its connection has gone. Called at most once, and never after the call has ended. */
  onCancel(): void;
}

/** A gRPC service of the router itself. Its calls need no admission and no VM, and hold no lease. */
export interface OwnService {
  /** Whether this request is for the router and not for a satellite. */
  handles(connection: ConnectionInfo, headers: HeaderList): boolean;
  /** Serves one call that it {@link handles}. */
  serve(call: OwnCall): OwnCallHandler;
}

/** Several services as one; the first that handles a request serves it. */
export function joinServices(...services: readonly OwnService[]): OwnService {
  const find = (connection: ConnectionInfo, headers: HeaderList): OwnService | undefined =>
    services.find((service) => service.handles(connection, headers));
  return {
    handles: (connection, headers) => find(connection, headers) !== undefined,
    serve(call) {
      const service = find(call.connection, call.headers);
      if (service === undefined) {
        throw new Error("asked to serve a call that no service handles");
      }
      return service.serve(call);
    },
  };
}
