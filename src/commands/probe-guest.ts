import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { GuestDescription, GuestSchema } from "../guest/schema.ts";
import type { ProbeAnswer } from "../operator/dependencies.ts";
import type { ProbeTarget } from "../operator/probe-target.ts";
import { GrpcStatus } from "../router/engine.ts";
import { callUnary, type UnaryAnswer } from "../router/unary-call.ts";
import { dialError, dialTls, dialVm, OtherVmError } from "../router/vm-dial.ts";

/** An emulated VM that has just been resumed may need a while for its first answer. */
const PROBE_TIMEOUT_MS = 3000;

/** Statuses with which nobody has answered. */
const NO_ANSWER: ReadonlySet<number> = new Set([
  GrpcStatus.UNAVAILABLE,
  GrpcStatus.DEADLINE_EXCEEDED,
  GrpcStatus.CANCELLED,
]);

/** The method that is asked for; every guest with the agent has it. */
const METHOD = "Describe";

/**
 * Looks whether a VM's gRPC port answers, and asks its agent for boot ID and running work. A guest without the
 * agent (BuildKit alone, say) answers UNIMPLEMENTED: it is up, and nothing more is known. A VM that shows another key
 * than the one that is wanted is asked nothing.
 */
export function guestProbe(schema: GuestSchema, clock: Clock): (target: ProbeTarget) => Promise<ProbeAnswer> {
  const method = schema.agent[METHOD];
  if (method === undefined) {
    throw new SatelliteError("SchemaUnsuitable", `the guest's schema has no method ${METHOD}`);
  }
  const call = { path: method.path, message: method.requestSerialize({}), timeoutMs: PROBE_TIMEOUT_MS };
  return async (target) => {
    let shown: string | undefined;
    const dial: Parameters<typeof callUnary>[0] = (onOpen) => {
      if (target.tls === "Off" || target.tlsFingerprint !== undefined) {
        return dialVm(target, onOpen);
      }
      return dialTls(target, (socket, fingerprint) => {
        shown = fingerprint;
        onOpen(socket);
      });
    };
    try {
      const answer = await callUnary(dial, call, clock);
      return {
        ...describe(answer, (bytes) => method.responseDeserialize(bytes) as GuestDescription),
        ...keyShown(shown ?? target.tlsFingerprint),
      };
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

function describe({ status, message }: UnaryAnswer, parse: (bytes: Buffer) => GuestDescription): ProbeAnswer {
  if (status !== GrpcStatus.OK || message === undefined) {
    return { ready: !NO_ANSWER.has(status), runningWork: 0 };
  }
  const { bootId, runningCommands } = parse(message);
  return { ready: true, bootID: bootId, runningWork: runningCommands };
}
