import type { Clock, Timer } from "../base/clock.ts";
import type { Target } from "./standing.ts";
import { dialVm, OtherVmError } from "./vm-dial.ts";

/** Finds out when a VM's gRPC port answers. */
export interface Prober {
  /**
   * Resolves once the port speaks HTTP/2, and is that of the right VM where it is known by a key.
   *
   * @param onOtherVm called each time another VM was met there
   * @throws the signal's reason when it aborts first; never for a VM that does not answer
   */
  untilAnswers(target: Target, signal: AbortSignal, onOtherVm?: () => void): Promise<void>;
}

/** Options of {@link createProber}. */
export interface ProberOptions {
  readonly clock: Clock;
  /** Milliseconds between attempts that are refused at once, where few VMs are probed. Default 4. */
  readonly quickIntervalMs?: number;
  /** The most that these are apart: they are as many milliseconds apart as VMs are probed. Default 40. */
  readonly intervalMs?: number;
  /** Milliseconds until another attempt is begun beside one that hangs. Default four times {@link intervalMs}. */
  readonly hangingIntervalMs?: number;
  /** Milliseconds between attempts after {@link patienceMs}. Default 250. */
  readonly slowIntervalMs?: number;
  /** Milliseconds for which attempts come quickly: a resume takes a second, a cold start a minute. Default 10,000. */
  readonly patienceMs?: number;
  /** Milliseconds that one attempt may take. Default 1500. */
  readonly attemptTimeoutMs?: number;
}

/** Client preface: magic, then an empty SETTINGS frame (RFC 9113 section 3.4). */
const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const FRAME_HEADER_BYTES = 9;
const SETTINGS_FRAME = 4;

/**
 * Probes a VM's port by HTTP/2: a connection that is accepted proves nothing (a listening backlog is not a ready server),
 * the server's SETTINGS frame does. The SYN to a resuming VM may be lost and would be sent again only after a second, so
 * attempts overlap and the first success wins; but each of them costs the VM work at its busiest moment, so one that is
 * not refused is given time.
 */
export function createProber(options: ProberOptions): Prober {
  const {
    clock,
    intervalMs = 40,
    quickIntervalMs = Math.min(4, intervalMs),
    hangingIntervalMs = 4 * intervalMs,
    slowIntervalMs = 250,
    patienceMs = 10_000,
    attemptTimeoutMs = 1500,
  } = options;
  let running = 0;
  /** A refusal costs a VM next to nothing, but a router that wakes a thousand VMs has to ask each of them. */
  const currentIntervalMs = (): number => Math.min(intervalMs, Math.max(quickIntervalMs, running));
  return {
    untilAnswers(target, signal, onOtherVm = () => {}) {
      return new Promise<void>((resolve, reject) => {
        const attempts = new Set<Attempt>();
        const startMs = clock.monotonicMs();
        let next: Timer | undefined;
        const finish = (settle: () => void): void => {
          running -= 1;
          next?.cancel();
          signal.removeEventListener("abort", onAbort);
          for (const attempt of attempts) {
            attempt.cancel();
          }
          settle();
        };
        const onAbort = (): void => finish(() => reject(signal.reason));
        let lastStartMs = -Infinity;
        const start = (): void => {
          const attempt = startAttempt(target, clock, attemptTimeoutMs, (outcome) => {
            attempts.delete(attempt);
            if (outcome === "answered") {
              finish(resolve);
            } else if (outcome === "otherVm") {
              onOtherVm();
            }
          });
          attempts.add(attempt);
          lastStartMs = clock.monotonicMs();
        };
        const tick = (): void => {
          const nowMs = clock.monotonicMs();
          if (attempts.size === 0 || nowMs - lastStartMs >= hangingIntervalMs) {
            start();
          }
          next = clock.setTimer(nowMs - startMs < patienceMs ? currentIntervalMs() : slowIntervalMs, tick);
        };
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        running += 1;
        signal.addEventListener("abort", onAbort, { once: true });
        tick();
      });
    },
  };
}

/** An attempt under way. */
export interface Attempt {
  cancel(): void;
}

type Outcome = "answered" | "otherVm" | "failed";

/** One connection. `done` is called once, later, unless the attempt is cancelled. */
function startAttempt(
  target: Target,
  clock: Clock,
  timeoutMs: number,
  done: (outcome: Outcome) => void,
): Attempt {
  const socket = dialVm(target, (open) => open.write(PREFACE));
  const received: Buffer[] = [];
  const end = (): void => {
    timer.cancel();
    socket.removeAllListeners();
    // A socket that is being destroyed may still report an error; nobody is interested any more.
    socket.on("error", () => {});
    socket.destroy();
  };
  const finish = (outcome: Outcome): void => {
    end();
    done(outcome);
  };
  const timer = clock.setTimer(timeoutMs, () => finish("failed"));
  socket.on("data", (chunk: Buffer) => readAnswer(received, chunk, finish));
  socket.once("error", (error) => finish(error instanceof OtherVmError ? "otherVm" : "failed"));
  socket.once("close", () => finish("failed"));
  return { cancel: end };
}

function readAnswer(received: Buffer[], chunk: Buffer, finish: (outcome: Outcome) => void): void {
  received.push(chunk);
  const bytes = Buffer.concat(received);
  if (bytes.length >= FRAME_HEADER_BYTES) {
    finish(bytes[3] === SETTINGS_FRAME ? "answered" : "failed");
  }
}
