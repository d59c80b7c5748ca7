import { expect } from "chai";
import type { AccessDecision } from "../../../src/router/access.ts";
import { GrpcStatus, type ConnectionInfo, type HeaderList } from "../../../src/router/engine.ts";
import { createTokenAccess, type TokenAccessOptions } from "../../../src/router/token-access.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { failure, FakeReviewer } from "./fake-reviewer.ts";

const TOKEN = "token-of-alice";
const CONNECTION: ConnectionInfo = { id: 1, remoteAddress: "192.0.2.1" };

const bearer = (token: string): HeaderList => [["authorization", `Bearer ${token}`]];

describe("token access", () => {
  let clock: VirtualClock;
  let api: FakeReviewer;
  let logger: CollectingLogger;
  let access: ReturnType<typeof createTokenAccess>;

  function make(options: Partial<TokenAccessOptions> = {}): void {
    access = createTokenAccess({ client: api, clock, logger, ...options });
  }

  beforeEach(() => {
    clock = new VirtualClock();
    api = new FakeReviewer(clock);
    logger = new CollectingLogger();
    api.addUser(TOKEN, "alice", ["builders", "system:authenticated"]);
    api.allowed.add("alice team-a/ada");
    make();
  });

  function ask(
    headers: HeaderList = bearer(TOKEN),
    { name = "ada", connection = CONNECTION }: { name?: string; connection?: ConnectionInfo } = {},
  ): AccessDecision | Promise<AccessDecision> {
    const { signal } = new AbortController();
    const satellite = { namespace: "team-a", name, source: "metadata" as const };
    return access.check({ connection, headers, satellite, signal });
  }

  /** The reason of a refusal, or the identity of whom it let in. */
  const outcome = (decision: AccessDecision): string =>
    decision.kind === "allow"
      ? `allow ${decision.identity ?? ""}`
      : (decision.metadata.find(([name]) => name === "satellite-reason")?.[1] ?? "");

  async function settled(...args: Parameters<typeof ask>): Promise<string> {
    const asked = ask(...args);
    await clock.settle();
    return outcome(await asked);
  }

  /** What it says without a turn of the event loop; undefined when it takes one. */
  function now(...args: Parameters<typeof ask>): string | undefined {
    const decision = ask(...args);
    return decision instanceof Promise ? undefined : outcome(decision);
  }

  describe("asks the API server", () => {
    it("whose token it is, for the router's audience, then what they may do", async () => {
      expect(await settled()).to.equal("allow alice");
      expect(api.received).to.deep.equal([
        { kind: "TokenReview", spec: { token: TOKEN, audiences: ["satellites.dev"] } },
        {
          kind: "SubjectAccessReview",
          spec: {
            user: "alice",
            groups: ["builders", "system:authenticated"],
            resourceAttributes: {
              group: "satellites.dev",
              resource: "satellites",
              subresource: "connect",
              verb: "create",
              namespace: "team-a",
              name: "ada",
            },
          },
        },
      ]);
    });

    it("with the UID and the extra fields that the token's authenticator gave", async () => {
      const extra = { "authentication.kubernetes.io/pod-name": ["ci-1"] };
      api.tokens.set(TOKEN, {
        authenticated: true,
        user: { username: "alice", uid: "uid-1", extra },
        audiences: ["satellites.dev"],
      });
      expect(await settled()).to.equal("allow alice");
      expect(api.received[1]?.spec).to.deep.include({ uid: "uid-1", extra, groups: [] });
    });

    it("nothing about a certificate's holder but the rights", async () => {
      const clientCertificate = { commonName: "alice", organizations: ["builders"] };
      expect(await settled([], { connection: { ...CONNECTION, clientCertificate } })).to.equal("allow alice");
      expect(api.count("TokenReview")).to.equal(0);
      expect(api.received[0]?.spec).to.deep.include({
        user: "alice",
        groups: ["builders", "system:authenticated"],
      });
    });

    it("once, however many requests wait for the answer", async () => {
      const answers = Promise.all(Array.from({ length: 100 }, () => Promise.resolve(ask())));
      await clock.settle();
      expect((await answers).map(outcome)).to.deep.equal(Array.from({ length: 100 }, () => "allow alice"));
      expect(api.received).to.have.lengthOf(2);
    });

    it("nothing when there is nothing to ask about", async () => {
      expect(now([])).to.equal("NoCredential");
      expect(now([["authorization", "Basic eA=="]])).to.equal("MalformedCredential");
      expect(api.received).to.have.lengthOf(0);
    });
  });

  describe("refuses", () => {
    const statuses: [string, object][] = [
      [
        "is not authenticated",
        { authenticated: false, user: { username: "alice" }, audiences: ["satellites.dev"] },
      ],
      ["is authenticated without a name", { authenticated: true, user: {}, audiences: ["satellites.dev"] }],
      ["has an empty name", { authenticated: true, user: { username: "" }, audiences: ["satellites.dev"] }],
      [
        "is anonymous",
        { authenticated: true, user: { username: "system:anonymous" }, audiences: ["satellites.dev"] },
      ],
      [
        "is for an unknown audience: the authenticator knows none",
        { authenticated: true, user: { username: "alice" } },
      ],
      ["is for no audience", { authenticated: true, user: { username: "alice" }, audiences: [] }],
      [
        "is for another audience after all",
        { authenticated: true, user: { username: "alice" }, audiences: ["https://kubernetes.default.svc"] },
      ],
      ["gets an empty status", {}],
    ];
    for (const [what, status] of statuses) {
      it(`a token that ${what}`, async () => {
        api.tokens.set(TOKEN, status);
        expect(await settled()).to.equal("InvalidCredential");
        expect(api.count("SubjectAccessReview")).to.equal(0);
      });
    }

    for (const status of [400, 413, 422]) {
      it(`a token that the API server cannot even read (HTTP ${status})`, async () => {
        api.before = () => {
          throw failure("BadRequest", status);
        };
        expect(await settled()).to.equal("InvalidCredential");
      });
    }

    it("what is denied explicitly, even if it is allowed as well", async () => {
      const create = api.create.bind(api);
      api.create = async (type, review, options) => {
        const answered = await create(type, review, options);
        return type.kind === "TokenReview"
          ? answered
          : { ...answered, status: { allowed: true, denied: true } };
      };
      expect(await settled()).to.equal("NotPermitted");
    });

    it("a certificate after its end, on a connection that lives on", async () => {
      const notAfterMs = clock.now().getTime() + 60_000;
      const connection = {
        ...CONNECTION,
        clientCertificate: { commonName: "alice", organizations: [], notAfterMs },
      };
      const headers: HeaderList = [];
      expect(await settled(headers, { connection })).to.equal("allow alice");
      expect(now(headers, { connection })).to.equal("allow alice");
      clock.leap(60_000);
      expect(now(headers, { connection })).to.equal("CertificateExpired");
      expect(now([], { connection })).to.equal("CertificateExpired");
    });
  });

  describe("fails closed", () => {
    const failures: [string, () => void][] = [
      [
        "cannot be reached",
        () => {
          throw failure("Unreachable", 0);
        },
      ],
      [
        "answers 403: the router lacks the right to review",
        () => {
          throw failure("Forbidden", 403);
        },
      ],
      [
        "answers 401: the router's own token has expired",
        () => {
          throw failure("Unauthorized", 401);
        },
      ],
      [
        "answers 404",
        () => {
          throw failure("NotFound", 404);
        },
      ],
      [
        "is overloaded",
        () => {
          throw failure("TooManyRequests", 429);
        },
      ],
      [
        "answers 500",
        () => {
          throw failure("InternalError", 500);
        },
      ],
      [
        "says something that is no JSON",
        () => {
          throw failure("Unreadable", 0);
        },
      ],
      [
        "makes the client throw something odd",
        () => {
          throw new TypeError("odd");
        },
      ],
    ];
    for (const [what, before] of failures) {
      it(`when the API server ${what}, for tokens as for rights`, async () => {
        api.before = before;
        expect(await settled()).to.equal("AccessCheckFailed");
        const connection = { ...CONNECTION, clientCertificate: { commonName: "alice", organizations: [] } };
        const decision = ask([], { connection });
        await clock.settle();
        expect(await decision).to.deep.include({ kind: "refuse", status: GrpcStatus.UNAVAILABLE });
      });
    }

    it("when the API server is silent, after the time of a review", async () => {
      make({ timeoutMs: 5_000 });
      api.fallSilent();
      let answer: string | undefined;
      void Promise.resolve(ask()).then((decision) => {
        answer = outcome(decision);
        return answer;
      });
      await clock.advance(4_999);
      expect(answer).to.equal(undefined);
      await clock.advance(1);
      expect(answer).to.equal("AccessCheckFailed");
    });

    it("and asks again a second later", async () => {
      api.before = () => {
        throw failure("InternalError", 500);
      };
      expect(await settled()).to.equal("AccessCheckFailed");
      api.before = () => {};
      await clock.advance(999);
      expect(now()).to.equal("AccessCheckFailed");
      await clock.advance(1);
      expect(await settled()).to.equal("allow alice");
    });

    it("but tries once more at once when a connection broke", async () => {
      let calls = 0;
      api.before = () => {
        calls += 1;
        if (calls === 1) {
          throw failure("Unreachable", 0);
        }
      };
      expect(await settled()).to.equal("allow alice");
    });

    it("and logs that once in a while, with the right that is missing", async () => {
      api.before = () => {
        throw failure("Forbidden", 403);
      };
      for (let i = 0; i < 50; i++) {
        await settled(bearer(`t${i}`));
      }
      const errors = logger.lines.filter(({ level }) => level === "error");
      expect(errors).to.have.lengthOf(1);
      expect(errors[0]?.message).to.contain("create tokenreviews");
    });
  });

  describe("remembers", () => {
    it("a good answer, so that the next request takes no turn of the event loop", async () => {
      await settled();
      expect(now()).to.equal("allow alice");
      expect(now()).to.equal("allow alice");
      expect(api.received).to.have.lengthOf(2);
    });

    it("it no longer than its time, also for a header list that it has seen", async () => {
      const headers = bearer(TOKEN);
      await settled(headers);
      expect(now(headers)).to.equal("allow alice");
      api.tokens.delete(TOKEN);
      clock.leap(30_000);
      expect(now(headers)).to.equal(undefined);
      expect(await settled(headers)).to.equal("InvalidCredential");
    });

    it("a right no longer than its time: who lost it is out", async () => {
      const headers = bearer(TOKEN);
      await settled(headers);
      api.allowed.clear();
      clock.leap(30_000);
      expect(await settled(headers)).to.equal("NotPermitted");
      expect(now(headers)).to.equal("NotPermitted");
    });

    it("no answer beyond the end that the token itself names", async () => {
      const exp = clock.now().getTime() / 1000 + 10;
      const token = ["{}", JSON.stringify({ exp }), "s"]
        .map((part) => Buffer.from(part).toString("base64url"))
        .join(".");
      api.addUser(token, "alice");
      const headers = bearer(token);
      expect(await settled(headers)).to.equal("allow alice");
      clock.leap(9_999);
      expect(now(headers)).to.equal("allow alice");
      await clock.settle();
      clock.leap(1);
      api.tokens.delete(token);
      expect(now(headers)).to.equal(undefined);
      expect(await settled(headers)).to.equal("InvalidCredential");
    });

    it("refusals, for a shorter time", async () => {
      expect(await settled(bearer("nobodys"))).to.equal("InvalidCredential");
      expect(now(bearer("nobodys"))).to.equal("InvalidCredential");
      expect(await settled(bearer(TOKEN), { name: "bob" })).to.equal("NotPermitted");
      expect(now(bearer(TOKEN), { name: "bob" })).to.equal("NotPermitted");
      expect(api.received).to.have.lengthOf(3);
      api.allowed.add("alice team-a/bob");
      api.addUser("nobodys", "alice");
      clock.leap(5_000);
      expect(await settled(bearer(TOKEN), { name: "bob" })).to.equal("allow alice");
      expect(await settled(bearer("nobodys"))).to.equal("allow alice");
    });

    it("each answer for its token, satellite and connection only", async () => {
      const headers = bearer(TOKEN);
      await settled(headers);
      expect(await settled(headers, { name: "bob" })).to.equal("NotPermitted");
      expect(now(headers)).to.equal("allow alice");
      expect(await settled(bearer(`${TOKEN}x`))).to.equal("InvalidCredential");
      const clientCertificate = { commonName: "mallory", organizations: [] };
      const other = { ...CONNECTION, id: 2, clientCertificate };
      expect(await settled([], { connection: other })).to.equal("NotPermitted");
    });

    it("nothing of one connection for another that sends the same", async () => {
      const headers: HeaderList = [];
      const of = (id: number, commonName: string): ConnectionInfo => ({
        ...CONNECTION,
        id,
        clientCertificate: { commonName, organizations: [] },
      });
      expect(await settled(headers, { connection: of(2, "alice") })).to.equal("allow alice");
      expect(await settled(headers, { connection: of(3, "mallory") })).to.equal("NotPermitted");
      expect(await settled(headers, { connection: CONNECTION })).to.equal("NoCredential");
    });

    it("and renews what is in use before it ends, so that a busy client never waits", async () => {
      const headers = bearer(TOKEN);
      await settled(headers);
      for (let second = 0; second < 300; second++) {
        await clock.advance(1_000);
        expect(now(headers), `after ${second} s`).to.equal("allow alice");
      }
      expect(api.count("TokenReview")).to.be.within(10, 20);
      expect(api.count("SubjectAccessReview")).to.be.within(10, 20);
    });

    it("but lets it end when it cannot be renewed", async () => {
      const headers = bearer(TOKEN);
      await settled(headers);
      api.before = () => {
        throw failure("Unreachable", 0);
      };
      await clock.advance(25_000);
      expect(now(headers)).to.equal("allow alice");
      await clock.settle();
      expect(now(headers), "a failed renewal takes nothing away").to.equal("allow alice");
      await clock.advance(5_000);
      expect(await settled(headers)).to.equal("AccessCheckFailed");
    });
  });

  it("logs no token, also where the API server repeats it", async () => {
    await settled(bearer("secret-of-nobody"));
    await settled(bearer("secret-of-somebody"));
    const text = JSON.stringify(logger.lines);
    expect(text).to.contain("invalid bearer token <token>");
    expect(text).to.not.contain("secret");
  });

  describe("stays bounded", () => {
    it("under a flood of unknown tokens, which pushes no good answer out", async () => {
      make({ maxEntries: 100 });
      await settled();
      for (let i = 0; i < 1_000; i++) {
        await settled(bearer(`unknown-${i}`));
      }
      const before = api.received.length;
      expect(now()).to.equal("allow alice");
      expect(api.received).to.have.lengthOf(before);
    });

    it("in reviews under way: one address takes no more than half of them", async () => {
      make({ maxPending: 10 });
      api.fallSilent();
      const mallory = { ...CONNECTION, id: 7, remoteAddress: "198.51.100.9" };
      const answers = Array.from({ length: 20 }, (_unused, i) =>
        now(bearer(`flood-${i}`), { connection: mallory }),
      );
      expect(answers.filter((answer) => answer === "TooManyAccessChecks")).to.have.lengthOf(15);
      expect(now(bearer(TOKEN))).to.equal(undefined);
      expect(api.received).to.have.lengthOf(6);
    });
  });

  describe("on a listener", () => {
    it("takes no tokens in the clear where others could read them", () => {
      expect(() => access.checkListener("0.0.0.0")).to.throw(/TLS.*--insecure-cleartext/);
      expect(() => access.checkListener("::")).to.throw(/TLS/);
      access.checkListener("127.0.0.1");
      access.checkListener("::1");
      access.checkListener("0.0.0.0", true);
      expect(logger.lines).to.have.lengthOf(0);
    });

    it("does so when told that something else protects the way, and warns", () => {
      make({ allowCleartext: true });
      access.checkListener("0.0.0.0");
      expect(logger.lines.map(({ level }) => level)).to.deep.equal(["warn"]);
    });
  });
});
