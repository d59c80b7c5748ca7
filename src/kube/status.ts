import { KubeError } from "./errors.ts";

/** `reason` that stands for an HTTP status when the answer carries none (apimachinery, api/errors). */
const REASON_BY_CODE: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  410: "Gone",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

const MAX_PLAIN_MESSAGE = 300;

/** Status object (API conventions, "Response Status Kind"), as far as it is read. */
interface Status {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly causes?: readonly {
      readonly reason?: string;
      readonly message?: string;
      readonly field?: string;
    }[];
    readonly retryAfterSeconds?: number;
  };
}

function isStatus(value: unknown): value is Status {
  return typeof value === "object" && value !== null && Reflect.get(value, "kind") === "Status";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Proxies and load balancers answer with text or HTML; the caller then shows its beginning.
    return undefined;
  }
}

/**
 * Seconds to wait by a Retry-After header (RFC 9110, section 10.2.3): a number, or a date that is compared
 * with `nowMs` (milliseconds since 1970).
 */
export function retryAfterSeconds(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) {
    return undefined;
  }
  const trimmed = header.trim();
  if (/^\d+$/.test(trimmed)) {
    return Number(trimmed);
  }
  const dateMs = Date.parse(trimmed);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, Math.ceil((dateMs - nowMs) / 1000));
}

/** What is known of a refusal beside its body. */
export interface Refusal {
  /** HTTP status code; overridden by the Status object's own code, which ERROR events of a watch carry. */
  readonly code: number;
  /** What was asked, for the message: "GET /api/v1/…". */
  readonly request: string;
  /** Seconds of the Retry-After header. */
  readonly retryAfterSeconds?: number | undefined;
}

/** Turns a Status object, from an error answer or from an ERROR event of a watch, into a KubeError. */
export function statusError(status: unknown, refusal: Refusal): KubeError {
  const given: Status = isStatus(status) ? status : {};
  const code = given.code ?? refusal.code;
  const reason = given.reason === undefined || given.reason === "" ? undefined : given.reason;
  return new KubeError({
    reason: reason ?? REASON_BY_CODE[code] ?? (code >= 500 ? "InternalError" : "Unknown"),
    status: code,
    message: `${refusal.request}: ${given.message ?? `the API server answered HTTP ${code}`}`,
    causes: given.details?.causes ?? [],
    retryAfterSeconds: given.details?.retryAfterSeconds ?? refusal.retryAfterSeconds,
  });
}

/** Turns an HTTP answer outside 2xx into a KubeError, whether or not its body is a Status object. */
export function answerError(body: string, refusal: Refusal): KubeError {
  const parsed = parseJson(body);
  if (isStatus(parsed) || body.trim() === "") {
    return statusError(parsed, refusal);
  }
  const start = body.trim().slice(0, MAX_PLAIN_MESSAGE);
  return statusError({ kind: "Status", message: `HTTP ${refusal.code}: ${start}` }, refusal);
}
