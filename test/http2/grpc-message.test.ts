import { expect } from "chai";
import * as fc from "fast-check";

import { encodeGrpcMessage } from "../../src/http2/grpc-message.ts";

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
