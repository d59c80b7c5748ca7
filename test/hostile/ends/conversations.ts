import { rstStreamFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, ErrorCode, FrameType } from "../../../src/http2/protocol.ts";
import { data, frame, request, u32 } from "../../router/relay/support/peer.ts";

/** What a client says to one of the router's services, piece by piece: mostly frames. */
export interface Conversation {
  readonly name: string;
  readonly pieces: readonly Buffer[];
}

/** An uncompressed gRPC message. */
function message(payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload as string);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

const START: readonly Buffer[] = [CLIENT_PREFACE, settingsFrame([]), frame(FrameType.SETTINGS, 1, 0)];
const PING = frame(FrameType.PING, 0, 0, Buffer.from("the ends"));
const GOAWAY = frame(FrameType.GOAWAY, 0, 0, u32(0, 0));

const health = (method: string): string => `/grpc.health.v1.Health/${method}`;
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const of = (name: string): Record<string, string> => ({
  "satellite-name": name,
  "satellite-namespace": "team-a",
});

const conversation = (name: string, ...pieces: Buffer[]): Conversation => ({
  name,
  pieces: [...START, ...pieces],
});

/** Two requests, and ones that the client takes back or behind which it says goodbye. */
function calls(name: string, fields: Record<string, string>, body: string): Conversation[] {
  return [
    conversation(name, request(1, fields), data(1, message(body), true)),
    conversation(
      `${name}, twice`,
      request(1, fields),
      data(1, message(body), true),
      PING,
      request(3, fields),
      data(3, message(body), true),
    ),
    conversation(
      `${name}, taken back`,
      request(1, fields),
      data(1, message(body)),
      rstStreamFrame(1, ErrorCode.CANCEL),
    ),
    conversation(`${name}, then goodbye`, request(1, fields), data(1, message(body), true), GOAWAY),
  ];
}

/**
 * Satellites whose VM ends its connections. There are several, since each is held from then on until its VM answers again.
 */
export const ENDING: readonly string[] = Array.from({ length: 16 }, (_unused, place) => `eve-${place}`);

/**
 * Every kind of service. The satellites: ada's VM behaves, those of the eves end their connections, zed sleeps for ever, zoe falls
 * asleep and wakes all the time, and nobody is none. Whoever shows a credential shows a wrong one.
 */
export const CONVERSATIONS: readonly Conversation[] = [
  ...calls("health Check", { ":path": health("Check") }, ""),
  ...calls("health Watch", { ":path": health("Watch") }, ""),
  ...calls("health Check of a VM", { ":path": health("Check"), ...of("eve-0") }, ""),
  ...calls("health Check asleep", { ":path": health("Check"), ...of("zed") }, ""),
  ...calls("health Watch asleep", { ":path": health("Watch"), ...of("zed") }, ""),
  ...calls("reflection", { ":path": REFLECTION }, "a question"),
  ...calls("reflection asleep", { ":path": REFLECTION, ...of("zed") }, "a question"),
  ...calls("a wrong name", of("nobody"), "body"),
  ...calls("a wrong credential", { ...of("ada"), authorization: "Bearer wrong" }, "body"),
  ...calls("held", of("zed"), "body"),
  ...calls("waking", of("zoe"), "body"),
  ...calls("forwarded", of("ada"), "x".repeat(12_000)),
  ...calls("forwarded to a VM that ends", of("eve-1"), "body"),
  ...ENDING.slice(6).flatMap((name) => calls(`forwarded to ${name}`, of(name), "body")),
  conversation(
    "a stream",
    request(1, of("ada")),
    ...["one", "two", "three"].map((word) => data(1, message(word))),
    data(1, "", true),
  ),
  conversation(
    "a stream to a VM that ends",
    request(1, of("eve-2")),
    ...["one", "two", "three"].map((word) => data(1, message(word))),
    data(1, "", true),
  ),
  conversation(
    "all at once",
    request(1, { ":path": health("Check") }),
    request(3, { ":path": health("Watch") }),
    data(1, message(""), true),
    data(3, message(""), true),
    request(5, of("eve-3")),
    data(5, message("body"), true),
    request(7, of("zed")),
    data(7, message("body")),
    request(9, of("nobody"), true),
  ),
  { name: "no HTTP/2", pieces: [Buffer.from("GET / HTTP/1.1\r\n"), Buffer.from("host: a\r\n\r\n")] },
  { name: "noise", pieces: [Buffer.alloc(64, 0xa5)] },
];

/** Offsets at which a conversation is ended: at each boundary, beside it, and in the middle of each piece. */
export function momentsOf({ pieces }: Conversation): number[] {
  const offsets = new Set<number>([0]);
  let start = 0;
  for (const { length } of pieces) {
    for (const within of [1, Math.floor(length / 2), length - 1, length]) {
      offsets.add(start + within);
    }
    start += length;
  }
  return [...offsets].toSorted((left, right) => left - right);
}
