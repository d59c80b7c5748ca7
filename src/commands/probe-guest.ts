import { status } from "@grpc/grpc-js";
import { connectGuest } from "../guest/client.ts";
import type { GuestSchema } from "../guest/schema.ts";
import type { ProbeAnswer } from "../operator/dependencies.ts";

/** An emulated VM that has just been resumed may need a while for its first answer. */
const PROBE_TIMEOUT_MS = 3000;

/** Statuses with which nobody has answered. */
const NO_ANSWER: ReadonlySet<unknown> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
]);

/**
 * Looks whether a VM's gRPC port answers, and asks its agent for boot ID and running work. A guest without the
 * agent (BuildKit alone, say) answers UNIMPLEMENTED: it is up, and nothing more is known.
 */
export function guestProbe(schema: GuestSchema): (host: string, port: number) => Promise<ProbeAnswer> {
  return async (host, port) => {
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
