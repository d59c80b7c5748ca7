import { expect } from "chai";
import { requestProblem, trailersProblem } from "../../src/http2/header-rules.ts";
import type { HeaderField } from "../../src/http2/static-table.ts";

const GOOD: readonly HeaderField[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/package.Service/Method"],
  [":authority", "name.namespace.example"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

function without(name: string): HeaderField[] {
  return GOOD.filter(([known]) => known !== name);
}

describe("the rules for request fields (RFC 9113 §8.2, §8.3)", () => {
  it("take a gRPC request, and one without :authority", () => {
    expect(requestProblem(GOOD)).equal(undefined);
    expect(requestProblem(without(":authority"))).equal(undefined);
  });

  const bad: readonly (readonly [name: string, fields: readonly HeaderField[]])[] = [
    ["no :method", without(":method")],
    ["no :scheme", without(":scheme")],
    ["no :path", without(":path")],
    ["an empty :path", [...without(":path").slice(0, 2), [":path", ""]]],
    ["a pseudo-header twice", [[":method", "POST"], ...GOOD]],
    ["a pseudo-header of responses", [[":status", "200"], ...GOOD]],
    ["an unknown pseudo-header", [[":protocol", "websocket"], ...GOOD]],
    ["a pseudo-header behind a field", [...without(":path"), [":path", "/"]]],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "a:1"],
      ],
    ],
    ["an upper-case name", [...GOOD, ["X-Name", "1"]]],
    ["an empty name", [...GOOD, ["", "1"]]],
    ["a space in a name", [...GOOD, ["a b", "1"]]],
    ["a colon in a name", [...GOOD, ["a:b", "1"]]],
    ["a byte over 0x7f in a name", [...GOOD, ["\u00e9", "1"]]],
    ["NUL in a value", [...GOOD, ["a", "1\u00002"]]],
    ["CR in a value", [...GOOD, ["a", "1\r2"]]],
    ["LF in a value", [...GOOD, ["a", "1\n2"]]],
    ["LF in a pseudo-header", [...without(":path").slice(0, 2), [":path", "/\n"]]],
    ["a leading space in a value", [...GOOD, ["a", " 1"]]],
    ["a trailing tab in a value", [...GOOD, ["a", "1\t"]]],
    ["connection", [...GOOD, ["connection", "close"]]],
    ["keep-alive", [...GOOD, ["keep-alive", "1"]]],
    ["proxy-connection", [...GOOD, ["proxy-connection", "close"]]],
    ["transfer-encoding", [...GOOD, ["transfer-encoding", "chunked"]]],
    ["upgrade", [...GOOD, ["upgrade", "h2c"]]],
    ["te other than trailers", [...GOOD, ["te", "gzip"]]],
  ];
  for (const [name, fields] of bad) {
    it(`reject ${name}`, () => {
      expect(requestProblem(fields)).a("string");
    });
  }

  it("take trailers without pseudo-headers only", () => {
    expect(trailersProblem([["checksum-bin", "AAEC"]])).equal(undefined);
    expect(trailersProblem([[":path", "/"]])).a("string");
  });
});
