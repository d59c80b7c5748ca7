import { SatelliteError } from "../base/errors.ts";

/** What class of failure a cloud error is; decides what the operator does next. */
export type CloudErrorClass =
  /** No capacity for this type in this zone now. */
  | "capacity"
  /** Too many calls; try later. */
  | "throttled"
  /** Not sent, because this process may not change anything (any more): another one decides. */
  | "not-sent"
  /** The machine is in a state that does not allow the call. */
  | "state"
  /** The machine is not known (any more, or not yet). */
  | "gone"
  /** An account limit is used up. */
  | "quota"
  /** A parameter is wrong: terminal until the class or satellite changes. */
  | "parameter"
  /** Not allowed: terminal until somebody changes permissions. */
  | "permission"
  /** Refused for a reason that is not in the cloud's table: nothing was done. */
  | "refused"
  /** The machine is protected against this call. */
  | "protection"
  /** The token was used with other parameters, or for a machine that is terminated. */
  | "token"
  /** Too soon after launch to hibernate; try again shortly. */
  | "hibernation-not-ready"
  /** This machine can never hibernate. */
  | "hibernation-unsupported"
  /** The cloud failed, or no answer came: the outcome is unknown. */
  | "server";

/**
 * Failures that do not tell whether an earlier request with the same token, of this process or of one before, was carried
 * out: the same request is sent again.
 */
const UNDECIDED: ReadonlySet<string> = new Set<CloudErrorClass>(["throttled", "not-sent", "server"]);

/** Whether a failure of that class is a refusal of what was asked, so that something else may be asked. */
export function isRefusal(errorClass: string): boolean {
  return !UNDECIDED.has(errorClass);
}

/** A refusal or failure of the cloud. */
export class CloudError extends SatelliteError {
  readonly class: CloudErrorClass;
  /** CamelCase reason for conditions and events. */
  readonly reason: string;
  /** Whether the call may have taken effect all the same. */
  readonly outcomeUnknown: boolean;

  constructor(init: {
    /** The cloud's own error code, e.g. `InsufficientInstanceCapacity`. */
    readonly code: string;
    readonly class: CloudErrorClass;
    readonly reason: string;
    readonly message: string;
    readonly cause?: unknown;
  }) {
    super(init.code, init.message, { cause: init.cause });
    this.name = "CloudError";
    this.class = init.class;
    this.reason = init.reason;
    this.outcomeUnknown = init.class === "server";
  }
}
