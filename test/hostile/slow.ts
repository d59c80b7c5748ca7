import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/protocol.ts";
import { settingsFrame } from "../../src/http2/frame-writer.ts";
import { block, data, frame, request } from "../router/relay/support/peer.ts";
import { pause, scaled, type Attack, type Outcome, type Target } from "./attack.ts";
import { Child } from "./child.ts";
import { RawConnection } from "./raw-connection.ts";

const STEP_MS = 250;
/** More than the router's patience with what must be whole. */
const SLOW_MS = 15_000;

/** Sends `bytes` one by one on many connections, and counts those that the router ended meanwhile. */
async function trickle(
  target: Target,
  bytes: Buffer,
  before: Buffer | undefined,
  mustEnd: boolean,
): Promise<Outcome> {
  const connections = await Promise.all(
    Array.from({ length: scaled(target, 200) }, () => RawConnection.open(target.router.port)),
  );
  if (before !== undefined) {
    await Promise.all(connections.map((connection) => connection.write(before)));
  }
  const startedMs = performance.now();
  let firstEndMs: number | undefined;
  for (let place = 0; performance.now() - startedMs < SLOW_MS; place += 1) {
    const open = connections.filter(({ ended }) => !ended);
    if (open.length < connections.length) {
      firstEndMs ??= performance.now() - startedMs;
    }
    if (open.length === 0) {
      break;
    }
    const byte = bytes.subarray(place % bytes.length, (place % bytes.length) + 1);
    await Promise.all(open.map((connection) => connection.write(byte)));
    await pause(STEP_MS);
  }
  const ended = connections.filter((connection) => connection.ended).length;
  for (const connection of connections) {
    connection.close();
  }
  const when = firstEndMs === undefined ? "" : `, the first after ${(firstEndMs / 1000).toFixed(1)} s`;
  return {
    inputs: connections.length,
    figure: `${ended} of ${connections.length} cut off${when}`,
    problems:
      mustEnd && ended < connections.length
        ? [`${connections.length - ended} slow connections live after ${SLOW_MS / 1000} s`]
        : [],
  };
}

const START = Buffer.concat([CLIENT_PREFACE, settingsFrame([])]);
/** Two bytes beyond what is sent in the time of the attack: it never gets whole. */
const NEVER_WHOLE = Buffer.alloc(1000, "x");

/**
 * Clients that begin something and take for ever.
 */
export const SLOW_CLIENTS: readonly Attack[] = [
  {
    name: "slow prefaces",
    // The last byte of the preface never comes.
    run: (target) =>
      trickle(target, Buffer.alloc(64, 0), CLIENT_PREFACE.subarray(0, 3), false).then((outcome) =>
        outcome.figure.startsWith("0 of")
          ? { ...outcome, problems: ["connections without a preface live on"] }
          : outcome,
      ),
  },
  {
    name: "prefaces that stop",
    run: (target) => stop(target, true, CLIENT_PREFACE.subarray(0, 20)),
  },
  {
    name: "header blocks that stop",
    run: (target) =>
      stop(
        target,
        true,
        Buffer.concat([START, frame(FrameType.HEADERS, 0, 1, block({ ":method": "POST" }))]),
      ),
  },
  {
    name: "slow header blocks",
    run: (target) =>
      trickle(
        target,
        NEVER_WHOLE,
        Buffer.concat([START, frame(FrameType.HEADERS, Flag.END_HEADERS, 1, NEVER_WHOLE).subarray(0, 9)]),
        true,
      ),
  },
  {
    name: "slow bodies",
    // A stream that idles is what the router is for: nothing needs to end it, and nobody else may suffer.
    run: (target) => trickle(target, data(1, "x"), Buffer.concat([START, request(1)]), false),
  },
];

/** Sends the beginning and no more. */
async function stop(target: Target, mustEnd: boolean, bytes: Buffer): Promise<Outcome> {
  const connections = await Promise.all(
    Array.from({ length: scaled(target, 200) }, () => RawConnection.open(target.router.port)),
  );
  await Promise.all(connections.map((connection) => connection.write(bytes)));
  const startedMs = performance.now();
  const ends = await Promise.all(connections.map((connection) => connection.until(() => false, SLOW_MS)));
  const ended = ends.filter(Boolean).length;
  for (const connection of connections) {
    connection.close();
  }
  return {
    inputs: connections.length,
    figure: `${ended} of ${connections.length} cut off within ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
    problems: mustEnd && ended < connections.length ? [`${connections.length - ended} live on`] : [],
  };
}

const IDLE_CONNECTIONS = 10_000;
const OPEN_AT_ONCE = 200;

/** Opens idle connections and returns what each costs the process behind the port, in bytes. */
export async function costOfIdle(server: Child, count: number): Promise<number> {
  const before = await server.rssBytes();
  const connections: RawConnection[] = [];
  while (connections.length < count) {
    const size = Math.min(OPEN_AT_ONCE, count - connections.length);
    connections.push(
      ...(await Promise.all(Array.from({ length: size }, () => RawConnection.open(server.port)))),
    );
    const opened = connections.slice(-size);
    await Promise.all(opened.map((connection) => connection.write(START)));
    await Promise.all(
      opened.map((connection) => connection.until(() => connection.receivedBytes > 0, 10_000)),
    );
  }
  const after = await server.rssBytes();
  for (const connection of connections) {
    connection.close();
  }
  return (after - before) / count;
}

/** Many connections that do nothing. */
export const IDLE_SOCKETS: Attack = {
  name: "10,000 idle connections",
  async run(target) {
    const count = scaled(target, IDLE_CONNECTIONS);
    const bare = await Child.start("idle-process.ts");
    let bareBytes: number;
    try {
      bareBytes = await costOfIdle(bare, count);
    } finally {
      await bare.stop();
    }
    const ownBytes = await costOfIdle(target.router, count);
    const kib = (bytes: number): string => (bytes / 1024).toFixed(1);
    return {
      inputs: count,
      figure: `${kib(ownBytes)} KiB each, ${kib(ownBytes - bareBytes)} KiB beyond a bare socket (${kib(bareBytes)})`,
      problems: [],
    };
  },
};
