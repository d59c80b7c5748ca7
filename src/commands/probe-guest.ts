import { status } from "@grpc/grpc-js";
import type { Clock } from "../base/clock.ts";
import { connectGuest } from "../guest/client.ts";
import type { GuestSchema } from "../guest/schema.ts";
import type { ProbeAnswer } from "../operator/dependencies.ts";
import { startAttempt } from "../router/prober.ts";

/** An emulated VM that has just been resumed may need a while for its first answer. */
const PROBE_TIMEOUT_MS = 3000;

/** Statuses with which nobody has answered. */
const NO_ANSWER: ReadonlySet<unknown> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
]);

const SILENT: ProbeAnswer = { ready: false, runningWork: 0 };

/**
 * Looks whether a VM's gRPC port answers, and asks its agent for boot ID and running work. A guest without the
 * agent (BuildKit alone, say) answers UNIMPLEMENTED: it is up, and nothing more is known.
 *
 * A plain HTTP/2 preface goes first: of a thousand VMs that are coming up nearly all are silent at any look, and a
 * gRPC client with its channel is too much to make for each of them.
 */
export function guestProbe(
  schema: GuestSchema,
  clock: Clock,
): (host: string, port: number) => Promise<ProbeAnswer> {
  return async (host, port) => {
    const speaks = await new Promise<boolean>((resolve) => {
      startAttempt({ host, port }, clock, PROBE_TIMEOUT_MS, resolve);
    });
    if (!speaks) {
      return SILENT;
    }
    const client = connectGuest(`${host}:${port}`, { schema });
    try {
      const { bootId, runningCommands } = await client.describe(PROBE_TIMEOUT_MS);
      return { ready: true, bootID: bootId, runningWork: runningCommands };
    } catch (error) {
      const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
      return { ready: typeof code === "number" && !NO_ANSWER.has(code), runningWork: 0 };
    } finally {
      client.close();
    }
  };
}
