/** State of a server or a service, by the numbers of grpc.health.v1 `HealthCheckResponse.ServingStatus`. */
export const ServingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

/** Path prefix of the standard health service (grpc/health/v1/health.proto). */
export const HEALTH_PREFIX = "/grpc.health.v1.Health/";

const MESSAGE_HEADER_BYTES = 5;
/** Protobuf key of field 1, length-delimited. */
const FIRST_FIELD = 0x0a;
/** Protobuf key of field 2, length-delimited. */
const SECOND_FIELD = 0x12;
/** Protobuf key of field 1, varint. */
const STATUS_FIELD = 0x08;

/** Something whose health can be asked for and watched. */
export interface HealthSource {
  readonly status: ServingStatus;
  /** @returns a function that ends the subscription */
  subscribe(listener: (status: ServingStatus) => void): () => void;
}

/** Whether the router serves; changes reach those who watch. */
export class Health implements HealthSource {
  readonly #isServing: () => boolean;
  #told = false;
  #isDraining = false;
  readonly #listeners = new Set<(status: ServingStatus) => void>();
  readonly #drainListeners = new Set<() => void>();

  constructor(isServing: () => boolean) {
    this.#isServing = isServing;
  }

  get status(): ServingStatus {
    return this.#isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  /** Whether whoever watches should go elsewhere. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Tells whoever watches what the answer is now, and then to go elsewhere. */
  drain(): void {
    this.update();
    this.#isDraining = true;
    for (const listener of this.#drainListeners) {
      listener();
    }
  }

  /** @returns a function that ends the subscription */
  onDrain(listener: () => void): () => void {
    this.#drainListeners.add(listener);
    return () => this.#drainListeners.delete(listener);
  }

  /** To be called when the answer may have changed. */
  update(): void {
    const serving = this.#isServing();
    if (serving !== this.#told) {
      this.#told = serving;
      for (const listener of this.#listeners) {
        listener(this.status);
      }
    }
  }

  subscribe(listener: (status: ServingStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/**
 * Reads the service name from a gRPC-framed `HealthCheckRequest`.
 *
 * @returns "" for the server as a whole; `undefined` when the bytes are no such request
 */
export function decodeHealthRequest(framed: Buffer): string | undefined {
  if (framed.length < MESSAGE_HEADER_BYTES || framed[0] !== 0) {
    return undefined;
  }
  const message = framed.subarray(MESSAGE_HEADER_BYTES);
  if (framed.readUInt32BE(1) !== message.length) {
    return undefined;
  }
  if (message.length === 0) {
    return "";
  }
  const [key, length = 0] = message;
  // Names longer than one length byte allows are nobody's.
  return key === FIRST_FIELD && length < 0x80 && message.length === 2 + length
    ? message.toString("utf8", 2)
    : undefined;
}

/** A gRPC-framed `HealthCheckResponse`. */
export function encodeHealthResponse(status: ServingStatus): Buffer {
  return frame([STATUS_FIELD, status]);
}

/** A gRPC-framed `HealthListResponse` with one service, the whole (""). */
export function encodeHealthList(status: ServingStatus): Buffer {
  const entry = [FIRST_FIELD, 0, SECOND_FIELD, 2, STATUS_FIELD, status];
  return frame([FIRST_FIELD, entry.length, ...entry]);
}

function frame(message: readonly number[]): Buffer {
  return Buffer.from([0, 0, 0, 0, message.length, ...message]);
}
