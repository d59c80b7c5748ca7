import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/protocol.ts";
import { settingsFrame, windowUpdateFrame } from "../../src/http2/frame-writer.ts";
import { block, data, frame, request, u32 } from "../router/relay/support/peer.ts";
import { scaled, type Attack, type Outcome, type Target } from "./attack.ts";
import { RawConnection } from "./raw-connection.ts";

const FRAMES_PER_CONNECTION = 20;
const CONNECTIONS_AT_ONCE = 16;

type Random = () => number;

const below = (random: Random, limit: number): number => Math.floor(random() * limit);

function pick<T>(random: Random, choices: readonly [T, ...T[]]): T {
  return choices[below(random, choices.length)] ?? choices[0];
}

function bytes(random: Random, maxLength: number): Buffer {
  return Buffer.from(Array.from({ length: below(random, maxLength + 1) }, () => below(random, 256)));
}

/** A frame that could stand in a conversation. */
function plausible(random: Random, id: number): Buffer {
  switch (below(random, 9)) {
    case 0:
      return data(id, bytes(random, 200), random() < 0.3);
    case 1:
      return frame(FrameType.RST_STREAM, 0, id, u32(below(random, 15)));
    case 2:
      return windowUpdateFrame(random() < 0.5 ? 0 : id, below(random, 70_000));
    case 3:
      return settingsFrame([[below(random, 10), below(random, 2 ** 31)]]);
    case 4:
      return frame(FrameType.PING, below(random, 2), 0, Buffer.alloc(8, id));
    case 5:
      return frame(FrameType.PRIORITY, 0, id, Buffer.concat([u32(below(random, 100)), bytes(random, 1)]));
    case 6:
      return frame(FrameType.GOAWAY, 0, 0, u32(0, below(random, 15)));
    case 7:
      return frame(below(random, 256), below(random, 256), id, bytes(random, 64));
    default:
      return request(id, {}, random() < 0.5);
  }
}

/** Damages a frame: a flipped bit, a changed header, a cut, or an addition. */
function damaged(random: Random, whole: Buffer): Buffer {
  const copy = Buffer.from(whole);
  const place = below(random, copy.length);
  switch (below(random, 6)) {
    case 0:
      copy[place] = (copy[place] ?? 0) ^ (1 << below(random, 8));
      return copy;
    case 1:
      copy[below(random, 9)] = below(random, 256);
      return copy;
    case 2:
      return copy.subarray(0, place);
    case 3:
      return Buffer.concat([copy, bytes(random, 16)]);
    default:
      // Undamaged ones keep the conversation going.
      return copy;
  }
}

function conversation(random: Random): Buffer {
  const frames: Buffer[] = [];
  let nextId = 1;
  for (let count = 0; count < FRAMES_PER_CONNECTION; count += 1) {
    const id = random() < 0.7 ? nextId : below(random, 40);
    const whole = plausible(random, id);
    nextId += whole[3] === FrameType.HEADERS ? 2 : 0;
    frames.push(damaged(random, whole));
  }
  return Buffer.concat(frames);
}

const NAMES = [
  "satellite-name",
  "satellite-namespace",
  "satellite_name",
  "satellite_org",
  "grpc-timeout",
  "authorization",
  "te",
  "content-type",
  "content-length",
  "connection",
  ":path",
  ":authority",
  ":method",
  ":status",
  "x-custom",
  "x-bin",
  "X-Upper",
  "",
] as const;

function text(random: Random): string {
  switch (below(random, 6)) {
    case 0:
      return bytes(random, 40).toString("latin1");
    case 1:
      return pick(random, ["ada", "team-a", "eve", "nobody", "..", "a/b", "%00", "ADA", "ada\0", " ada "]);
    case 2:
      return "a".repeat(below(random, 300));
    case 3:
      return `${below(random, 2 ** 31)}${pick(random, ["S", "m", "u", "n", "H", "x", ""])}`;
    case 4:
      return pick(random, ["Bearer x", "trailers", "application/grpc", "http://ada.team-a.x", "1e9", "-1"]);
    default:
      return "";
  }
}

/** A request whose metadata is arbitrary, names that HTTP forbids included. */
function oddRequest(random: Random, id: number): Buffer {
  const fields = Array.from({ length: 1 + below(random, 5) }, () =>
    block({ [random() < 0.9 ? pick(random, NAMES) : bytes(random, 20).toString("latin1")]: text(random) }),
  );
  const start = block({
    ":method": "POST",
    ":scheme": "http",
    ":path": "/test.Service/Echo",
    ":authority": "vm",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const flags = Flag.END_HEADERS | Flag.END_STREAM;
  return frame(FrameType.HEADERS, flags, id, Buffer.concat([start, ...fields]));
}

function oddRequests(random: Random): Buffer {
  return Buffer.concat(
    Array.from({ length: FRAMES_PER_CONNECTION }, (_unused, place) => oddRequest(random, 2 * place + 1)),
  );
}

/** A request that names a satellite in some way, mostly one that does not exist. */
function namedRequest(random: Random, id: number): Buffer {
  const name = text(random);
  const fields: Record<string, string> = {};
  fields[pick(random, ["satellite-name", "satellite_name"])] = random() < 0.5 ? name : "ada";
  fields[pick(random, ["satellite-namespace", "satellite_org"])] = random() < 0.5 ? text(random) : "team-a";
  return request(id, fields, true);
}

function namedRequests(random: Random): Buffer {
  return Buffer.concat(
    Array.from({ length: FRAMES_PER_CONNECTION }, (_unused, place) => namedRequest(random, 2 * place + 1)),
  );
}

/** Sends generated conversations, each on its connection, ends it, and waits until the router has ended it too. */
async function fuzz(target: Target, frames: number, generate: (random: Random) => Buffer): Promise<Outcome> {
  const connections = Math.ceil(scaled(target, frames) / FRAMES_PER_CONNECTION);
  const start = Buffer.concat([CLIENT_PREFACE, settingsFrame([])]);
  let next = 0;
  let stuck = 0;
  let answeredBytes = 0;
  const worker = async (): Promise<void> => {
    while (next < connections && target.router.isAlive) {
      next += 1;
      const connection = await RawConnection.open(target.router.port);
      await connection.write(Buffer.concat([start, generate(target.random)]));
      stuck += (await connection.finish(20_000)) ? 0 : 1;
      answeredBytes += connection.receivedBytes;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, worker));
  return {
    inputs: next * FRAMES_PER_CONNECTION,
    figure: `${next} connections, ${Math.round(answeredBytes / next)} bytes answered on average, ${stuck} not ended`,
    problems: stuck > 0 ? [`${stuck} connections stay open behind a client that has gone`] : [],
  };
}

/** Inputs that a generator makes. */
export const FUZZ: readonly Attack[] = [
  { name: "fuzzed frames", run: (target) => fuzz(target, 60_000, conversation) },
  { name: "fuzzed metadata", run: (target) => fuzz(target, 30_000, oddRequests) },
  { name: "fuzzed names of satellites", run: (target) => fuzz(target, 20_000, namedRequests) },
];
