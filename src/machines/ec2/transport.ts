/** An HTTP request of the SDK with its whole body. */
export interface TransportRequest {
  readonly method: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answer to one. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Used in place of the network, so that a simulation has both ends in one process. */
export type Transport = (request: TransportRequest) => Promise<TransportResponse>;

interface SdkRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

/** A request handler for SDK clients that passes whole requests to `transport`. */
export function transportHandler(transport: Transport): {
  handle(request: SdkRequest, options?: { abortSignal?: unknown }): Promise<{ response: SdkResponse }>;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
} {
  return {
    async handle(request, options = {}) {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
      );
      const answer = transport({
        method: request.method,
        path: request.path,
        headers,
        body: bodyText(request.body),
      });
      const signal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined;
      const { status, headers: answered, body } = await untilAborted(answer, signal);
      const bytes = new TextEncoder().encode(body);
      return { response: { statusCode: status, headers: { ...answered }, body: bytes } };
    },
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({}),
  };
}

/** Form of the SDK's `HttpResponse`. */
interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

function bodyText(body: unknown): string {
  if (body instanceof Uint8Array) {
    return new TextDecoder().decode(body);
  }
  return typeof body === "string" ? body : "";
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return work;
  }
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new DOMException("The request was aborted", "AbortError"));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
