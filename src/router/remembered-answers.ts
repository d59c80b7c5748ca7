import { toError } from "../base/errors.ts";
import { keyString } from "../kube/objects.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Access } from "./access.ts";
import { addressOf, type AddressOptions, type SatelliteAddress } from "./address.ts";
import { GrpcStatus, type ConnectionInfo, type HeaderList } from "./engine.ts";
import { parseGrpcTimeoutMs } from "./grpc-timeout.ts";
import { firstValue } from "./header-list.ts";
import type { OwnCall, OwnCallHandler, OwnService } from "./own-service.ts";
import { refusal } from "./refusal.ts";
import { standingOf } from "./standing.ts";

/** With this each build begins, and what follows has deadlines that begin when it is answered. */
const LIST_WORKERS = "/moby.buildkit.v1.Control/ListWorkers";
/**
 * Methods without an argument that tell of the VM and not of what it does (BuildKit's control.proto). All others always go to
 * the VM; every request is compared with these.
 */
const METHODS: ReadonlySet<string> = new Set([LIST_WORKERS, "/moby.buildkit.v1.Control/Info"]);
/**
 * Who gives an answer no more time than this wants one now, as `buildx ls` does with 20 s; who gives more can wait, and is
 * about to build (docs/decisions/0087).
 */
const HURRIED_MS = 60_000;
/** A message's length is preceded by a flag for compression (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** More than an empty request has. */
const MAX_REQUEST_BYTES = 1024;

/** What the service is made of. */
export interface RememberedAnswersOptions {
  /** The satellites as last seen. */
  readonly view: { get(key: string): Satellite | undefined };
  readonly access: Access;
  readonly address: AddressOptions;
}

/**
 * Answers for satellites that sleep, or are on their way to being awake, from `status.machine.answers`: what their VM said last of
 * itself. Such a call wakes nothing and keeps nothing awake. An awake VM is asked itself, and a satellite that no call
 * wakes is refused with the reason, as any other call.
 */
export function createRememberedAnswers({ view, access, address }: RememberedAnswersOptions): OwnService {
  const find = (connection: ConnectionInfo, headers: HeaderList): Remembered | undefined => {
    const path = firstValue(headers, ":path") ?? "";
    if (!METHODS.has(path) || (path === LIST_WORKERS && !isHurried(headers))) {
      return undefined;
    }
    const result = addressOf(connection, headers, address);
    if (result.kind !== "found") {
      return undefined;
    }
    const satellite = view.get(keyString(result.address));
    const answer = satellite?.status.machine?.answers?.[path];
    return satellite === undefined || answer === undefined || !sleeps(satellite)
      ? undefined
      : { satellite: result.address, answer: Buffer.from(answer, "base64") };
  };
  return {
    handles: (connection, headers) => find(connection, headers) !== undefined,
    serve(call) {
      const remembered = find(call.connection, call.headers);
      if (remembered === undefined) {
        throw new Error("asked to serve a call that it does not handle");
      }
      return new RememberedCall(call, remembered, access);
    },
  };
}

function isHurried(headers: HeaderList): boolean {
  const timeoutMs = parseGrpcTimeoutMs(firstValue(headers, "grpc-timeout") ?? "");
  return timeoutMs !== undefined && timeoutMs <= HURRIED_MS;
}

interface Remembered {
  readonly satellite: SatelliteAddress;
  readonly answer: Buffer;
}

/** Whether a request would be held for it. */
function sleeps(satellite: Satellite): boolean {
  const { kind } = standingOf(satellite);
  return kind === "asleep" || kind === "moving" || kind === "starting";
}

class RememberedCall implements OwnCallHandler {
  readonly #call: OwnCall;
  readonly #remembered: Remembered;
  readonly #access: Access;
  readonly #gone = new AbortController();
  #sizeBytes = 0;

  constructor(call: OwnCall, remembered: Remembered, access: Access) {
    this.#call = call;
    this.#remembered = remembered;
    this.#access = access;
  }

  onData(bytes: Buffer): void {
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > MAX_REQUEST_BYTES) {
      this.#refuseArgument();
    }
  }

  onEnd(): void {
    if (this.#sizeBytes > PREFIX_BYTES) {
      this.#refuseArgument();
      return;
    }
    this.#answer().catch((thrown: unknown) => {
      const message = `the call cannot be answered: ${toError(thrown).message}`;
      this.#call.end(refusal(GrpcStatus.UNAVAILABLE, message, "InternalError"));
    });
  }

  onCancel(): void {
    this.#gone.abort();
  }

  async #answer(): Promise<void> {
    const { connection, headers } = this.#call;
    const { satellite, answer } = this.#remembered;
    const decision = await this.#access.check({ connection, headers, satellite, signal: this.#gone.signal });
    if (decision.kind === "refuse") {
      this.#call.end(decision);
      return;
    }
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(answer.length, 1);
    this.#call.send(Buffer.concat([prefix, answer]));
    this.#call.end({ status: GrpcStatus.OK, message: "" });
  }

  #refuseArgument(): void {
    const message =
      "the satellite sleeps, and the router remembers only what it says without an argument (a filter, for instance); " +
      "leave the argument out, or wake the satellite first";
    this.#call.end(refusal(GrpcStatus.FAILED_PRECONDITION, message, "NotRemembered"));
  }
}
