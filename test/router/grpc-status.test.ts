import { expect } from "chai";
import * as fc from "fast-check";

import { encodeGrpcMessage, statusName, statusOfHttp } from "../../src/router/grpc-status.ts";

describe("grpc-message", () => {
  it("keeps what may stand as it is, and percent-encodes the rest byte by byte", () => {
    expect(encodeGrpcMessage("plain text: 100%\r\nü")).to.equal("plain text: 100%25%0D%0A%C3%BC");
  });

  it("comes back as it was, and never breaks a header", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (message) => {
        const encoded = encodeGrpcMessage(message);
        return /^[\x20-\x7e]*$/.test(encoded) && decodeURIComponent(encoded) === message;
      }),
    );
  });
});

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
