import type { Power } from "../../satellite/resource.ts";

/** A call that the cloud accepted in some epoch, remembered so that it is not sent again at once. */
export interface AcceptedCall {
  readonly epoch: number;
  /** Monotonic milliseconds. */
  readonly atMs: number;
}

/** What this process told the cloud to do with the satellite's machines, and the cloud accepted. */
export interface AcceptedCalls {
  start?: AcceptedCall;
  stop?: AcceptedCall;
  /** When each machine was last told to terminate; monotonic ms. */
  terminated?: Readonly<Record<string, number>>;
  /** The start that this process wrote or fenced itself, as "epoch/fence": only that one may it send. */
  ownedStart?: string;
}

interface Holder {
  readonly calls: AcceptedCalls;
}

/** Takes note of a call that the cloud accepted. */
export function noteAccepted(memory: Holder, call: "start" | "stop", epoch: number, atMs: number): void {
  memory.calls[call] = { epoch, atMs };
}

/** The same of the termination of a machine. */
export function noteTerminated(memory: Holder, id: string, atMs: number): void {
  memory.calls.terminated = { ...memory.calls.terminated, [id]: atMs };
}

/** Names one start by one leader: "epoch/fence". */
export function startOf({ epoch, fence }: Power): string {
  return `${epoch}/${fence}`;
}

/** Notes a start whose intent this process has written and had confirmed: it may send the call. */
export function noteOwnedStart(memory: Holder, power: Power): void {
  if (power.state === "Starting" && !power.accepted) {
    memory.calls.ownedStart = startOf(power);
  }
}

/** After a write of unknown outcome, which may still land, a start must be fenced before it is sent (docs/decisions/0012). */
export function disownStart(memory: Holder): void {
  delete memory.calls.ownedStart;
}
