import { expect } from "chai";
import type { OidcIssuerSettings } from "../../../src/router/oidc/issuer-settings.ts";
import { subjectOf } from "../../../src/router/oidc/subject.ts";

const ISSUER: OidcIssuerSettings = {
  url: "https://issuer.example",
  audiences: ["satellites.dev"],
  usernameClaim: "sub",
  usernamePrefix: "ci:",
  groupsClaim: "repository",
  groupsPrefix: "repo:",
  requiredClaims: [],
};

/** "user: groups" without the group of everybody; or why not. */
function mapped(claims: object, change: Partial<OidcIssuerSettings> = {}): string {
  const result = subjectOf({ sub: "main", ...claims }, { ...ISSUER, ...change });
  return result.kind === "refused"
    ? result.why
    : `${result.subject.username}: ${result.subject.groups.filter((name) => name !== "system:authenticated").join()}`;
}

describe("the subject of an OIDC token", () => {
  it("is the prefix and the claim, and a member of system:authenticated as everybody is", () => {
    expect(subjectOf({ sub: "main", repository: "acme/app" }, ISSUER)).to.deep.equal({
      kind: "subject",
      subject: { username: "ci:main", groups: ["repo:acme/app", "system:authenticated"] },
    });
  });

  const groups: [string, unknown, string][] = [
    ["one text", "acme", "ci:main: repo:acme"],
    ["a list", ["acme", "emca"], "ci:main: repo:acme,repo:emca"],
    ["an empty list", [], "ci:main: "],
    ["nothing", undefined, "ci:main: "],
    ["null", null, "ci:main: "],
    ["a number", 7, "its claim repository is neither a text nor a list of texts"],
    [
      "a list with something else in it",
      ["a", {}],
      "its claim repository is neither a text nor a list of texts",
    ],
  ];
  for (const [what, repository, expected] of groups) {
    it(`has the groups of ${what}`, () => {
      expect(mapped({ repository })).to.equal(expected);
    });
  }

  it("has no groups where no claim is named for them", () => {
    const { groupsClaim: _none, ...settings } = ISSUER;
    expect(subjectOf({ sub: "main", groups: ["admins"] }, settings)).to.have.nested.property(
      "subject.groups.length",
      1,
    );
  });

  for (const sub of [undefined, null, "", 7, ["main"], {}]) {
    it(`is nobody where the user's claim is ${JSON.stringify(sub)}`, () => {
      expect(mapped({ sub })).to.match(/^its claim sub, which is to be the user's name/);
    });
  }

  const emails: [unknown, string][] = [
    [true, "ci:ada@example.com: "],
    [undefined, "ci:ada@example.com: "],
    [false, "its email address is not verified by the issuer"],
    ["true", "its email address is not verified by the issuer"],
  ];
  for (const [verified, expected] of emails) {
    it(`by an email address that is verified: ${String(verified)}`, () => {
      const claims = { email: "ada@example.com", email_verified: verified };
      expect(mapped(claims, { usernameClaim: "email" })).to.equal(expected);
    });
  }

  it("is nobody of Kubernetes' own, also without a prefix", () => {
    const why = "it names a user or group of system:, which only Kubernetes itself may";
    expect(mapped({ sub: "system:serviceaccount:satellites:router" }, { usernamePrefix: "" })).to.equal(why);
    expect(mapped({ repository: ["a", "system:masters"] }, { groupsPrefix: "" })).to.equal(why);
    expect(mapped({ sub: "stem:masters" }, { usernamePrefix: "sy" })).to.equal(why);
  });

  describe("must have the claims that are required", () => {
    const requiredClaims = [
      ["repository_owner_id", "123"],
      ["ref_protected", "true"],
    ] as const;
    const cases: [string, object, string][] = [
      ["all of them", { repository_owner_id: "123", ref_protected: "true" }, "ci:main: "],
      ["as numbers and booleans", { repository_owner_id: 123, ref_protected: true }, "ci:main: "],
      [
        "one of them",
        { repository_owner_id: "123" },
        'it lacks the claim ref_protected, which must be "true"',
      ],
      [
        "another value",
        { repository_owner_id: "1234", ref_protected: "true" },
        'its claim repository_owner_id is not "123"',
      ],
      [
        "a list that holds it",
        { repository_owner_id: ["123"], ref_protected: "true" },
        'its claim repository_owner_id is not "123"',
      ],
    ];
    for (const [what, claims, expected] of cases) {
      it(what, () => {
        expect(mapped(claims, { requiredClaims })).to.equal(expected);
      });
    }
  });
});
