import {
  rstStreamFrame,
  settingsFrame,
  windowUpdateFrame,
  type SettingEntry,
} from "../../src/http2/frame-writer.ts";
import { ErrorCode, Flag, FrameType } from "../../src/http2/protocol.ts";
import { block, data, frame, headers, request, u32 } from "../router/relay/support/peer.ts";
import { pause, scaled, type Attack, type Outcome, type Target } from "./attack.ts";
import { RawConnection } from "./raw-connection.ts";

const FRAMES_PER_WRITE = 200;
const SETTINGS_INITIAL_WINDOW_SIZE = 4;

/** A flood on as many connections, one after the other, as the router makes necessary. */
interface Flood {
  readonly name: string;
  readonly frames: number;
  readonly settings?: readonly SettingEntry[];
  /** Sent before the flood. */
  readonly opening?: Buffer;
  /** The bytes of one step of the flood; `step` counts from 0 on each connection. */
  unit(step: number): Buffer;
  /** Frames of one step. */
  readonly framesPerUnit?: number;
  /** Whether the client leaves unread what comes back. */
  readonly isDeaf?: boolean;
  /** Whether the protocol or its bounds oblige the router to end the connection, whichever engine serves it. */
  readonly mustEnd?: boolean;
}

/** Client ids are odd; the first is 1. */
const streamId = (step: number): number => 2 * step + 1;

const TOKEN = "x".repeat(4000);

const FLOODS: readonly Flood[] = [
  {
    name: "rapid reset (CVE-2023-44487)",
    frames: 60_000,
    framesPerUnit: 2,
    unit: (step) =>
      Buffer.concat([request(streamId(step)), rstStreamFrame(streamId(step), ErrorCode.CANCEL)]),
    mustEnd: true,
  },
  {
    name: "CONTINUATION flood, empty (CVE-2024-27316)",
    frames: 20_000,
    opening: frame(FrameType.HEADERS, 0, 1, block({ ":method": "POST" })),
    unit: () => frame(FrameType.CONTINUATION, 0, 1),
    mustEnd: true,
  },
  {
    name: "CONTINUATION flood, full",
    frames: 20_000,
    opening: frame(FrameType.HEADERS, 0, 1, block({ ":method": "POST" })),
    unit: () => frame(FrameType.CONTINUATION, 0, 1, block({ "x-filler": TOKEN })),
    mustEnd: true,
  },
  {
    name: "PING flood, answers unread (CVE-2019-9512)",
    frames: 100_000,
    unit: () => frame(FrameType.PING, 0, 0, Buffer.from("00000000")),
    isDeaf: true,
    mustEnd: true,
  },
  {
    name: "PING flood",
    frames: 100_000,
    unit: () => frame(FrameType.PING, 0, 0, Buffer.from("00000000")),
  },
  {
    name: "SETTINGS flood (CVE-2019-9515)",
    frames: 50_000,
    unit: (step) => settingsFrame([[SETTINGS_INITIAL_WINDOW_SIZE, 65_535 + (step % 2)]]),
  },
  {
    name: "SETTINGS flood, answers unread",
    frames: 50_000,
    unit: (step) => settingsFrame([[SETTINGS_INITIAL_WINDOW_SIZE, 65_535 + (step % 2)]]),
    isDeaf: true,
    mustEnd: true,
  },
  {
    name: "PRIORITY flood (CVE-2019-9513)",
    frames: 100_000,
    unit: (step) =>
      frame(FrameType.PRIORITY, 0, streamId(step), Buffer.concat([u32(0), Buffer.from([step % 256])])),
  },
  {
    name: "empty DATA flood (CVE-2019-9518)",
    frames: 100_000,
    opening: request(1),
    unit: () => data(1, ""),
  },
  {
    name: "unknown frame types",
    frames: 100_000,
    unit: (step) => frame(0x40 + (step % 64), 0, 0, Buffer.from("unknown")),
  },
  {
    name: "WINDOW_UPDATE flood",
    frames: 100_000,
    opening: request(1),
    unit: () => windowUpdateFrame(1, 1),
  },
  {
    name: "MadeYouReset by the client (CVE-2025-8671)",
    frames: 60_000,
    framesPerUnit: 2,
    // A window update of 0 is an error of the stream, which the receiver must reset (RFC 9113 section 6.9).
    unit: (step) => Buffer.concat([request(streamId(step)), windowUpdateFrame(streamId(step), 0)]),
  },
  {
    name: "HPACK bomb with a zero window",
    frames: 2000,
    settings: [[SETTINGS_INITIAL_WINDOW_SIZE, 0]],
    // One field of 4,000 bytes goes into the table; then each byte of a block stands for all of it again.
    opening: bombOpening(),
    unit: (step) =>
      frame(
        FrameType.HEADERS,
        Flag.END_HEADERS | Flag.END_STREAM,
        streamId(step + 1),
        Buffer.concat([
          block({ ":method": "POST", ":scheme": "http", ":path": "/a.B/C", ":authority": "vm" }),
          Buffer.alloc(8000, 0xbe),
        ]),
      ),
  },
  {
    name: "requests under a zero window",
    frames: 20_000,
    settings: [[SETTINGS_INITIAL_WINDOW_SIZE, 0]],
    unit: (step) => headers(streamId(step), { ...POST, "x-filler": TOKEN }, true),
  },
];

const POST = {
  ":method": "POST",
  ":scheme": "http",
  ":path": "/test.Service/Echo",
  ":authority": "vm",
  "content-type": "application/grpc",
  te: "trailers",
};

/** A request whose x-bomb field enters the dynamic table (RFC 7541 section 6.2.1, literal with indexing). */
function bombOpening(): Buffer {
  const name = Buffer.from("x-bomb");
  const length = Buffer.from([0x7f, ...continuedInteger(TOKEN.length - 127)]);
  const field = Buffer.concat([Buffer.from([0x40, name.length]), name, length, Buffer.from(TOKEN)]);
  const pseudo = block({ ":method": "POST", ":scheme": "http", ":path": "/a.B/C", ":authority": "vm" });
  return frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, Buffer.concat([pseudo, field]));
}

/** The octets after a full prefix (RFC 7541 section 5.1). */
function continuedInteger(value: number): number[] {
  const octets: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) {
    octets.push((left % 128) + 128);
  }
  octets.push(left);
  return octets;
}

async function run(flood: Flood, target: Target): Promise<Outcome> {
  const { name, opening, settings = [], framesPerUnit = 1, isDeaf = false, mustEnd = false } = flood;
  const total = scaled(target, flood.frames);
  const problems: string[] = [];
  let sent = 0;
  let connections = 0;
  let ended = 0;
  while (sent < total && target.router.isAlive) {
    const connection = await RawConnection.http2(target.router.port, settings);
    connections += 1;
    if (isDeaf) {
      connection.socket.pause();
    }
    if (opening !== undefined) {
      await connection.write(opening);
    }
    const startedAt = sent;
    for (let step = 0; sent < total && !connection.ended;) {
      const units: Buffer[] = [];
      for (let i = 0; i < FRAMES_PER_WRITE && sent < total; i += framesPerUnit) {
        units.push(flood.unit(step));
        step += 1;
        sent += framesPerUnit;
      }
      await connection.write(Buffer.concat(units));
    }
    if (isDeaf) {
      // Only now it listens, and hears whether it was cut off.
      connection.socket.resume();
    }
    if (!(await connection.settled())) {
      problems.push(`${name}: the router neither answered nor ended the connection`);
    }
    ended += connection.ended ? 1 : 0;
    if (mustEnd && !connection.ended && sent - startedAt > 10_000) {
      problems.push(`${name}: ${sent - startedAt} frames on one connection were suffered`);
    }
    connection.close();
    await pause(0);
  }
  const figure =
    ended === 0
      ? `absorbed on ${connections} connection(s)`
      : `${ended} of ${connections} connection(s) cut off, after ${Math.round(sent / connections)} frames on average`;
  return { inputs: sent, figure, problems };
}

/** Floods by a client. */
export const CLIENT_FLOODS: readonly Attack[] = FLOODS.map((flood) => ({
  name: flood.name,
  run: (target) => run(flood, target),
}));
