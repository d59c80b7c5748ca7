import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { expect } from "chai";

import { GrpcStatus } from "../../../src/router/engine.ts";
import { settingsAckFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../../src/http2/protocol.ts";
import { awake } from "../satellites.ts";
import { block, connectRaw, data, frame, Peer, request } from "./support/peer.ts";
import { RouterBench } from "../support/router-bench.ts";

type Fields = readonly (readonly [name: string, value: string])[];

const ANSWER: Fields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];
const OK: Fields = [["grpc-status", "0"]];
const UNFIT: Fields = [["upgrade", "h2c"]];

function fieldsFrame(id: number, fields: Fields, endStream = false): Buffer {
  const blocks = Buffer.concat(fields.map(([name, value]) => block({ [name]: value })));
  return frame(FrameType.HEADERS, Flag.END_HEADERS | (endStream ? Flag.END_STREAM : 0), id, blocks);
}

/** A client may end its whole connection for these, with all that others have on it. */
describe("answers of a VM that HTTP/2 does not allow", () => {
  let answer: (id: number) => Buffer;
  let vm: Server;
  let bench: RouterBench;
  let client: Peer;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    vm = createServer((socket) => {
      sockets.push(socket);
      const peer = new Peer(socket, { skipBytes: CLIENT_PREFACE.length });
      peer.send(settingsFrame([]), settingsAckFrame());
      void peer
        .take(({ type, flags }) => type === FrameType.HEADERS && (flags & Flag.END_HEADERS) !== 0)
        .then(({ id }) => peer.send(answer(id)))
        .catch(() => {});
    });
    vm.listen(0, "127.0.0.1");
    await once(vm, "listening");
    const { port } = vm.address() as AddressInfo;
    bench = await RouterBench.start([awake({ status: { endpoint: { host: "127.0.0.1", port } } })]);
    client = await connectRaw(bench.port);
  });
  afterEach(async () => {
    client.socket.destroy();
    for (const socket of sockets.splice(0)) {
      socket.destroy();
    }
    vm.close();
    await bench.router.close();
  });

  const ada = { "satellite-name": "ada", "satellite-namespace": "team-a" };

  /** The status of the call's end, wherever it stands. */
  async function statusOf(id: number): Promise<string | undefined> {
    const last = await client.take(
      (candidate) =>
        candidate.id === id && candidate.fields?.some(([name]) => name === "grpc-status") === true,
    );
    return new Map(last.fields).get("grpc-status");
  }

  async function expectAlive(): Promise<void> {
    client.send(request(3, { ":path": "/grpc.health.v1.Health/Check" }), data(3, Buffer.alloc(5), true));
    expect(await statusOf(3)).to.equal(String(GrpcStatus.OK));
  }

  const answers: Readonly<Record<string, (id: number) => Buffer>> = {
    "in the headers of an answer": (id) => fieldsFrame(id, [...ANSWER, ...UNFIT]),
    "in an answer without a body": (id) => fieldsFrame(id, [...ANSWER, ...OK, ...UNFIT], true),
    "in the trailers of an answer": (id) =>
      Buffer.concat([fieldsFrame(id, ANSWER), fieldsFrame(id, [...OK, ...UNFIT], true)]),
    "in an answer of the 1xx kind": (id) => fieldsFrame(id, [[":status", "103"], ...UNFIT]),
    "as a status that is none": (id) => fieldsFrame(id, [[":status", "999"]]),
    "as a second status": (id) => Buffer.concat([fieldsFrame(id, ANSWER), fieldsFrame(id, ANSWER)]),
    "as trailers without headers": (id) => fieldsFrame(id, OK, true),
    "as content without headers": (id) => data(id, "content"),
    "as trailers that do not end it": (id) =>
      Buffer.concat([fieldsFrame(id, ANSWER), data(id, "content"), fieldsFrame(id, OK)]),
  };
  for (const [place, made] of Object.entries(answers)) {
    it(`end their call alone, ${place}`, async () => {
      answer = made;
      client.send(request(1, ada), data(1, "", true));
      expect(await statusOf(1)).to.equal(String(GrpcStatus.INTERNAL));
      await expectAlive();
    });
  }
});
