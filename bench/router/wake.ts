import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";

import { FrameReader, type FrameSink } from "../../src/http2/frame-reader.ts";
import { settingsAckFrame, settingsFrame } from "../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, FrameType } from "../../src/http2/protocol.ts";
import { pause, seededRandom } from "../../test/hostile/attack.ts";
import { Child } from "../../test/hostile/child.ts";
import { RawConnection } from "../../test/hostile/raw-connection.ts";
import { costOfIdle } from "../../test/hostile/slow.ts";
import { request } from "../../test/router/relay/support/peer.ts";
import { freePort } from "./contenders.ts";

/** What waking costs beside the VM's own time, in milliseconds, and idling, in bytes. */
export interface WakeFigures {
  /** From the VM's port being open to the held request's first byte there. */
  readonly wakeOverheadMs: Percentiles;
  /** The same to the last of 1,000 requests held on ten connections. */
  readonly release1000Ms: Percentiles;
  /** From the first of the 1,000 requests to the last, at the VM. */
  readonly release1000SpreadMs: Percentiles;
  /** Resident memory of one of 10,000 idle connections; beside it that of a socket in a process that only holds it. */
  readonly idleConnectionBytes: number;
  readonly bareSocketBytes: number;
}

interface Percentiles {
  readonly samples: number;
  readonly p50: number;
  readonly p99: number;
}

/** How much is measured. */
export interface WakeScope {
  /** Wakes with one held request each. */
  readonly wakes: number;
  /** Wakes with requests held on several connections. */
  readonly releases: number;
  readonly connections: number;
  readonly streamsPerConnection: number;
  readonly idleConnections: number;
}

const WHOLE: WakeScope = {
  wakes: 100,
  releases: 10,
  connections: 10,
  streamsPerConnection: 100,
  idleConnections: 10_000,
};

/** A VM that takes requests as fast as frames can be read, and notes when they came. */
class CountingVm implements FrameSink {
  readonly #server: net.Server;
  readonly #wanted: number;
  readonly #all: Promise<void>;
  #onAll: () => void = () => {};
  count = 0;
  openedAtMs = 0;
  firstAtMs = 0;
  lastAtMs = 0;

  constructor(wanted: number) {
    this.#wanted = wanted;
    this.#all = new Promise((resolve) => {
      this.#onAll = resolve;
    });
    this.#server = net.createServer((socket) => this.#serve(socket));
  }

  async open(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    // The kernel takes connections from here on.
    this.openedAtMs = performance.now();
    await once(this.#server, "listening");
  }

  /** Resolves when all requests have come. */
  async all(): Promise<void> {
    await this.#all;
    this.#server.close();
  }

  onFrame(type: number): void {
    if (type === FrameType.HEADERS) {
      this.lastAtMs = performance.now();
      this.count += 1;
      if (this.count === 1) {
        this.firstAtMs = this.lastAtMs;
      }
      if (this.count === this.#wanted) {
        this.#onAll();
      }
    }
  }

  onData(): void {}
  onDataPart(): void {}

  #serve(socket: net.Socket): void {
    const reader = new FrameReader(this, 1 << 20);
    let skipBytes = CLIENT_PREFACE.length;
    socket.setNoDelay(true);
    socket.write(Buffer.concat([settingsFrame([[3, 1000]]), settingsAckFrame()]));
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(skipBytes, chunk.length);
      skipBytes -= skipped;
      reader.read(chunk, skipped);
    });
  }
}

class WakeServer {
  readonly #process: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.port = port;
  }

  static async start(satellites: number): Promise<WakeServer> {
    const child = fork(path.join(import.meta.dirname, "wake-server.ts"), [String(satellites)]);
    const [{ port }] = (await once(child, "message")) as [{ port: number }];
    return new WakeServer(child, port);
  }

  /** Resolves when so many requests are held. */
  async held(count: number): Promise<void> {
    const answer = once(this.#process, "message");
    this.#process.send({ held: count });
    await answer;
  }

  /** The operator's part: the satellite runs, although its VM may not answer yet. */
  runs(satellite: number, port: number): void {
    this.#process.send({ awake: satellite, port });
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}

/** Wakes one satellite with requests held on some connections; the VM answers a while after it is said to run. */
async function wake(
  server: WakeServer,
  satellite: number,
  connections: number,
  streams: number,
  delayMs: number,
): Promise<CountingVm> {
  const clients = await Promise.all(
    Array.from({ length: connections }, () => RawConnection.http2(server.port)),
  );
  const fields = { "satellite-name": `s${satellite}`, "satellite-namespace": "team-a" };
  for (const client of clients) {
    await client.write(
      Buffer.concat(
        Array.from({ length: streams }, (_unused, place) => request(2 * place + 1, fields, true)),
      ),
    );
  }
  await server.held(connections * streams);
  const vm = new CountingVm(connections * streams);
  const port = await freePort();
  server.runs(satellite, port);
  await pause(delayMs);
  await vm.open(port);
  await vm.all();
  for (const client of clients) {
    client.close();
  }
  return vm;
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): number =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(2));
  return { samples: sorted.length, p50: at(0.5), p99: at(0.99) };
}

/** Measures what the router adds to a wake, and what idle connections cost. */
export async function measureWakes(scope: WakeScope = WHOLE): Promise<WakeFigures> {
  const { wakes, releases, connections, streamsPerConnection: streams } = scope;
  const random = seededRandom(1);
  const server = await WakeServer.start(wakes + releases);
  const single: CountingVm[] = [];
  const joint: CountingVm[] = [];
  try {
    for (let place = 0; place < wakes; place += 1) {
      single.push(await wake(server, place, 1, 1, 20 + random() * 100));
    }
    for (let place = 0; place < releases; place += 1) {
      joint.push(await wake(server, wakes + place, connections, streams, 20 + random() * 100));
    }
  } finally {
    await server.stop();
  }
  return {
    wakeOverheadMs: percentiles(single.map((vm) => vm.firstAtMs - vm.openedAtMs)),
    release1000Ms: percentiles(joint.map((vm) => vm.lastAtMs - vm.openedAtMs)),
    release1000SpreadMs: percentiles(joint.map((vm) => vm.lastAtMs - vm.firstAtMs)),
    ...(await measureIdle(scope.idleConnections)),
  };
}

async function measureIdle(
  connections: number,
): Promise<Pick<WakeFigures, "idleConnectionBytes" | "bareSocketBytes">> {
  const router = await Child.start("router-process.ts", ["1", "1"]);
  const bare = await Child.start("idle-process.ts");
  try {
    return {
      idleConnectionBytes: Math.round(await costOfIdle(router, connections)),
      bareSocketBytes: Math.round(await costOfIdle(bare, connections)),
    };
  } finally {
    await router.stop();
    await bare.stop();
  }
}
