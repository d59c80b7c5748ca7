import { toError } from "../../base/errors.ts";
import { CloudError } from "../errors.ts";
import {
  CAPACITY,
  THROTTLED,
  STATE,
  QUOTA,
  PARAMETER,
  PERMISSION,
  CREDENTIALS,
  REFUSED,
  SERVER,
  kmsRule,
  HIBERNATION_NOT_READY,
  type ErrorRule,
} from "./error-rules.ts";
import { ERROR_TABLE } from "./error-table.ts";

/** Rules for families of codes that are not in the table. The first match counts. */
const PATTERNS: readonly (readonly [RegExp, ErrorRule])[] = [
  [/^Insufficient.*Capacity$/, CAPACITY],
  [/Throttl|RequestLimit|RateExceeded/, THROTTLED],
  [/^Incorrect.*State$|\.IncorrectState$/, STATE],
  [/LimitExceeded$|QuotaExceeded$|CountExceeded$|IOPSLimit$/, QUOTA],
  [/^Unauthorized|AccessDenied|^NotAuthorized/, PERMISSION],
  [/ExpiredToken|Signature|Credential/, CREDENTIALS],
  [/^KMS|KmsKey|KMSKey/, kmsRule()],
  [
    /^Invalid|^Missing|^Malformed|^Unknown|^Unsupported|NotFound(?:Exception)?$|\.Malformed$|NotSupported$|NotSpecified$/,
    PARAMETER,
  ],
];

/**
 * The rule for an error.
 *
 * @param code EC2's code
 * @param message EC2's message, which alone tells what kind of `UnsupportedOperation` it is
 * @param status HTTP status, 0 when there was no answer
 */
export function ruleFor(code: string, message: string, status: number): ErrorRule {
  const hibernation = /hibernat/i.test(message);
  if (code === "UnsupportedOperation" && hibernation) {
    const early = /not ready|not yet ready|retry/i.test(message);
    return early ? HIBERNATION_NOT_READY : (ERROR_TABLE["UnsupportedHibernationConfiguration"] ?? PARAMETER);
  }
  const listed = Object.hasOwn(ERROR_TABLE, code) ? ERROR_TABLE[code] : undefined;
  if (listed !== undefined) {
    return listed;
  }
  // Whatever the code says: 4xx is a refusal (RFC 9110, section 15.5), except a time-out and one request too many.
  if (status < 400 || status >= 500 || status === 408) {
    return SERVER;
  }
  if (status === 429) {
    return THROTTLED;
  }
  return PATTERNS.find(([pattern]) => pattern.test(code))?.[1] ?? REFUSED;
}

/**
 * Turns what an SDK call threw into a `CloudError`.
 *
 * @param action EC2 action, for the message
 */
export function toCloudError(thrown: unknown, action: string): CloudError {
  if (thrown instanceof CloudError) {
    return thrown;
  }
  const error = toError(thrown);
  const code = codeOf(error);
  const rule = ruleFor(code, error.message, statusOf(error));
  return new CloudError({
    code,
    class: rule.class,
    reason: rule.reason,
    message: `${action}: ${code}: ${rule.advice} (EC2 says: ${error.message})`,
    cause: error,
  });
}

/** EC2's code; for a failure of the connection the operating system's, e.g. `ECONNRESET`. */
function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, "Code") ?? Reflect.get(error, "code");
  if (typeof code === "string" && code !== "") {
    return code;
  }
  return error.name === "Error" ? "Unknown" : error.name;
}

function statusOf(error: Error): number {
  const metadata: unknown = Reflect.get(error, "$metadata");
  const status: unknown =
    typeof metadata === "object" && metadata !== null ? Reflect.get(metadata, "httpStatusCode") : 0;
  return typeof status === "number" ? status : 0;
}
