import { once } from "node:events";
import net from "node:net";
import { settingsFrame, type SettingEntry } from "../../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE } from "../../../../src/http2/protocol.ts";
import type {
  Admission,
  ConnectionInfo,
  Gatekeeper,
  HeaderList,
  Upstream,
} from "../../../../src/router/engine.ts";
import { RelayEngine, type RelayEngineOptions } from "../../../../src/router/relay/engine.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { connectRaw, Peer, request } from "./peer.ts";

type Forward = Extract<Admission, { kind: "forward" }>;

/** One question to the gate, for the test to answer. */
export interface Question {
  readonly connection: ConnectionInfo;
  readonly headers: HeaderList;
  readonly signal: AbortSignal;
  settle(admission: Admission): void;
  fail(error: Error): void;
}

/** A gate that the test operates: it answers at once by `answer`, or collects questions. */
export class TestGate implements Gatekeeper {
  answer: ((headers: HeaderList, connection: ConnectionInfo) => Admission) | undefined;
  readonly questions: Question[] = [];
  readonly failures: { readonly upstream: Upstream; readonly error: Error }[] = [];
  admitted = 0;
  released = 0;
  #onChange: (() => void)[] = [];

  admit(
    connection: ConnectionInfo,
    headers: HeaderList,
    signal: AbortSignal,
  ): Admission | Promise<Admission> {
    if (this.answer !== undefined) {
      return this.answer(headers, connection);
    }
    return new Promise((settle, fail) => {
      this.questions.push({ connection, headers, signal, settle, fail });
      this.#changed();
    });
  }

  upstreamFailed(upstream: Upstream, error: Error): void {
    this.failures.push({ upstream, error });
    this.#changed();
  }

  /** An admission that counts, and whose second release fails the test. */
  forward(upstream: Upstream, more: Partial<Pick<Forward, "drop" | "heldMs">> = {}): Forward {
    this.admitted += 1;
    this.#changed();
    let isReleased = false;
    return {
      kind: "forward",
      upstream,
      drop: new Set(),
      heldMs: 0,
      ...more,
      release: () => {
        if (isReleased) {
          throw new Error("an admission was released twice");
        }
        isReleased = true;
        this.released += 1;
        this.#changed();
      },
    };
  }

  /** Resolves once `isTrue` holds; looked at whenever the gate is used. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        this.#onChange.push(resolve);
      });
    }
  }

  async question(place: number): Promise<Question> {
    await this.until(() => this.questions.length > place);
    return this.questions[place]!;
  }

  #changed(): void {
    for (const resolve of this.#onChange.splice(0)) {
      resolve();
    }
  }
}

/** A machine with a raw HTTP/2 server: the test plays its part frame by frame. */
export class RawVm {
  readonly server: net.Server;
  readonly peers: Peer[] = [];
  #waiters: ((peer: Peer) => void)[] = [];

  constructor() {
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket, { skipBytes: CLIENT_PREFACE.length });
      const waiter = this.#waiters.shift();
      this.peers.push(peer);
      waiter?.(peer);
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return (this.server.address() as net.AddressInfo).port;
  }

  #accepted = 0;

  /** The next connection, come or coming. */
  accept(): Promise<Peer> {
    const peer = this.peers[this.#accepted];
    this.#accepted += 1;
    return peer === undefined
      ? new Promise((resolve) => {
          this.#waiters.push(resolve);
        })
      : Promise.resolve(peer);
  }

  /** The next connection, on which the machine has sent its SETTINGS. */
  async ready(settings: readonly SettingEntry[] = []): Promise<Peer> {
    const peer = await this.accept();
    peer.send(settingsFrame(settings));
    return peer;
  }
}

/** Both ends of a request. */
export interface Call {
  readonly client: Peer;
  readonly vm: Peer;
}

/** An engine with a gate and one machine, and all that was opened, to be closed at the end. */
export class Rig {
  readonly gate = new TestGate();
  readonly vm = new RawVm();
  readonly engine: RelayEngine;
  upstream: Upstream = { satellite: "ns/vm", epoch: 1, host: "127.0.0.1", port: 0 };
  port = 0;
  readonly #sockets = new Set<net.Socket>();

  constructor(options: Partial<RelayEngineOptions> = {}) {
    this.engine = new RelayEngine({ gatekeeper: this.gate, logger: silentLogger, ...options });
    this.vm.server.on("connection", (socket) => this.#sockets.add(socket));
  }

  async start(): Promise<this> {
    this.upstream = { ...this.upstream, port: await this.vm.listen() };
    this.port = (await this.engine.listen({ host: "127.0.0.1", port: 0 })).port;
    return this;
  }

  /** From now on the gate admits everything at once. */
  admitAll(): void {
    this.gate.answer = () => this.gate.forward(this.upstream);
  }

  track(peer: Peer): Peer {
    this.#sockets.add(peer.socket);
    return peer;
  }

  /** A client and the machine, with request 1 passed on between them, which the gate must admit. */
  async call({
    isWhole = false,
    clientSettings = [],
  }: { readonly isWhole?: boolean; readonly clientSettings?: readonly SettingEntry[] } = {}): Promise<Call> {
    const client = this.track(await connectRaw(this.port, clientSettings));
    client.send(request(1, {}, isWhole));
    const vm = await this.vm.ready();
    await vm.headers(1);
    return { client, vm };
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await this.engine.close();
    const closed = once(this.vm.server, "close");
    this.vm.server.close();
    await closed;
  }
}
