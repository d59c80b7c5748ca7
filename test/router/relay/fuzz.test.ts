import { expect } from "chai";
import * as fc from "fast-check";
import { settingsFrame } from "../../../src/http2/frame-writer.ts";
import type { LogFields, Logger } from "../../../src/telemetry/logger.ts";
import { connectRaw, frame, headers, request, trailersOnly, type Peer } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

/** Frames that are mostly well-formed, so that they get far. */
const anyFrame = fc
  .record({
    type: fc.oneof(fc.nat(12), fc.constantFrom(0, 1, 3, 8)),
    flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 13, 37), fc.nat(255)),
    id: fc.oneof(fc.constantFrom(0, 1, 3, 5, 7, 9), fc.nat(20)),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .constantFrom(4, 5, 6, 8, 12)
        .chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
      fc.constant(new Uint8Array(request(1).subarray(9))),
      fc.constant(new Uint8Array(trailersOnly(1).subarray(9))),
    ),
  })
  .map(({ type, flags, id, payload }) => frame(type, flags, id, payload));
const script = fc.array(fc.tuple(fc.boolean(), anyFrame), { maxLength: 30 });

/** Notes what is logged as an error: a peer's faults never are. */
class ErrorLog implements Logger {
  readonly errors: unknown[] = [];

  debug(): void {}
  info(): void {}
  warn(): void {}
  error(message: string, fields?: LogFields): void {
    this.errors.push([message, fields]);
  }
  child(): Logger {
    return this;
  }
}

describe("relay: under random frames from both sides", function () {
  this.timeout(120_000);

  it("never fails itself, releases every admission, and serves others as before", async () => {
    const logger = new ErrorLog();
    const rig = await new Rig({ logger }).start();
    rig.admitAll();
    try {
      const good = rig.track(await connectRaw(rig.port));
      good.send(request(1));
      const goodVm = await rig.vm.ready();
      await goodVm.headers(1);
      goodVm.send(headers(1, { ":status": "200" }));
      await good.headers(1);
      await fc.assert(
        fc.asyncProperty(script, async (frames) => {
          const bad = rig.track(await connectRaw(rig.port));
          bad.send(request(1));
          const badVm: Peer = await rig.vm.ready();
          for (const [isClients, bytes] of frames) {
            (isClients ? bad : badVm).send(bytes);
          }
          await good.roundTripThrough(goodVm);
          bad.socket.destroy();
          await badVm.closed;
          badVm.socket.destroy();
        }),
        { numRuns: 600 },
      );
      await rig.gate.until(() => rig.gate.released === rig.gate.admitted - 1);
      goodVm.send(settingsFrame([]), headers(1, { "grpc-status": "0" }, true));
      expect((await good.headers(1)).get("grpc-status")).equal("0");
      expect(logger.errors).deep.equal([]);
    } finally {
      await rig.stop();
    }
  });
});
