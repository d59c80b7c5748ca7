import { expect } from "chai";
import { generateKeyPair } from "jose";
import { SatelliteError } from "../../../src/base/errors.ts";
import { OidcTokenIssuer } from "../../../src/router/oidc/token-issuer.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { TestIssuer, type Claims, type TokenChanges } from "../../support/oidc-issuer.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

describe("a token of an OIDC issuer", () => {
  let clock: VirtualClock;
  let logger: CollectingLogger;
  let issuer: TestIssuer;
  let judge: OidcTokenIssuer;
  let isAway: boolean;

  beforeEach(async () => {
    clock = new VirtualClock();
    issuer = await TestIssuer.create();
    logger = new CollectingLogger();
    isAway = false;
    judge = new OidcTokenIssuer({
      settings: {
        url: issuer.url,
        audiences: ["satellites.dev", "builds"],
        usernameClaim: "sub",
        usernamePrefix: "ci:",
        groupsPrefix: "",
        requiredClaims: [["repository_owner", "acme"]],
      },
      clock,
      logger,
      fetchJson: async (url) => {
        if (isAway) {
          throw new SatelliteError("OidcIssuerUnavailable", "it is away");
        }
        return issuer.document(new URL(url).pathname);
      },
    });
  });

  const seconds = (): number => clock.now().getTime() / 1000;
  const tokenOf = (claims: Claims = {}, changes: TokenChanges = {}): Promise<string> =>
    issuer.token({ repository_owner: "acme", ...claims }, changes, clock.now());

  /** The user; or reason and message. */
  async function judged(token: string): Promise<string> {
    const judgement = await judge.judge(token);
    if (judgement.kind === "known") {
      return judgement.subject.username;
    }
    const reason = judgement.refusal.metadata.find(([name]) => name === "satellite-reason")?.[1];
    return `${judgement.kind} ${judgement.refusal.status} ${reason}: ${judgement.refusal.message}`;
  }

  for (const alg of ["RS256", "PS512", "ES256", "ES384", "EdDSA"]) {
    it(`is its subject's when it is signed by ${alg}`, async () => {
      await issuer.addKey(alg);
      expect(await judged(await tokenOf())).to.equal("ci:repo:acme/app:ref:refs/heads/main");
    });
  }

  it("is good for any of the audiences", async () => {
    expect(await judged(await tokenOf({ aud: ["others", "builds"] }))).to.match(/^ci:/);
  });

  it("ends half a minute after its own end, since clocks differ", async () => {
    expect(await judge.judge(await tokenOf({ exp: seconds() + 60 }))).to.have.property(
      "endsAtMs",
      (seconds() + 90) * 1000,
    );
    expect(await judged(await tokenOf({ exp: seconds() - 29 }))).to.match(/^ci:/);
    expect(await judged(await tokenOf({ nbf: seconds() + 30 }))).to.match(/^ci:/);
  });

  const refused: [string, () => Promise<string>, RegExp][] = [
    [
      "has expired",
      () => tokenOf({ exp: seconds() - 30 }),
      /it expired at 2025-12-31T23:59:30\.000Z; get a new one$/,
    ],
    [
      "is not valid yet",
      () => tokenOf({ nbf: seconds() + 31 }),
      /not valid before 2026-01-01T00:00:31\.000Z/,
    ],
    ["never ends", () => tokenOf({ exp: undefined }), /its claim exp is missing or wrong$/],
    [
      "is for another audience",
      () => tokenOf({ aud: "https://github.com/acme" }),
      /for the audience "https:\/\/github\.com\/acme"; ask the issuer for one for "satellites\.dev" or "builds"$/,
    ],
    ["is for no audience", () => tokenOf({ aud: undefined }), /for the audience none/],
    [
      "is of another issuer",
      () => tokenOf({ iss: "https://evil.example" }),
      /its claim iss is missing or wrong$/,
    ],
    ["lacks a claim that is required", () => tokenOf({ repository_owner: "evil" }), /is not "acme"$/],
    [
      "is signed by somebody else's key under the issuer's key ID",
      async () => tokenOf({}, { key: (await generateKeyPair("ES256")).privateKey }),
      /its signature is not the issuer's$/,
    ],
    [
      "is signed by a key that the issuer does not publish",
      () => tokenOf({}, { kid: "key-7" }),
      /the issuer does not publish the key/,
    ],
    [
      "does not say which of several keys",
      async () => {
        await issuer.addKey();
        return await tokenOf({}, { kid: null });
      },
      /it does not say by which of the issuer's keys/,
    ],
    [
      "is signed by a secret",
      () => tokenOf({}, { alg: "HS256", key: Buffer.alloc(32, 7) }),
      /it is not signed by a private key/,
    ],
    [
      "is signed by the issuer's public key, taken for a secret",
      () => tokenOf({}, { alg: "HS256", key: Buffer.from(JSON.stringify(issuer.publicKeys[0])) }),
      /it is not signed by a private key/,
    ],
    [
      "is not signed at all",
      async () => {
        const [, payload] = (await tokenOf()).split(".");
        return `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
      },
      /it is not signed by a private key/,
    ],
    [
      "was changed",
      async () => `${(await tokenOf()).slice(0, -4)}AAAA`,
      /its signature is not the issuer's$/,
    ],
    [
      "is cut off",
      async () => (await tokenOf()).split(".").slice(0, 2).join("."),
      /it is no JWT that can be verified/,
    ],
    ["has something behind it", async () => `${await tokenOf()}.AAAA`, /it is no JWT that can be verified/],
  ];
  for (const [what, make, message] of refused) {
    it(`is refused when it ${what}, which the answer says`, async () => {
      const token = await make();
      const answer = await judged(token);
      expect(answer).to.match(
        /^refused 16 InvalidCredential: the token of https:\/\/issuer\.example is not accepted: /,
      );
      expect(answer).to.match(message);
      expect(answer + JSON.stringify(logger.lines)).to.not.include(token.split(".")[1] ?? token);
    });
  }

  it("is refused for now when the issuer's keys cannot be read", async () => {
    isAway = true;
    expect(await judged(await tokenOf())).to.match(
      /^failed 14 OidcIssuerUnavailable: .* cannot read the keys of https:\/\/issuer\.example: it is away/,
    );
  });
});
