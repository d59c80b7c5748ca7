import { SatelliteError } from "../base/errors.ts";

/**
 * A refusal by the API server, or the failure to reach it. `reason` is the `reason` of the server's Status
 * object (Kubernetes API conventions, "Response Status Kind"), or one of ours: `Unreachable` when no answer
 * came, `Timeout` when it took too long. After those two the outcome of a write is unknown.
 */
export class KubeError extends SatelliteError {
  readonly reason: string;
  /** HTTP status code; 0 when there was no answer. */
  readonly status: number;
  /** `details.causes` of the server's Status object. */
  readonly causes: readonly {
    readonly reason?: string;
    readonly message?: string;
    readonly field?: string;
  }[];
  /** Seconds that the server asked us to wait, when it did. */
  readonly retryAfterSeconds: number | undefined;

  constructor(init: {
    readonly reason: string;
    readonly status: number;
    readonly message: string;
    readonly causes?: KubeError["causes"];
    readonly retryAfterSeconds?: number | undefined;
    readonly cause?: unknown;
  }) {
    super(`Kube${init.reason}`, init.message, { cause: init.cause });
    this.name = "KubeError";
    this.reason = init.reason;
    this.status = init.status;
    this.causes = init.causes ?? [];
    this.retryAfterSeconds = init.retryAfterSeconds;
  }
}

/** Whether `error` is a KubeError with that reason. */
export function hasReason(error: unknown, reason: string): error is KubeError {
  return error instanceof KubeError && error.reason === reason;
}

/** HTTP 404. */
export const isNotFound = (error: unknown): boolean => hasReason(error, "NotFound");
/** HTTP 409: somebody else wrote first. */
export const isConflict = (error: unknown): boolean => hasReason(error, "Conflict");
/** HTTP 422: also a JSON patch whose `test` failed, which can be told apart only by reading the object. */
export const isInvalid = (error: unknown): boolean => hasReason(error, "Invalid");
/**
 * HTTP 422 that names its causes: the schema refuses what was sent, and would refuse it again. A failed `test` of a JSON
 * patch is a 422 without causes (apiserver, "patch.go": the patch did not apply).
 */
export const isRejected = (error: unknown): error is KubeError =>
  hasReason(error, "Invalid") && error.causes.length > 0;
/** HTTP 410: the resourceVersion is too old; list again. */
export const isExpired = (error: unknown): boolean => hasReason(error, "Expired") || hasReason(error, "Gone");
