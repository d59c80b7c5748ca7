import type { Admission, HeaderList, Upstream } from "../../../../src/router/engine.ts";
import { firstValue } from "../../../../src/router/header-list.ts";
import { HpackScratch } from "../../../../src/http2/hpack-decoder.ts";
import { settingsFrame } from "../../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../../../src/http2/protocol.ts";
import type { OwnService } from "../../../../src/router/own-service.ts";
import { Connection } from "../../../../src/router/relay/connection.ts";
import { DEFAULT_RELAY_LIMITS } from "../../../../src/router/relay/limits.ts";
import { Slabs } from "../../../../src/router/relay/outbox.ts";
import { WireMemory } from "../../../../src/router/relay/tcp-wire.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";
import { data, frame, headers, u32 } from "../support/peer.ts";
import { SpoilingChunks } from "../support/spoiling-chunks.ts";
import { ClientModel } from "./client-model.ts";
import { MemoryWire } from "./memory-wire.ts";
import { VmModel } from "./vm-model.ts";

/** More than the longest conversation has, byte by byte. */
const MAX_TURNS = 4000;

/** Whose bytes are cut. */
export type Direction = "client" | "machine";

/** What happens at the cut. */
export interface Event {
  readonly name: string;
  /** What the world is like until then: the gate holds, or the machine is silent. */
  readonly before?: "held" | "silent";
  /** The first offset at which it is tried. Default 0. */
  readonly from?: number;
  /** Whether every call must come to its good end all the same. */
  readonly isHarmless: boolean;
  /** Whether the client's connection may end before all is answered. */
  readonly mayClose?: boolean;
  readonly happens: (conversation: Conversation) => void;
}

/** What each call of the client sends as its body; the machine's answer is the same. */
export const BODIES: ReadonlyMap<number, string> = new Map([
  [1, "first: abcdefghijklmnopqrstuvwxyz"],
  [3, "second: 0123456789"],
  [5, "another satellite's"],
]);
/** The call that the router serves itself, and the one that the client cancels. */
export const OWN_CALL = 7;
export const CANCELLED_CALL = 9;

const OWN_PATH = "/own";

function call(id: number, satellite: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return headers(id, {
    ":method": "POST",
    ":scheme": "http",
    ":path": id === OWN_CALL ? OWN_PATH : "/t.S/M",
    call: String(id),
    sat: satellite,
    ...more,
  });
}

function padded(id: number, content: string, endStream: boolean): Buffer {
  const payload = Buffer.concat([Buffer.from([5]), Buffer.from(content), Buffer.alloc(5)]);
  return frame(FrameType.DATA, Flag.PADDED | (endStream ? Flag.END_STREAM : 0), id, payload);
}

/** Everything that the client says unasked: every type of frame, with padding, CONTINUATION and trailers. */
function script(): Buffer[] {
  const [first = "", second = "", third = ""] = BODIES.values();
  const split = call(3, "a", { authorization: "x" }).subarray(9);
  return [
    CLIENT_PREFACE,
    settingsFrame([[4, 65_535]]),
    call(1, "a"),
    data(1, first.slice(0, 10)),
    frame(FrameType.PING, 0, 0, Buffer.from("pingpong")),
    padded(1, first.slice(10, 12), false),
    frame(FrameType.HEADERS, 0, 3, split.subarray(0, 7)),
    frame(FrameType.CONTINUATION, Flag.END_HEADERS, 3, split.subarray(7)),
    data(1, first.slice(12)),
    frame(FrameType.WINDOW_UPDATE, 0, 0, u32(1000)),
    frame(FrameType.WINDOW_UPDATE, 0, 3, u32(10)),
    call(5, "b"),
    data(3, second.slice(0, 4)),
    data(5, third),
    frame(FrameType.PRIORITY, 0, 3, u32(0, 0).subarray(0, 5)),
    call(OWN_CALL, "a"),
    data(1, "", true),
    padded(3, second.slice(4), true),
    headers(5, { sum: "5" }, true),
    data(OWN_CALL, "?", true),
    call(CANCELLED_CALL, "a"),
    data(CANCELLED_CALL, "unwanted"),
    frame(FrameType.RST_STREAM, 0, CANCELLED_CALL, u32(8)),
    settingsFrame([[4, 65_536]]),
  ];
}

const own: OwnService = {
  handles: (_connection, fields) => firstValue(fields, ":path") === OWN_PATH,
  serve: (ownCall) => ({
    onData() {},
    onEnd() {
      ownCall.send(Buffer.from("own answer"));
      ownCall.end({ status: 0, message: "" });
    },
    onCancel() {},
  }),
};

/** One connection of a client through the router to two satellites, in memory and on a clock that stands still. */
export class Conversation {
  readonly client = new ClientModel();
  readonly clientWire = new MemoryWire();
  readonly machines: VmModel[] = [];
  readonly connection: Connection;
  readonly clock = new VirtualClock();
  /** The stretch of being awake that requests for satellite a are admitted to. */
  epoch = 1;
  isHeld: boolean;
  isSilent: boolean;
  /** The satellite and stretch that each call was admitted to last, as machines are named by them. */
  readonly admittedTo = new Map<string, string>();
  /** Calls that the gate refuses once it lets go. */
  readonly refused = new Set<string>();
  isClosed = false;
  /** Connections that a fault of the router's has ended. */
  faults = 0;
  /** Windows are granted only when nothing moves any more. */
  readonly #isSlow: boolean;
  /** At most so many bytes arrive at a time. */
  grainBytes = Number.MAX_SAFE_INTEGER;
  #admitted = 0;
  #released = 0;
  readonly #held: (() => void)[] = [];
  readonly #deliveredBytes: Record<Direction, number> = { client: 0, machine: 0 };

  /** @param large bodies to send as the windows allow, instead of the script that shows every frame */
  constructor(before: Event["before"], large?: ReadonlyMap<number, Buffer>) {
    this.isHeld = before === "held";
    this.isSilent = before === "silent";
    this.#isSlow = large !== undefined;
    const context = {
      gatekeeper: {
        admit: (_connection: unknown, fields: HeaderList) => this.#admit(fields),
        upstreamFailed: () => {},
      },
      clock: this.clock,
      logger: silentLogger,
      limits: DEFAULT_RELAY_LIMITS,
      dial: (upstream: Upstream, _memory: unknown, onOpen: (wire: MemoryWire) => void) =>
        this.#dial(upstream, onOpen),
      own,
      prepaid: { leftBytes: DEFAULT_RELAY_LIMITS.maxPrepaidBytes },
      onRequestEnd: () => {},
      onFault: () => {
        this.faults += 1;
      },
      slabs: new Slabs(new SpoilingChunks()),
      scratch: new HpackScratch(),
      memory: new WireMemory(),
    };
    this.connection = new Connection(this.clientWire, { id: 1, remoteAddress: "" }, context, () => {
      this.isClosed = true;
    });
    if (large === undefined) {
      this.#beginScript();
    } else {
      this.#beginLarge(large);
    }
  }

  #beginScript(): void {
    this.client.outgoing.push(...script());
    for (const id of [...BODIES.keys(), OWN_CALL, CANCELLED_CALL]) {
      this.client.open(id);
    }
    this.client.cancel(CANCELLED_CALL);
  }

  #beginLarge(large: ReadonlyMap<number, Buffer>): void {
    this.client.isSlow = true;
    this.client.outgoing.push(CLIENT_PREFACE, settingsFrame([]));
    this.call(large);
  }

  /** The client makes calls with these bodies. */
  call(large: ReadonlyMap<number, Buffer>): void {
    for (const [id, body] of large) {
      this.client.open(id);
      this.client.outgoing.push(call(id, id % 3 === 0 ? "b" : "a"));
      this.client.sender.add(id, body);
    }
    this.client.outgoing.push(...this.client.sender.take());
  }

  /** Admissions that were not released. */
  get unreleased(): number {
    return this.#admitted - this.#released;
  }

  /** Bytes that were delivered so far, in one direction; the machine's are those of the first one. */
  deliveredBytes(direction: Direction): number {
    return this.#deliveredBytes[direction];
  }

  /** The first machine, once it was dialed. */
  get machine(): VmModel | undefined {
    return this.machines[0];
  }

  /** The gate lets go of what it holds. */
  release(): void {
    this.isHeld = false;
    for (const settle of this.#held.splice(0)) {
      settle();
    }
  }

  /** The machines say their SETTINGS. */
  speak(): void {
    this.isSilent = false;
    for (const machine of this.machines) {
      machine.settle();
    }
  }

  /** Lets everything flow until nothing moves any more; in one direction no further than to `limitBytes`. */
  async run(direction: Direction, limitBytes: number): Promise<void> {
    let turns = 0;
    for (let isMoving = true; isMoving;) {
      turns += 1;
      if (turns > MAX_TURNS) {
        throw new Error("it never comes to rest");
      }
      isMoving = this.#moveOut();
      isMoving = this.#moveIn("client", this.client, this.clientWire, direction, limitBytes) || isMoving;
      for (const machine of this.machines.filter(({ isSilent }) => !isSilent)) {
        const of = machine === this.machine ? "machine" : undefined;
        isMoving = this.#moveIn(of, machine, machine.wire, direction, limitBytes) || isMoving;
      }
      await new Promise(setImmediate);
      isMoving = this.#moveOut() || isMoving;
      if (!isMoving && this.#isSlow) {
        isMoving = this.#grant();
      }
    }
  }

  /** @returns whether anything is granted */
  #grant(): boolean {
    const peers = [this.client, ...this.machines.filter(({ wire }) => !wire.isDestroyed)];
    return peers.map((peer) => peer.grant()).some((hasGranted) => hasGranted);
  }

  #moveOut(): boolean {
    const bytes = this.clientWire.take();
    this.client.read(bytes);
    let isMoving = bytes.length > 0;
    for (const machine of this.machines) {
      const toMachine = machine.wire.take();
      machine.read(toMachine);
      isMoving ||= toMachine.length > 0;
    }
    return isMoving;
  }

  #moveIn(
    of: Direction | undefined,
    peer: { outgoing: Buffer[] },
    wire: MemoryWire,
    direction: Direction,
    limitBytes: number,
  ): boolean {
    if (peer.outgoing.length === 0 || wire.isPaused || wire.isDestroyed) {
      return false;
    }
    const [first = Buffer.alloc(0), ...more] = peer.outgoing;
    const all = more.length === 0 ? first : Buffer.concat(peer.outgoing);
    const delivered = of === undefined ? 0 : this.#deliveredBytes[of];
    const allowedBytes = of === direction ? Math.max(0, limitBytes - delivered) : all.length;
    const now = all.subarray(0, Math.min(allowedBytes, this.grainBytes));
    peer.outgoing = now.length < all.length ? [all.subarray(now.length)] : [];
    if (of !== undefined) {
      this.#deliveredBytes[of] += now.length;
    }
    wire.receive(now);
    return now.length > 0;
  }

  #admit(fields: HeaderList): Admission | Promise<Admission> {
    const answer = (): Admission => this.#answer(fields);
    return this.isHeld
      ? new Promise((resolve) => {
          this.#held.push(() => resolve(answer()));
        })
      : answer();
  }

  #answer(fields: HeaderList): Admission {
    if (this.refused.has(firstValue(fields, "call") ?? "")) {
      return { kind: "refuse", status: 7, message: "no", metadata: [] };
    }
    const satellite = `ns/${firstValue(fields, "sat") ?? ""}`;
    const epoch = satellite === "ns/a" ? this.epoch : 1;
    this.#admitted += 1;
    this.admittedTo.set(firstValue(fields, "call") ?? "", `${satellite}#${epoch}`);
    return {
      kind: "forward",
      upstream: { satellite, epoch, host: "h", port: 1 },
      drop: new Set(["authorization"]),
      heldMs: 0,
      release: () => {
        this.#released += 1;
      },
    };
  }

  #dial({ satellite, epoch }: Upstream, onOpen: (wire: MemoryWire) => void): MemoryWire {
    const wire = new MemoryWire();
    const machine = new VmModel(`${satellite}#${epoch}.${this.machines.length}`, wire, !this.isSilent);
    machine.isSlow = this.#isSlow;
    this.machines.push(machine);
    onOpen(wire);
    return wire;
  }
}
