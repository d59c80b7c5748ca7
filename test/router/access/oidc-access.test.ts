import { expect } from "chai";
import type { AccessDecision } from "../../../src/router/access.ts";
import { GrpcStatus, type ConnectionInfo } from "../../../src/router/engine.ts";
import { refusal } from "../../../src/router/refusal.ts";
import { createTokenAccess } from "../../../src/router/token-access.ts";
import type { TokenIssuer, TokenJudgement } from "../../../src/router/token-judge.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { FakeReviewer } from "./fake-reviewer.ts";

const CONNECTION: ConnectionInfo = { id: 1, remoteAddress: "192.0.2.1" };

/** A JWT of that issuer that nobody has signed. */
function tokenOf(iss: unknown, jti: number | string = 1, claims: object = {}): string {
  const payload = Buffer.from(JSON.stringify({ iss, jti, ...claims })).toString("base64url");
  return `e30.${payload}.AAAA`;
}

/** An issuer that says what a test wants, when it wants. */
class ScriptedIssuer implements TokenIssuer {
  readonly url: string;
  readonly judged: string[] = [];
  answer: () => TokenJudgement | Promise<TokenJudgement>;

  constructor(url: string, username: string, endsAtMs = Infinity) {
    this.url = url;
    this.answer = () => ({ kind: "known", subject: { username, groups: ["ci"] }, endsAtMs });
  }

  async judge(token: string): Promise<TokenJudgement> {
    this.judged.push(token);
    return await this.answer();
  }
}

describe("access by tokens of OIDC issuers", () => {
  let clock: VirtualClock;
  let api: FakeReviewer;
  let github: ScriptedIssuer;
  let gitlab: ScriptedIssuer;
  let access: ReturnType<typeof createTokenAccess>;

  beforeEach(() => {
    clock = new VirtualClock();
    api = new FakeReviewer(clock);
    github = new ScriptedIssuer("https://github.example", "gh:app");
    gitlab = new ScriptedIssuer("https://gitlab.example", "gl:app");
    api.allowed.add("gh:app team-a/ada").add("gl:app team-a/ada").add("alice team-a/ada");
    access = createTokenAccess({
      client: api,
      clock,
      logger: new CollectingLogger(),
      issuers: [github, gitlab],
    });
  });

  function ask(token: string, connection = CONNECTION): AccessDecision | Promise<AccessDecision> {
    return access.check({
      connection,
      headers: [["authorization", `Bearer ${token}`]],
      satellite: { namespace: "team-a", name: "ada", source: "metadata" },
      signal: new AbortController().signal,
    });
  }

  const outcome = (decision: AccessDecision): string =>
    decision.kind === "allow"
      ? `allow ${decision.identity ?? ""}`
      : (decision.metadata.find(([name]) => name === "satellite-reason")?.[1] ?? "");

  async function settled(token: string): Promise<string> {
    const asked = ask(token);
    await clock.settle();
    return outcome(await asked);
  }

  it("asks the issuer whose token it is, and the API server what they may do", async () => {
    expect(await settled(tokenOf(github.url))).to.equal("allow gh:app");
    expect(api.received.map(({ kind, spec }) => [kind, spec["user"], spec["groups"]])).to.deep.equal([
      ["SubjectAccessReview", "gh:app", ["ci"]],
    ]);
    expect(gitlab.judged).to.deep.equal([]);
  });

  it("lets nobody in whom RBAC does not", async () => {
    api.allowed.clear();
    expect(await settled(tokenOf(github.url))).to.equal("NotPermitted");
  });

  it("has a token judged by the issuer that it names alone, whatever the API server would say", async () => {
    const token = tokenOf(github.url);
    api.addUser(token, "alice");
    github.answer = () => ({
      kind: "refused",
      refusal: refusal(GrpcStatus.UNAUTHENTICATED, "", "InvalidCredential"),
    });
    expect(await settled(token)).to.equal("InvalidCredential");
    expect(api.received).to.deep.equal([]);
  });

  for (const [what, iss] of [
    ["another issuer", "https://kubernetes.default.svc"],
    ["an issuer whose URL ours begins with", "https://github.exampl"],
    ["an issuer with a slash more", "https://github.example/"],
    ["no issuer", undefined],
    ["a list of issuers", ["https://github.example"]],
  ] as const) {
    it(`asks the API server about a token of ${what}`, async () => {
      const token = tokenOf(iss);
      api.addUser(token, "alice");
      expect(await settled(token)).to.equal("allow alice");
      expect(github.judged).to.deep.equal([]);
    });
  }

  it("asks the API server about a token that is no JWT", async () => {
    api.addUser("opaque", "alice");
    expect(await settled("opaque")).to.equal("allow alice");
  });

  it("judges a token once in thirty seconds, and not beyond its own end", async () => {
    const token = tokenOf(github.url);
    const endsAtMs = clock.now().getTime() + 20_000;
    github.answer = () => ({ kind: "known", subject: { username: "gh:app", groups: [] }, endsAtMs });
    await settled(token);
    await clock.advance(13_000);
    expect(await settled(token)).to.equal("allow gh:app");
    expect(github.judged).to.have.lengthOf(1);
    github.answer = () => ({
      kind: "refused",
      refusal: refusal(GrpcStatus.UNAUTHENTICATED, "", "InvalidCredential"),
    });
    await clock.advance(7_000);
    expect(await settled(token)).to.equal("InvalidCredential");
  });

  it("lets an issuer that does not answer hold up its own tokens alone, however many there are", async () => {
    const silent = Promise.withResolvers<TokenJudgement>();
    github.answer = () => silent.promise;
    const waiting = Array.from({ length: 5_000 }, (_, jti) =>
      ask(tokenOf(github.url, jti), { id: jti, remoteAddress: `192.0.2.${jti % 250}` }),
    );
    await clock.settle();
    expect(await settled(tokenOf(gitlab.url))).to.equal("allow gl:app");
    api.addUser("opaque", "alice");
    expect(await settled("opaque")).to.equal("allow alice");
    silent.resolve({ kind: "failed", refusal: refusal(GrpcStatus.UNAVAILABLE, "", "OidcIssuerUnavailable") });
    const reasons = new Set((await Promise.all(waiting.map((asked) => Promise.resolve(asked)))).map(outcome));
    expect(reasons).to.deep.equal(new Set(["OidcIssuerUnavailable", "TooManyAccessChecks"]));
  });

  it("takes the word of an issuer that has come back after a second", async () => {
    github.answer = () => ({
      kind: "failed",
      refusal: refusal(GrpcStatus.UNAVAILABLE, "", "OidcIssuerUnavailable"),
    });
    const token = tokenOf(github.url);
    expect(await settled(token)).to.equal("OidcIssuerUnavailable");
    github.answer = () => ({
      kind: "known",
      subject: { username: "gh:app", groups: [] },
      endsAtMs: Infinity,
    });
    await clock.advance(1_000);
    expect(await settled(token)).to.equal("allow gh:app");
  });
});
