import type { ProbeAnswer } from "../operator/dependencies.ts";
import type { GrpcCall } from "../router/grpc-call.ts";

/** The calls that a guest is asked with, and how their answers are read once the first one has succeeded. */
export interface GuestQuestions {
  readonly calls: readonly [GrpcCall, ...GrpcCall[]];
  read(
    answers: readonly [Buffer, ...(readonly Buffer[] | undefined)[]],
  ): Omit<ProbeAnswer, "ready" | "shown">;
}
