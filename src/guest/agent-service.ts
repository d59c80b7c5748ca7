import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";

import type { GuestDescription } from "./schema.ts";

/** Implements `satellites.guest.v1.Agent`. @param describe called once per request */
export function createAgentService(describe: () => GuestDescription): {
  Describe(call: ServerUnaryCall<object, GuestDescription>, callback: sendUnaryData<GuestDescription>): void;
} {
  return { Describe: (_call, callback) => callback(null, describe()) };
}
