import { expect } from "chai";

import { runEnds } from "./suite.ts";

/** A slice of `node test/hostile/ends.ts`: enough for every service and every end to come up several times. */
const SECONDS = 4;
const CONNECTIONS = 400;

for (const isTls of [false, true]) {
  describe(`connections that end, at a router ${isTls ? "with" : "without"} TLS`, () => {
    it("end nothing else: no process, no call of others, and nothing of them stays", async function () {
      this.timeout(120_000);
      const { exits, failures, served } = await runEnds({
        isTls,
        seed: 1,
        seconds: SECONDS,
        minConnections: CONNECTIONS,
      });
      expect(exits).to.deep.equal([]);
      expect(failures).to.deep.equal([]);
      expect(served).to.be.greaterThan(0);
    });
  });
}
