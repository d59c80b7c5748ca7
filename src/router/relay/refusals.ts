import { GrpcStatus, type Upstream } from "../engine.ts";
import { refusal, type Refusal } from "../refusal.ts";

/** The answer to a request whose time ran out while it waited. */
export function expired(): Refusal {
  return refusal(
    GrpcStatus.DEADLINE_EXCEEDED,
    "the deadline passed while the request was held",
    "DeadlineExceeded",
  );
}

/** The answer to the newest of too many bytes that wait. */
export function tooMuchWaits(): Refusal {
  return refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    "too many bytes wait at the router for the satellite; try again when it is awake",
    "TooManyHeldBytes",
  );
}

/** The answer to a request with more metadata than the client was told. */
export function tooLarge(maxBytes: number): Refusal {
  return refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `the request's metadata is larger than ${maxBytes} bytes`,
    "MetadataTooLarge",
  );
}

/** The answer to a call whose VM answers with more metadata than the client said that it takes (RFC 9113 §6.5.2). */
export function answerTooLarge({ satellite }: Upstream, maxBytes: number): Refusal {
  return refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `the metadata of satellite ${satellite}'s answer is larger than the ${maxBytes} bytes that the client takes`,
    "MetadataTooLarge",
  );
}

/** The answer to a request that the gate threw at. */
export function notJudged(): Refusal {
  return {
    kind: "refuse",
    status: GrpcStatus.INTERNAL,
    message: "the router could not judge this request; see its log",
    metadata: [],
  };
}

/**
 * The answer to a request whose VM is out of reach.
 *
 * @param reason CamelCase, see {@link refusal}
 */
export function unreachable({ satellite }: Upstream, { message }: Error, reason = "Unreachable"): Refusal {
  return refusal(GrpcStatus.UNAVAILABLE, `${satellite} could not be reached: ${message}`, reason);
}

/**
 * The answer to a request whose VM went away before it had answered.
 *
 * @param farewell what the VM said when it went
 */
export function connectionLost({ satellite }: Upstream, farewell: string): Refusal {
  const said = farewell === "" ? "" : `; it said: ${farewell}`;
  return refusal(
    GrpcStatus.UNAVAILABLE,
    `the connection to satellite ${satellite} broke during the call${said}`,
    "ConnectionLost",
  );
}

/** The answer to a call whose VM breaks HTTP/2 in a way that concerns that call alone. */
export function malformedAnswer({ satellite }: Upstream, problem: string): Refusal {
  return refusal(
    GrpcStatus.INTERNAL,
    `satellite ${satellite} answered what HTTP/2 does not allow: ${problem}`,
    "MalformedAnswer",
  );
}
