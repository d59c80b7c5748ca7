import { expect } from "chai";
import { FRAME_HEADER_BYTES } from "../../../src/http2/protocol.ts";
import { ClientFlow } from "../../../src/router/relay/client-flow.ts";
import { ClientOutput } from "../../../src/router/relay/client-output.ts";
import { ClientSettings } from "../../../src/router/relay/client-settings.ts";
import { DEFAULT_RELAY_LIMITS } from "../../../src/router/relay/limits.ts";
import { Slabs } from "../../../src/router/relay/outbox.ts";
import { MemoryWire } from "./offsets/memory-wire.ts";
import { SpoilingChunks } from "./support/spoiling-chunks.ts";

const PART_BYTES = 16_384;
const WINDOW_BYTES = 65_535;

/** The frames in `bytes`, each as the id of its stream and its content's first byte and length. */
function frames(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const sizeBytes = bytes.readUIntBE(at, 3);
    const content = bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + sizeBytes);
    expect(new Set(content).size, "different bytes in one frame").to.be.at.most(1);
    found.push(`${bytes.readUInt32BE(at + 5)}: ${content[0]} * ${sizeBytes}`);
    at += FRAME_HEADER_BYTES + sizeBytes;
  }
  return found;
}

describe("what goes to a client", () => {
  it("waits for its window in memory that is given back, and what was reset is not sent", () => {
    const chunks = new SpoilingChunks();
    const flow = new ClientFlow({ leftBytes: 0 });
    const output = new ClientOutput(
      new Slabs(chunks),
      DEFAULT_RELAY_LIMITS,
      flow,
      new ClientSettings(DEFAULT_RELAY_LIMITS),
    );
    const wire = new MemoryWire();
    const settled: number[] = [];
    const received = Buffer.alloc(PART_BYTES);
    const content = (streamId: number, sizeBytes: number): void => {
      received.fill(streamId);
      output.content(streamId, received.subarray(0, sizeBytes), false, (bytes) => settled.push(bytes));
      output.flush(wire);
      received.fill(0xff);
    };
    for (let part = 0; part < 4; part += 1) {
      content(1, PART_BYTES);
    }
    content(1, PART_BYTES);
    content(3, 8000);
    content(5, 100);
    output.flush(wire);
    const sent = frames(wire.take());
    expect(
      sent.every((frame) => frame.startsWith("1: 1 * ")),
      sent.join(),
    ).to.equal(true);
    expect(settled.reduce((sum, bytes) => sum + bytes, 0)).to.equal(WINDOW_BYTES);
    expect(chunks.out, "chunks that wait").to.equal(2);

    output.drop(1);
    expect(settled.reduce((sum, bytes) => sum + bytes, 0)).to.equal(5 * PART_BYTES);
    expect(output.isIdle).to.equal(false);

    flow.onClientGrant(4000);
    output.settle();
    output.flush(wire);
    expect(frames(wire.take())).to.deep.equal(["3: 3 * 4000"]);
    flow.onClientGrant(1_000_000);
    output.settle();
    output.flush(wire);
    expect(frames(wire.take())).to.deep.equal(["3: 3 * 4000", "5: 5 * 100"]);
    expect(chunks.out, "chunks that wait").to.equal(0);
    expect(output.queuedBytes).to.equal(0);
    expect(output.isIdle).to.equal(true);
  });
});
