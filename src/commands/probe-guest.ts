import type { ServiceDefinition } from "@grpc/grpc-js";
import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { GuestDescription, GuestSchema } from "../guest/schema.ts";
import type { ProbeAnswer } from "../operator/dependencies.ts";
import type { ProbeQuestion } from "../operator/probe-target.ts";
import { GrpcStatus } from "../router/engine.ts";
import { callGrpc, type GrpcAnswer } from "../router/grpc-call.ts";
import { dialError, dialTls, dialVm, OtherVmError } from "../router/vm-dial.ts";
import type { GuestQuestions } from "./guest-questions.ts";
import { buildkitQuestions } from "./probe-buildkit.ts";

/** An emulated VM that has just been resumed may need a while for its first answer. */
const PROBE_TIMEOUT_MS = 3000;

/** gRPC statuses that mean that nobody has answered. */
const NO_ANSWER: ReadonlySet<number> = new Set([
  GrpcStatus.UNAVAILABLE,
  GrpcStatus.DEADLINE_EXCEEDED,
  GrpcStatus.CANCELLED,
]);

/** The agent's method that is called; every guest with the agent has it. */
const METHOD = "Describe";

/** The services that guests may serve, as grpc-js takes them. */
export interface ProbeSchemas {
  readonly guest: GuestSchema;
  readonly buildkit: ServiceDefinition;
}

/**
 * Looks whether a VM's gRPC port answers, and asks its agent for boot ID and running work; where the guest is to run
 * BuildKit, that is asked by its own API. A guest that has neither answers UNIMPLEMENTED: it is up, and nothing more is
 * known. A VM that shows another key than the one that is wanted is asked nothing.
 */
export function guestProbe(
  { guest, buildkit }: ProbeSchemas,
  clock: Clock,
): (question: ProbeQuestion) => Promise<ProbeAnswer> {
  const questions = {
    agent: agentQuestions(guest),
    buildkit: buildkitQuestions(buildkit, { measures: false }),
    measuring: buildkitQuestions(buildkit, { measures: true }),
  };
  return async ({ isBuildkit = false, measures = false, ...target }) => {
    const asked = questions[isBuildkit ? (measures ? "measuring" : "buildkit") : "agent"];
    let shown: string | undefined;
    const dial: Parameters<typeof callGrpc>[0] = (onOpen) => {
      if (target.tls === "Off" || target.tlsFingerprint !== undefined) {
        return dialVm(target, onOpen);
      }
      return dialTls(target, (socket, fingerprint) => {
        shown = fingerprint;
        onOpen(socket);
      });
    };
    try {
      const answers = await callGrpc(dial, asked.calls, PROBE_TIMEOUT_MS, clock);
      return { ...judge(answers, asked), ...keyShown(shown ?? target.tlsFingerprint) };
    } catch (thrown) {
      const error = dialError(target, toError(thrown));
      const isNotTls = error instanceof SatelliteError && error.code === "VMNotTLS";
      return {
        ready: false,
        runningWork: 0,
        ...keyShown(error instanceof OtherVmError ? error.shown : shown),
        ...(isNotTls ? { notTls: error.message } : {}),
      };
    }
  };
}

function keyShown(shown: string | undefined): Pick<ProbeAnswer, "shown"> {
  return shown === undefined ? {} : { shown };
}

function judge(
  [first, ...others]: readonly [GrpcAnswer, ...(GrpcAnswer | undefined)[]],
  asked: GuestQuestions,
): ProbeAnswer {
  const [message] = first.messages;
  if (first.status !== GrpcStatus.OK || message === undefined) {
    return { ready: !NO_ANSWER.has(first.status), runningWork: 0 };
  }
  const rest = others.map((answer) => (answer?.status === GrpcStatus.OK ? answer.messages : undefined));
  return { ready: true, ...asked.read([message, ...rest]) };
}

function agentQuestions({ agent }: GuestSchema): GuestQuestions {
  const method = agent[METHOD];
  if (method === undefined) {
    throw new SatelliteError("SchemaUnsuitable", `the guest's schema has no method ${METHOD}`);
  }
  return {
    calls: [{ path: method.path, message: method.requestSerialize({}) }],
    read([message]) {
      const { bootId, runningCommands } = method.responseDeserialize(message) as GuestDescription;
      return { bootID: bootId, runningWork: runningCommands };
    },
  };
}
