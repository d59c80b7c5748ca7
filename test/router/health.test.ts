import { expect } from "chai";
import * as fc from "fast-check";

import { decodeHealthRequest } from "../../src/router/health.ts";

describe("health request", () => {
  it("names a service, or none for the server as a whole", () => {
    expect(decodeHealthRequest(Buffer.from([0, 0, 0, 0, 0]))).to.equal("");
    expect(decodeHealthRequest(Buffer.from([0, 0, 0, 0, 4, 0x0a, 2, 0x68, 0x69]))).to.equal("hi");
  });

  it("is nothing but that: compressed, cut or longer bytes are refused, and none does harm", () => {
    for (const bytes of [
      [],
      [0, 0, 0],
      [1, 0, 0, 0, 0],
      [0, 0, 0, 0, 1],
      [0, 0, 0, 0, 2, 0x0a, 5],
      [0, 0, 0, 0, 0, 9],
    ]) {
      expect(decodeHealthRequest(Buffer.from(bytes))).to.equal(undefined);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const service = decodeHealthRequest(Buffer.from(bytes));
        return service === undefined || service.length < 64;
      }),
    );
  });
});
