import { expect } from "chai";
import * as fc from "fast-check";

import { addressOf, type AddressOptions } from "../../src/router/address.ts";
import type { ConnectionInfo, HeaderList } from "../../src/router/engine.ts";

const OPTIONS: AddressOptions = { domain: "sat.example" };
const CONNECTION: ConnectionInfo = { id: 1, remoteAddress: "127.0.0.1" };

function address(headers: HeaderList, options = OPTIONS, connection = CONNECTION): string {
  const result = addressOf(connection, headers, options);
  return result.kind === "found"
    ? `${result.address.namespace}/${result.address.name} by ${result.address.source}`
    : result.kind;
}

describe("address of a request", () => {
  it("is its metadata's satellite-name and satellite-namespace", () => {
    expect(
      address([
        ["satellite-name", "ada"],
        ["satellite-namespace", "team-a"],
      ]),
    ).to.equal("team-a/ada by metadata");
  });

  it("is what earthly sends: satellite_name and satellite_org", () => {
    expect(
      address([
        ["satellite_name", "ada"],
        ["satellite_org", "team-a"],
      ]),
    ).to.equal("team-a/ada by metadata");
  });

  it("takes the namespace from the listener where metadata gives none", () => {
    expect(address([["satellite-name", "ada"]], { defaultNamespace: "team-a" })).to.equal(
      "team-a/ada by metadata",
    );
  });

  for (const authority of [
    "ada.team-a.sat.example",
    "ADA.Team-A.sat.example.",
    "ada.team-a.sat.example:8443",
  ]) {
    it(`is the authority ${authority}`, () => {
      expect(address([[":authority", authority]])).to.equal("team-a/ada by authority");
    });
  }

  it("reads a name with dots: the namespace is the last label", () => {
    expect(address([[":authority", "v1.ada.team-a.sat.example"]])).to.equal("team-a/v1.ada by authority");
  });

  it("is the TLS server name", () => {
    expect(address([], OPTIONS, { ...CONNECTION, serverName: "ada.team-a.sat.example" })).to.equal(
      "team-a/ada by server-name",
    );
  });

  for (const authority of [
    "localhost",
    "tcp://127.0.0.1:8372",
    "127.0.0.1:8372",
    "[::1]:8372",
    "sat.example",
    ".sat.example",
    "ada.sat.example",
    "..sat.example",
    "ada.team-a.sat.example.evil",
    "ada_1.team-a.sat.example",
    "%zz",
    "",
  ]) {
    it(`passes over the authority "${authority}"`, () => {
      const options = { ...OPTIONS, defaultSatellite: { namespace: "x", name: "y" } };
      expect(address([[":authority", authority]], options)).to.equal("x/y by default");
      expect(address([[":authority", authority]])).to.equal("none");
    });
  }

  describe("in one label, for a wildcard certificate", () => {
    const cases: [authority: string, expected: string][] = [
      ["ada--team-a.sat.example", "team-a/ada by authority"],
      ["ADA--Team-A.sat.example.:8443", "team-a/ada by authority"],
      ["a--b.sat.example", "b/a by authority"],
      ["xn--b.sat.example", "b/xn by authority"],
      // Cut elsewhere, a name or a namespace would begin or end with a dash.
      ["ada---team-a.sat.example", "none"],
      ["--team-a.sat.example", "none"],
      ["ada--.sat.example", "none"],
      ["--.sat.example", "none"],
      ["ada-team-a.sat.example", "none"],
      ["ada--team_a.sat.example", "none"],
      [
        `${"a".repeat(31)}--${"b".repeat(30)}.sat.example`,
        `${"b".repeat(30)}/${"a".repeat(31)} by authority`,
      ],
      [`${"a".repeat(31)}--${"b".repeat(31)}.sat.example`, "none"],
      ["ada--team-a.deeper.sat.example", "deeper/ada--team-a by authority"],
      ["ada.team--a.sat.example", "team--a/ada by authority"],
      ["ada--team--a.sat.example", "invalid"],
      ["a--b--c--d.sat.example", "invalid"],
      ["ada---x--team-a.sat.example", "team-a/ada---x by authority"],
    ];
    for (const [authority, expected] of cases) {
      it(`${authority} is ${expected}`, () => {
        expect(address([[":authority", authority]])).to.equal(expected);
        expect(address([], OPTIONS, { ...CONNECTION, serverName: authority })).to.equal(
          expected.replace("by authority", "by server-name"),
        );
      });
    }

    it("is refused where names and namespaces with dashes make it ambiguous, with every reading and the way out", () => {
      expect(addressOf(CONNECTION, [[":authority", "ada--team--a.sat.example"]], OPTIONS)).to.deep.equal({
        kind: "invalid",
        message:
          'the name "ada--team--a.sat.example" can mean team--a/ada or a/ada--team, since names and namespaces may hold ' +
          '"--" too; call <name>.<namespace>.sat.example, or send the gRPC metadata satellite-name and satellite-namespace',
      });
    });

    const AMBIGUOUS = "ada--team--a.sat.example";
    const metadata = (name: string, namespace: string): HeaderList => [
      ["satellite-name", name],
      ["satellite-namespace", namespace],
    ];

    it("takes the reading that metadata, or the other of server name and authority, names too", () => {
      const named = [...metadata("ada", "team--a"), [":authority", AMBIGUOUS]] as const;
      expect(address(named)).to.equal("team--a/ada by metadata");
      const connection = { ...CONNECTION, serverName: AMBIGUOUS };
      expect(address(metadata("ada--team", "a"), OPTIONS, connection)).to.equal("a/ada--team by metadata");
      expect(address([[":authority", "ada--team.a.sat.example"]], OPTIONS, connection)).to.equal(
        "a/ada--team by authority",
      );
    });

    it("refuses metadata that names none of the readings", () => {
      expect(address([...metadata("bob", "a"), [":authority", AMBIGUOUS]])).to.equal("invalid");
      expect(address([...metadata("bob", "a"), [":authority", "ada--a.sat.example"]])).to.equal("invalid");
    });

    it("goes by no default where it is ambiguous", () => {
      const options = { ...OPTIONS, defaultSatellite: { namespace: "x", name: "y" } };
      expect(address([[":authority", AMBIGUOUS]], options)).to.equal("invalid");
    });

    it("means the satellite that it was made of, or is refused, for all names", () => {
      const label = fc.stringMatching(/^[a-z0-9](?:[-a-z0-9]{0,12}[a-z0-9])?$/);
      fc.assert(
        fc.property(label, label, (name, namespace) => {
          const found = address([[":authority", `${name}--${namespace}.sat.example`]]);
          const mayBeAmbiguous = `${name}--${namespace}`.replaceAll(/-{3,}/g, "--").split("--").length > 2;
          return found === `${namespace}/${name} by authority` || (mayBeAmbiguous && found === "invalid");
        }),
      );
    });
  });

  const invalid: readonly (readonly [what: string, headers: HeaderList])[] = [
    [
      "a name given twice",
      [
        ["satellite-name", "ada"],
        ["satellite-name", "ada"],
        ["satellite-namespace", "a"],
      ],
    ],
    [
      "two spellings that disagree",
      [
        ["satellite-name", "ada"],
        ["satellite_name", "bob"],
        ["satellite_org", "a"],
      ],
    ],
    [
      "a namespace given twice",
      [
        ["satellite-name", "ada"],
        ["satellite-namespace", "a"],
        ["satellite_org", "b"],
      ],
    ],
    ["a namespace alone", [["satellite-namespace", "a"]]],
    ["a name alone", [["satellite-name", "ada"]]],
    [
      "a path",
      [
        ["satellite-name", "../../secrets"],
        ["satellite-namespace", "a"],
      ],
    ],
    [
      "an upper-case name",
      [
        ["satellite-name", "Ada"],
        ["satellite-namespace", "a"],
      ],
    ],
    [
      "a namespace with dots",
      [
        ["satellite-name", "ada"],
        ["satellite-namespace", "a.b"],
      ],
    ],
    [
      "an empty name",
      [
        ["satellite-name", ""],
        ["satellite-namespace", "a"],
      ],
    ],
    [
      "metadata and authority that disagree",
      [
        ["satellite-name", "ada"],
        ["satellite-namespace", "a"],
        [":authority", "bob.a.sat.example"],
      ],
    ],
  ];
  for (const [what, headers] of invalid) {
    it(`refuses ${what}`, () => {
      const result = addressOf(CONNECTION, headers, {
        ...OPTIONS,
        defaultSatellite: { namespace: "x", name: "y" },
      });
      expect(result.kind).to.equal("invalid");
    });
  }

  it("is refused where the router serves another namespace alone, however it is named, with the way out", () => {
    const options = { ...OPTIONS, onlyNamespace: "team-b" };
    const ways: readonly HeaderList[] = [
      [
        ["satellite-name", "ada"],
        ["satellite-namespace", "team-a"],
      ],
      [[":authority", "ada.team-a.sat.example"]],
      [],
    ];
    for (const headers of ways) {
      const defaultSatellite = { namespace: "team-a", name: "ada" };
      expect(addressOf(CONNECTION, headers, { ...options, defaultSatellite })).to.deep.equal({
        kind: "invalid",
        message:
          "this router serves the satellites of namespace team-b alone (--watch-namespace), and the request names " +
          "team-a/ada; call the router that serves that one",
      });
    }
    expect(address([[":authority", "ada.team-b.sat.example"]], options)).to.equal("team-b/ada by authority");
  });

  it("is never anything but a Kubernetes name, whatever is sent", () => {
    const hostile = fc.oneof(
      fc.string(),
      fc.constantFrom("ada", "a/b", "..", "ada.team-a.sat.example", "%2e%2e"),
    );
    fc.assert(
      fc.property(hostile, hostile, hostile, (name, namespace, authority) => {
        const result = addressOf(
          CONNECTION,
          [
            ["satellite-name", name],
            ["satellite-namespace", namespace],
            [":authority", authority],
          ],
          OPTIONS,
        );
        return (
          result.kind !== "found" || /^[a-z0-9.-]+$/.test(result.address.name + result.address.namespace)
        );
      }),
    );
  });
});
