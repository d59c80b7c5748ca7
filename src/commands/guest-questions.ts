import type { ProbeAnswer } from "../operator/dependencies.ts";
import type { GrpcCall } from "../router/grpc-call.ts";

/** What a guest is asked, and what its answers say where the first one is good. */
export interface GuestQuestions {
  readonly calls: readonly [GrpcCall, ...GrpcCall[]];
  read(
    answers: readonly [Buffer, ...(readonly Buffer[] | undefined)[]],
  ): Omit<ProbeAnswer, "ready" | "shown">;
}
