import { Command } from "commander";
import { expect } from "chai";
import {
  oidcFlags,
  readOidcIssuers,
  type OidcIssuerFlags,
  type OidcIssuerSetup,
} from "../../src/commands/router-oidc.ts";

/** What a command line comes to; or the message that refuses it. */
function read(...args: string[]): readonly OidcIssuerSetup[] | string {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const flag of oidcFlags()) {
    command.addOption(flag);
  }
  try {
    const { oidcIssuer = [] } = command
      .parse(args, { from: "user" })
      .opts<{ oidcIssuer?: OidcIssuerFlags[] }>();
    return readOidcIssuers(oidcIssuer, ["satellites.dev"]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("the flags about OIDC issuers", () => {
  it("need no more than the URL", () => {
    expect(read("--oidc-issuer", "https://issuer.example")).to.deep.equal([
      {
        settings: {
          url: "https://issuer.example",
          audiences: ["satellites.dev"],
          usernameClaim: "sub",
          usernamePrefix: "https://issuer.example#",
          groupsPrefix: "https://issuer.example#",
          requiredClaims: [],
        },
      },
    ]);
  });

  it("belong to the issuer before them", () => {
    const setups = read(
      "--oidc-issuer",
      "https://a.example",
      "--oidc-audience",
      "x",
      "y",
      "--oidc-username-claim=email",
      "--oidc-username-prefix=a:",
      "--oidc-groups-claim",
      "groups",
      "--oidc-groups-prefix=-",
      "--oidc-required-claim=owner=acme",
      "--oidc-required-claim=q=a=b",
      "--oidc-ca-file",
      import.meta.filename,
      "--oidc-issuer",
      "https://b.example/realm",
      "--oidc-username-prefix",
      "b:",
      "--oidc-audience=z",
    );
    expect(setups).to.deep.equal([
      {
        caFile: import.meta.filename,
        settings: {
          url: "https://a.example",
          audiences: ["x", "y"],
          usernameClaim: "email",
          usernamePrefix: "a:",
          groupsClaim: "groups",
          groupsPrefix: "",
          requiredClaims: [
            ["owner", "acme"],
            ["q", "a=b"],
          ],
        },
      },
      {
        settings: {
          url: "https://b.example/realm",
          audiences: ["z"],
          usernameClaim: "sub",
          usernamePrefix: "b:",
          groupsPrefix: "https://b.example/realm#",
          requiredClaims: [],
        },
      },
    ]);
  });

  const ISSUER = ["--oidc-issuer", "https://a.example"];
  const wrong: [string, string[], RegExp][] = [
    [
      "an issuer in the clear",
      ["--oidc-issuer", "http://a.example"],
      /must be a URL that begins with https:/,
    ],
    ["an issuer that is no URL", ["--oidc-issuer", "a.example"], /must be a URL that begins with https:/],
    [
      "a password in the URL",
      ["--oidc-issuer", "https://user:pw@a.example"],
      /the issuer at a\.example must be a URL without user, query and fragment/,
    ],
    ["a query", ["--oidc-issuer", "https://a.example/?x=1"], /without user, query and fragment/],
    ["an empty fragment", ["--oidc-issuer", "https://a.example/#"], /without user, query and fragment/],
    ["an issuer twice", [...ISSUER, ...ISSUER], /https:\/\/a\.example is given twice/],
    ["a flag without an issuer", ["--oidc-audience", "x", ...ISSUER], /belongs behind the --oidc-issuer/],
    [
      "a flag twice",
      [...ISSUER, "--oidc-username-claim=sub", "--oidc-username-claim=email"],
      /given twice for https:\/\/a\.example/,
    ],
    ["an empty audience", [...ISSUER, "--oidc-audience="], /needs an audience/],
    ["a claim without a name", [...ISSUER, "--oidc-groups-claim="], /has no name/],
    [
      "a required claim without a value",
      [...ISSUER, "--oidc-required-claim", "owner"],
      /of the form claim=value/,
    ],
    ["a prefix of Kubernetes' own", [...ISSUER, "--oidc-groups-prefix=system:"], /which is Kubernetes' own/],
    [
      "authorities that are not there",
      [...ISSUER, "--oidc-ca-file=/none/ca.crt"],
      /\/none\/ca\.crt of https:\/\/a\.example cannot be read/,
    ],
  ];
  for (const [what, args, message] of wrong) {
    it(`refuse ${what}`, () => {
      expect(read(...args)).to.match(message);
    });
  }
});
