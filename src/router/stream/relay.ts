import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";

import { toError } from "../../base/errors.ts";
import { GrpcStatus, type HeaderList } from "../engine.ts";
import { statusFields, statusOfHttp } from "../grpc-status.ts";
import { firstValue } from "../header-list.ts";
import { answerStatus, type RouterStatus } from "./answer.ts";
import { fromRaw, toTrailers, withSensitive } from "./raw-headers.ts";
import { farewellOf } from "./upstream-connection.ts";

/** One request and the request to the VM that stands for it. */
export interface RelayOptions {
  readonly client: ServerHttp2Stream;
  /** The request's, collected since it came. */
  readonly trailers: RequestTrailers;
  /** Names of fields that must not reach the VM, in lower case. */
  readonly drop: ReadonlySet<string>;
  readonly upstream: ClientHttp2Stream;
  readonly session: ClientHttp2Session;
  /** Whether every answer must end with a gRPC status. */
  readonly isGrpc: boolean;
  /** "namespace/name" of the satellite, for messages. */
  readonly satellite: string;
  /** Called once when the VM owes nothing more. `status` is the gRPC status as it was sent, when there was one. */
  readonly onEnd: (end: { readonly status: string | undefined; readonly connectionLost: boolean }) => void;
}

/**
 * Passes one exchange on, both ways at once: header blocks, data under backpressure, trailers, half-close, and resets with
 * their codes. The ends of the two directions are independent, as gRPC streams need.
 */
export function relay(options: RelayOptions): void {
  new Relay(options).start();
}

class Relay {
  readonly #options: RelayOptions;
  #trailers: HeaderList | undefined;
  #trailersReceived: IncomingHttpHeaders | undefined;
  #httpStatus = 200;
  #status: string | undefined;
  /** Whether the VM's answer came to its end. */
  #answered = false;
  /** Whether the client has been sent all of its answer, the status included. */
  #answerSent = false;
  /** Whether nghttp2 ended the connection to the VM for what came on it. */
  #brokeProtocol = false;
  #ended = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  start(): void {
    this.#relayRequest();
    this.#relayResponse();
  }

  #relayRequest(): void {
    const { client, upstream, trailers, drop } = this.#options;
    upstream.once("wantTrailers", () => {
      try {
        trailers.sendTo(upstream, drop);
      } catch (error) {
        this.#refuseTrailers(toError(error));
      }
    });
    if (upstream.writable) {
      client.pipe(upstream);
    }
    client.once("close", () => {
      if (!upstream.closed) {
        upstream.close(
          client.rstCode === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : client.rstCode,
        );
      }
    });
  }

  #relayResponse(): void {
    const { client, upstream } = this.#options;
    upstream.on("headers", (headers) => {
      if (isOpen(client) && !client.headersSent) {
        this.#passing(() => client.additionalHeaders(headers));
      }
    });
    upstream.once("response", (headers, flags, raw) =>
      this.#passing(() => this.#onResponse(headers, flags, raw)),
    );
    upstream.once("trailers", (headers, _flags, raw: string[]) => {
      this.#trailers = fromRaw(raw);
      this.#trailersReceived = headers;
      this.#status = firstValue(this.#trailers, "grpc-status");
    });
    client.once("wantTrailers", () => this.#sendTrailers());
    upstream.once("end", () => this.#onUpstreamEnd());
    upstream.once("error", (error) => {
      // Every end is dealt with at "close", with its code.
      this.#brokeProtocol = Reflect.get(error, "code") === "ERR_HTTP2_ERROR";
    });
    upstream.once("close", () => this.#onUpstreamClose());
  }

  #onResponse(headers: IncomingHttpHeaders, flags: number, raw: readonly string[]): void {
    const { client, upstream } = this.#options;
    if (!isOpen(client)) {
      return;
    }
    const list = fromRaw(raw);
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    this.#httpStatus = Number(firstValue(list, ":status"));
    if (isWhole) {
      this.#answered = true;
      this.#status = firstValue(list, "grpc-status");
      if (this.#lacksStatus()) {
        this.#answerFor(this.#missingStatus());
        return;
      }
    }
    // `sendDate` keeps node from adding a date of its own.
    const options = { endStream: isWhole, waitForTrailers: !isWhole, sendDate: false };
    client.respond(withSensitive([...raw], headers), options);
    if (isWhole) {
      this.#answerSent = true;
    } else {
      upstream.pipe(client, { end: false });
    }
  }

  /** Called when the last data has gone out; the answer waits for its trailers. */
  #sendTrailers(): void {
    const { client } = this.#options;
    if (!isOpen(client)) {
      return;
    }
    if (this.#lacksStatus()) {
      const { status, message } = this.#missingStatus();
      this.#trailers = [...(this.#trailers ?? []), ...statusFields(status, message)];
      this.#status = String(status);
    }
    try {
      client.sendTrailers(withSensitive(toTrailers(this.#trailers ?? []), this.#trailersReceived));
    } catch (error) {
      const { status, message } = this.#unfit(toError(error));
      this.#status = String(status);
      client.sendTrailers(toTrailers(statusFields(status, message)));
    }
    this.#answerSent = true;
    this.#stopRequest();
  }

  #onUpstreamEnd(): void {
    const { client, upstream, session } = this.#options;
    if (upstream.rstCode !== constants.NGHTTP2_NO_ERROR || (session.destroyed && this.#lacksStatus())) {
      // The VM did not end its answer: node ends a stream that is cancelled, or whose connection is gone, as well; with
      // NO_ERROR where the router itself ended the connection.
      return;
    }
    this.#answered = true;
    if (isOpen(client)) {
      client.end();
    }
    this.#end(false);
  }

  #onUpstreamClose(): void {
    const { client, upstream, session } = this.#options;
    const connectionLost = !this.#answered && (session.destroyed || upstream.session?.destroyed === true);
    if (connectionLost) {
      this.#answerFor(this.#lostConnection());
    }
    if (!this.#answered && !connectionLost && !client.closed) {
      // The VM reset the stream: gRPC clients read the code, and try REFUSED_STREAM again by themselves.
      client.close(
        upstream.rstCode === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_INTERNAL_ERROR : upstream.rstCode,
      );
    }
    this.#stopRequest();
    this.#end(connectionLost);
  }

  /**
   * Node passes on less than it takes: it refuses to send the field HTTP2-Settings (which RFC 9113 section 8.2.2 no longer
   * knows) and a status over 599, and says so by a throw. That must end this call alone.
   */
  #passing(pass: () => void): void {
    try {
      pass();
    } catch (error) {
      this.#answerFor(this.#unfit(toError(error)));
      this.#answered = true;
      this.#options.upstream.close(constants.NGHTTP2_PROTOCOL_ERROR);
    }
  }

  #unfit({ message }: Error): RouterStatus {
    return {
      status: GrpcStatus.INTERNAL,
      message: `satellite ${this.#options.satellite} answered what HTTP/2 does not allow: ${message}`,
    };
  }

  #refuseTrailers({ message }: Error): void {
    this.#answerFor({
      status: GrpcStatus.INVALID_ARGUMENT,
      message: `the request has trailers that HTTP/2 does not allow: ${message}`,
    });
    this.#answered = true;
    this.#options.upstream.close(constants.NGHTTP2_CANCEL);
  }

  /** Tells the client that the rest of its request is not wanted, once the answer is out and the VM is done. */
  #stopRequest(): void {
    const { client, upstream } = this.#options;
    if (this.#answerSent && upstream.closed && client.readable) {
      // A reset in the same turn overtakes the trailers: the client would never see its status.
      setImmediate(() => {
        if (!client.closed) {
          client.close(constants.NGHTTP2_NO_ERROR);
        }
      });
    }
  }

  /** Ends the exchange with a status of the router's: alone, or as trailers where the answer has begun. */
  #answerFor(answer: RouterStatus): void {
    const { client, isGrpc } = this.#options;
    this.#status = String(answer.status);
    if (!isOpen(client)) {
      return;
    }
    if (!client.headersSent) {
      answerStatus(client, answer);
      this.#answerSent = true;
    } else if (isGrpc && client.writable) {
      this.#trailers = statusFields(answer.status, answer.message, answer.metadata);
      client.end();
    } else {
      client.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #lacksStatus(): boolean {
    return this.#options.isGrpc && this.#status === undefined;
  }

  #missingStatus(): RouterStatus {
    return {
      status: statusOfHttp(this.#httpStatus),
      message: `satellite ${this.#options.satellite} answered HTTP ${this.#httpStatus} without a grpc-status`,
    };
  }

  #lostConnection(): RouterStatus {
    const { satellite, session } = this.#options;
    const farewell = farewellOf(session);
    const broke = this.#brokeProtocol
      ? "; what it sent is not HTTP/2, or has a header field of more than 64 KiB"
      : "";
    const said = farewell === "" ? broke : `; it said: ${farewell}`;
    return {
      status: GrpcStatus.UNAVAILABLE,
      message: `the connection to satellite ${satellite} broke during the call${said}`,
      metadata: [["satellite-reason", "ConnectionLost"]],
    };
  }

  #end(connectionLost: boolean): void {
    if (!this.#ended) {
      this.#ended = true;
      this.#options.onEnd({ status: this.#status, connectionLost });
    }
  }
}

/** Trailers of a request. They may come while it is still held, so somebody must listen from the start. */
export class RequestTrailers {
  #fields: HeaderList = [];
  #received: IncomingHttpHeaders | undefined;

  constructor(client: ServerHttp2Stream) {
    client.once("trailers", (headers, _flags, raw: string[]) => {
      this.#fields = fromRaw(raw);
      this.#received = headers;
    });
  }

  /** Ends the request to the VM with them, without those in `drop`; without any, an empty frame ends it. */
  sendTo(upstream: ClientHttp2Stream, drop: ReadonlySet<string>): void {
    if (isOpen(upstream)) {
      const fields = this.#fields.filter(([name]) => !drop.has(name));
      upstream.sendTrailers(withSensitive(toTrailers(fields), this.#received));
    }
  }
}

function isOpen(stream: Http2Stream): boolean {
  return !stream.destroyed && !stream.closed;
}
