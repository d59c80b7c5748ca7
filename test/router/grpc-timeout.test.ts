import { expect } from "chai";
import * as fc from "fast-check";

import { formatGrpcTimeout, parseGrpcTimeoutMs, withReducedTimeout } from "../../src/router/grpc-timeout.ts";

describe("grpc-timeout", () => {
  for (const [text, ms] of [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["100m", 100],
    ["2500u", 2.5],
    ["1000000n", 1],
    ["99999999H", 99_999_999 * 3_600_000],
  ] as const) {
    it(`reads ${text}`, () => expect(parseGrpcTimeoutMs(text)).to.be.closeTo(ms, 1e-9));
  }

  for (const text of ["", "1", "S", "-1S", "1s", "123456789S", "1.5S", " 1S", "1S "]) {
    it(`does not read "${text}"`, () => expect(parseGrpcTimeoutMs(text)).to.equal(undefined));
  }

  it("is written in at most 8 digits, never longer than it is, and less than a thousandth shorter", () => {
    fc.assert(
      fc.property(fc.double({ min: 10, max: 1e12, noNaN: true }), (timeoutMs) => {
        const text = formatGrpcTimeout(timeoutMs);
        const read = parseGrpcTimeoutMs(text) ?? NaN;
        return read <= timeoutMs && read >= timeoutMs * 0.999;
      }),
    );
  });

  it("shrinks by the time held", () => {
    expect(
      withReducedTimeout(
        [
          ["grpc-timeout", "10S"],
          ["a", "b"],
        ],
        2500,
      ),
    ).to.deep.equal([
      ["grpc-timeout", "7500000u"],
      ["a", "b"],
    ]);
  });

  it("is never negative", () => {
    expect(withReducedTimeout([["grpc-timeout", "1S"]], 2500)).to.deep.equal([["grpc-timeout", "0u"]]);
  });

  it("stays as it is when nothing was held, or when it is malformed", () => {
    const headers = [["grpc-timeout", "10S"]] as const;
    expect(withReducedTimeout(headers, 0)).to.equal(headers);
    expect(withReducedTimeout([["grpc-timeout", "soon"]], 5)).to.deep.equal([["grpc-timeout", "soon"]]);
  });
});
