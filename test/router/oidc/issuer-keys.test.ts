import { expect } from "chai";
import { SatelliteError } from "../../../src/base/errors.ts";
import { IssuerKeys } from "../../../src/router/oidc/issuer-keys.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { TestIssuer } from "../../support/oidc-issuer.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const MINUTE_MS = 60_000;
const TOKEN = { payload: "", signature: "" };

describe("the keys of an OIDC issuer", () => {
  let clock: VirtualClock;
  let logger: CollectingLogger;
  let issuer: TestIssuer;
  let keys: IssuerKeys;
  let isAway: boolean;
  /** Stands before each answer. */
  let gate: Promise<void>;

  beforeEach(async () => {
    clock = new VirtualClock();
    logger = new CollectingLogger();
    issuer = await TestIssuer.create();
    isAway = false;
    gate = Promise.resolve();
    keys = new IssuerKeys({
      url: issuer.url,
      clock,
      logger,
      fetchJson: async (url) => {
        const document = issuer.document(new URL(url).pathname);
        await gate;
        if (isAway) {
          throw new SatelliteError("OidcIssuerUnavailable", "it is away");
        }
        return document;
      },
    });
  });

  /** "found", or the code of the error. */
  async function find(kid = "key-1"): Promise<string> {
    try {
      await keys.keyFor({ alg: "ES256", kid }, TOKEN);
      return "found";
    } catch (error) {
      return String(Reflect.get(error as object, "code"));
    }
  }
  const readings = (): number => issuer.asked.filter((path) => path === "/keys").length;

  it("are found by discovery and kept", async () => {
    expect([await find(), await find()]).to.deep.equal(["found", "found"]);
    expect(issuer.asked).to.deep.equal(["/.well-known/openid-configuration", "/keys"]);
  });

  it("are read once, however many tokens wait for them", async () => {
    const found = await Promise.all(Array.from({ length: 100 }, () => find()));
    expect(new Set(found)).to.deep.equal(new Set(["found"]));
    expect(readings()).to.equal(1);
  });

  it("are there for the first token when they were read at the start", async () => {
    keys.warmUp();
    await clock.settle();
    gate = new Promise(() => {});
    expect(await find()).to.equal("found");
  });

  it("are read again in the background when they are ten minutes old, and nobody waits", async () => {
    await find();
    await clock.advance(10 * MINUTE_MS);
    gate = new Promise(() => {});
    expect(await find()).to.equal("found");
    expect(issuer.asked).to.have.lengthOf(3);
  });

  describe("when the issuer changes them", () => {
    beforeEach(async () => {
      await find();
      await issuer.addKey();
    });

    it("are read again for the first token by the new one", async () => {
      await clock.advance(10_000);
      expect(await find("key-2")).to.equal("found");
      expect(await find("key-1")).to.equal("found");
      expect(readings()).to.equal(2);
    });

    it("no longer hold one that was withdrawn", async () => {
      issuer.withdrawOldKeys();
      await clock.advance(10_000);
      expect(await find("key-2")).to.equal("found");
      expect(await find("key-1")).to.equal("ERR_JWKS_NO_MATCHING_KEY");
    });
  });

  it("are not read again for every token with an unknown key", async () => {
    await find();
    for (let second = 0; second < 60; second += 1) {
      await clock.advance(1_000);
      expect(await find(`forged-${second}`)).to.equal("ERR_JWKS_NO_MATCHING_KEY");
    }
    expect(readings()).to.be.within(2, 7);
  });

  describe("while the issuer is away", () => {
    it("are used for an hour, and then no more", async () => {
      await find();
      isAway = true;
      await clock.advance(60 * MINUTE_MS - 1);
      expect(await find()).to.equal("found");
      await clock.advance(1);
      expect(await find()).to.equal("OidcIssuerUnavailable");
    });

    it("are asked for once in ten seconds, and all fail meanwhile", async () => {
      isAway = true;
      for (let second = 0; second < 20; second += 1) {
        expect(await find()).to.equal("OidcIssuerUnavailable");
        await clock.advance(1_000);
      }
      expect(issuer.asked).to.have.lengthOf(2);
      expect(logger.lines.filter(({ level }) => level === "warn")).to.have.lengthOf(2);
    });

    it("are not said to lack a new one, which nobody could have read", async () => {
      await find();
      isAway = true;
      await clock.advance(10_000);
      expect([await find("key-2"), await find("key-2")]).to.deep.equal([
        "OidcIssuerUnavailable",
        "OidcIssuerUnavailable",
      ]);
      expect(await find("key-1")).to.equal("found");
    });

    it("are there again when it is back, which is logged", async () => {
      isAway = true;
      await find();
      isAway = false;
      await clock.advance(10_000);
      expect(await find()).to.equal("found");
      expect(logger.lines.at(-1)?.message).to.equal("the keys of an OIDC issuer can be read again");
    });
  });

  const broken: [string, () => void, RegExp][] = [
    [
      "a discovery document of another issuer",
      () => (issuer.discovery = { issuer: "https://evil.example" }),
      /is of the issuer "https:\/\/evil\.example"/,
    ],
    ["one that names no keys", () => (issuer.discovery = { jwks_uri: 7 }), /names no jwks_uri/],
    ["no keys", () => (issuer.discovery = { jwks_uri: "https://issuer.example/none" }), /publishes no keys/],
  ];
  for (const [what, breakIt, message] of broken) {
    it(`are not taken from ${what}`, async () => {
      breakIt();
      expect(await find()).to.equal("OidcIssuerUnavailable");
      expect(String(logger.lines[0]?.fields["error"])).to.match(message);
    });
  }
});
