import type { HiddenFrom } from "../../src/local/ec2/instances.ts";

/** Something that goes wrong, at one exact place of a story. */
export type Fault = EffectFault | NotificationFault | CloudFault | VisibilityFault | GuestFault | TimedFault;

/** At the `index`th side effect of a process: a write of a Satellite, or a call that changes a machine. */
export interface EffectFault {
  readonly on: "effect";
  /** e.g. `operator-0`, `router-1`. */
  readonly process: string;
  readonly index: number;
  readonly what:
    /** The process dies; the request was not sent, was carried out unanswered, or was answered. */
    | "crash-before"
    | "crash-during"
    | "crash-after"
    /** The request, or its answer, is lost on the way. */
    | "lose-request"
    | "lose-answer"
    /** The request arrives only after `forMs`, when nobody waits for its answer any more. */
    | "late"
    /** The process stands still for `forMs` between its last check and the request. */
    | "pause"
    /** From here on nothing passes between the process and the API server for `forMs`. */
    | "cut-off";
  readonly forMs?: number;
  /** After a crash: how many revisions the view lags behind that the process starts with. */
  readonly rewind?: number;
  /** After a crash: the process comes back under its old identity. */
  readonly sameIdentity?: boolean;
}

/** At the `index`th event of a watch of Satellites that a process gets. */
export interface NotificationFault {
  readonly on: "notification";
  readonly process: string;
  readonly index: number;
  readonly what:
    /** Lost, as when a watch breaks and cannot be resumed. */
    | "drop"
    /** Comes again later, after others. */
    | "duplicate"
    /** It and all that follow come `forMs` later. */
    | "delay"
    /** Comes after the next one. */
    | "swap"
    /** In its place the server says 410 Expired. */
    | "expire"
    /** The connection breaks. */
    | "cut";
  readonly forMs?: number;
}

/** Befalls calls of one EC2 action, from the `from`th on, `times` times. */
export interface CloudFault {
  readonly on: "cloud";
  readonly action: string;
  readonly from: number;
  /** Absent: for ever. */
  readonly times?: number;
  /**
   * Refused; carried out and answered by an error or not at all (`forget`); not arrived (`drop`); accepted, and ended
   * later with the code as StateReason (`fail-later`).
   */
  readonly what: "refuse" | "forget" | "drop" | "fail-later";
  readonly code?: string;
  readonly status?: number;
  readonly message?: string;
}

/** The `change`th change of an instance stays hidden from readers for `forMs`. */
export interface VisibilityFault {
  readonly on: "visibility";
  readonly change: number;
  readonly forMs: number;
}

/** A guest or its host misbehaves. */
export interface GuestFault {
  readonly on: "guest";
  readonly what:
    /** Hibernation is refused as too early for `forMs` after a boot. */
    | "not-ready"
    /** The `index`th hibernation fails in silence: the next start is a cold boot. */
    | "cold"
    /** The `index`th shutdown hangs until it is forced. */
    | "hangs"
    /** The port answers only `forMs` after each boot. */
    | "slow"
    /** The `index`th boot or resume fails. */
    | "boot-fails";
  readonly index?: number;
  readonly forMs?: number;
}

/** At a time of the story. */
export interface TimedFault {
  readonly on: "time";
  readonly atMs: number;
  readonly what:
    /** A person patches the satellite (JSON merge patch); a refusal is part of the plan. */
    | { readonly patch: Readonly<Record<string, unknown>> }
    | { readonly crash: string }
    | { readonly pause: string; readonly forMs: number }
    | { readonly request: string }
    | { readonly capacity: number | null }
    /** Somebody else does this to the satellite's machine. */
    | { readonly outside: Outside }
    /** The satellite's machine is missing from these reads, although it is there. */
    | { readonly missing: HiddenFrom; readonly forMs: number };
}

/** What others do to a machine; `protect` is against stop and termination, `retag` makes it another cluster's. */
export type Outside = "stop" | "start" | "terminate" | "retag" | "protect" | "unprotect";

/** One story to be told: a workload, a seed for the order of events, and what goes wrong. */
export interface Plan {
  readonly workload: string;
  readonly seed: number;
  /** Default 1. */
  readonly operators?: number;
  readonly faults: readonly Fault[];
}

/** The plan on one line, as `--replay` takes it. */
export function formatPlan(plan: Plan): string {
  return JSON.stringify(plan);
}

/** @throws SyntaxError when `text` is no plan */
export function parsePlan(text: string): Plan {
  const plan = JSON.parse(text) as Partial<Plan>;
  if (typeof plan.workload !== "string" || typeof plan.seed !== "number" || !Array.isArray(plan.faults)) {
    throw new SyntaxError('a plan has "workload", "seed" and "faults", as a failure prints it');
  }
  return plan as Plan;
}
