import { expect } from "chai";

import { statusName, statusOfHttp } from "../../src/router/grpc-status.ts";

describe("grpc-status", () => {
  it("has a bounded set of names, whatever an untrusted VM sends", () => {
    expect(statusName("0")).to.equal("OK");
    expect(statusName(14)).to.equal("UNAVAILABLE");
    for (const value of ["17", "-1", "00", "OK", "__proto__", ""]) {
      expect(statusName(value)).to.equal("UNKNOWN");
    }
  });

  it("follows the HTTP status where an answer has none", () => {
    expect([200, 400, 401, 403, 404, 429, 502, 503, 504, 418].map(statusOfHttp)).to.deep.equal([
      13, 13, 16, 7, 12, 14, 14, 14, 14, 2,
    ]);
  });
});
