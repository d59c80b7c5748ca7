import { expect } from "chai";
import * as fc from "fast-check";
import { UntakenBytes } from "../../../src/router/relay/untaken-bytes.ts";

describe("UntakenBytes", () => {
  it("forgets what was taken, though there is always something that was not", () => {
    const untaken = new UntakenBytes();
    for (let turn = 0; turn < 100_000; turn += 1) {
      untaken.note(17);
      // As TLS does it: the last write is always still on its way.
      untaken.settle(1000, 1000);
      expect(untaken.atMost).at.most(2 * 17);
    }
  });

  it("is never less than what was not taken, and nothing once all was taken", () => {
    const turn = fc.record({ ownBytes: fc.nat(50), otherBytes: fc.nat(200), takenBytes: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 200 }), (turns) => {
        const untaken = new UntakenBytes();
        const queue: boolean[] = [];
        for (const { ownBytes, otherBytes, takenBytes } of turns) {
          untaken.note(ownBytes);
          queue.push(...Array.from({ length: ownBytes }, () => true));
          queue.push(...Array.from({ length: otherBytes }, () => false));
          queue.splice(0, takenBytes);
          untaken.settle(ownBytes + otherBytes, queue.length);
          const { atMost } = untaken;
          expect(atMost).at.least(queue.filter(Boolean).length);
          expect(queue.length > 0 || atMost === 0).equal(true);
        }
      }),
    );
  });

  it("grows for a peer that takes nothing", () => {
    const untaken = new UntakenBytes();
    let unsentBytes = 0;
    for (let turn = 0; turn < 100; turn += 1) {
      untaken.note(17);
      unsentBytes += 17;
      untaken.settle(17, unsentBytes);
    }
    expect(untaken.atMost).equal(1700);
  });
});
