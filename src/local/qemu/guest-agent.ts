import { connect, type Socket } from "node:net";

import type { Clock } from "../../base/clock.ts";
import { SatelliteError } from "../../base/errors.ts";

/** One request to the agent in the guest; see QEMU's qga/qapi-schema.json for their meaning. */
export type AgentRequest =
  | { readonly execute: "guest-ping" }
  | { readonly execute: "guest-set-time"; readonly arguments: { readonly time: number } }
  | { readonly execute: "guest-shutdown"; readonly arguments: { readonly mode: "powerdown" } };

const NS_PER_MS = 1e6;
/** Longer than any answer to these requests. */
const MAX_ANSWER_LENGTH = 64 * 1024;

/** The request that sets the guest's wall clock. @param unixMs milliseconds since 1970 */
export function setTimeRequest(unixMs: number): AgentRequest {
  return { execute: "guest-set-time", arguments: { time: Math.round(unixMs) * NS_PER_MS } };
}

/** A request on its way. */
export interface SentRequest {
  /**
   * Resolves when the guest answered (at once for guest-shutdown, which has no answer); rejects with
   * `GuestAgentFailed` on a refusal and `GuestAgentSilent` after the timeout.
   */
  readonly answered: Promise<void>;
}

/**
 * Writes one request to the guest's agent. The bytes wait in QEMU's serial port while the VM is paused, so a
 * request may be sent before the VM continues.
 *
 * @returns when the request is written
 * @throws SatelliteError `GuestAgentFailed` when QEMU's socket does not take it
 */
export async function sendToAgent(
  socketPath: string,
  request: AgentRequest,
  options: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<SentRequest> {
  const socket = connect({ path: socketPath });
  const expectsAnswer = request.execute !== "guest-shutdown";
  const answered = expectsAnswer ? firstAnswer(socket, request, options) : Promise.resolve();
  // Callers may await `answered` or not; when the socket fails, the write below fails with the same cause.
  answered.catch(() => {});
  await new Promise<void>((resolve, reject) => {
    socket.on("error", (error) => reject(failed(request, error.message)));
    // 0xFF discards what an earlier client may have written in part.
    socket.write(Buffer.concat([Buffer.of(0xff), Buffer.from(`${JSON.stringify(request)}\n`)]), () =>
      resolve(),
    );
  });
  if (!expectsAnswer) {
    socket.end();
  }
  return { answered };
}

function firstAnswer(
  socket: Socket,
  request: AgentRequest,
  options: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<void> {
  const answer = new Promise<void>((resolve, reject) => {
    const timer = options.clock.setTimer(options.timeoutMs, () => {
      reject(
        new SatelliteError(
          "GuestAgentSilent",
          `the guest did not answer ${request.execute} within ${options.timeoutMs} ms`,
        ),
      );
      socket.destroy();
    });
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text = withoutParseError(text + chunk);
      const end = text.indexOf("\n");
      if (end === -1 && text.length <= MAX_ANSWER_LENGTH) {
        return;
      }
      const refusal = refusalIn(text.slice(0, end));
      if (refusal === undefined) {
        resolve();
      } else {
        reject(failed(request, refusal));
      }
      socket.destroy();
    });
    socket.once("close", () => {
      timer.cancel();
      reject(failed(request, "QEMU closed the port"));
    });
  });
  return answer;
}

/** The text without a first line in which QEMU's own agent reports the 0xFF as an error; the answer is the next line. */
function withoutParseError(text: string): string {
  return text.replace(/^\{"error": *\{[^}]*"desc": *"JSON parse error[^\n]*\n/, "");
}

/** Why the guest refused; undefined when it did not. The guest runs code that nobody trusts, so its answer may be anything. */
function refusalIn(line: string): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch {
    return "its answer is not JSON";
  }
  if (typeof answer !== "object" || answer === null) {
    return "its answer is no object";
  }
  const error: unknown = Reflect.get(answer, "error");
  return error === undefined ? undefined : describe(error);
}

function describe(error: unknown): string {
  const reason: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "desc") : error;
  return typeof reason === "string" ? reason : "it does not say why";
}

function failed(request: AgentRequest, detail: string): SatelliteError {
  return new SatelliteError(
    "GuestAgentFailed",
    `the guest's agent did not carry out ${request.execute}: ${detail}`,
  );
}
