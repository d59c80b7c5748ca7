import { expect } from "chai";
import * as fc from "fast-check";
import { GrpcStatus } from "../../src/router/engine.ts";
import { OpenStreams, shownUse } from "../../src/router/open-streams.ts";
import { refusal } from "../../src/router/refusal.ts";
import { GateBench, KEY } from "./gate-bench.ts";
import { awake, power, satellite } from "./satellites.ts";

describe("open streams", () => {
  it("know the oldest, in whatever order they end", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (moves) => {
        const streams = new OpenStreams();
        const open: ReturnType<OpenStreams["add"]>[] = [];
        moves.forEach((move, index) => {
          const [ended] = move < 5 ? open.splice(move % Math.max(1, open.length), 1) : [];
          if (ended === undefined) {
            open.push(streams.add(1, { path: `/${index}`, sinceMs: index }));
          } else {
            streams.remove(ended);
          }
          expect(streams.oldest?.path).to.equal(open[0]?.path);
        });
      }),
    );
  });

  it("are shown within the bounds of the CRD, without what does not print and without a query", () => {
    expect(shownUse({ user: "ci:main", path: "/a.B/C?token=secret", sinceMs: 0 })).to.deep.equal({
      user: "ci:main",
      method: "/a.B/C",
    });
    expect(shownUse({ path: "/a\u0000\u00fc", sinceMs: 0 })).to.deep.equal({ method: "/a??" });
    const { user = "", method } = shownUse({
      user: "u".repeat(1000),
      path: `/${"m".repeat(1000)}`,
      sinceMs: 0,
    });
    expect([user.length, method.length, user.slice(-4)]).to.deep.equal([256, 128, "u..."]);
    expect(shownUse({ user: "u".repeat(256), path: "", sinceMs: 0 })).to.deep.equal({
      user: "u".repeat(256),
      method: "",
    });
  });
});

describe("who keeps a satellite awake", () => {
  /** Says of whom a request is by a header of its own. */
  const bench = (objects = [awake()]): GateBench =>
    new GateBench(objects, {
      access: {
        checkListener: () => {},
        check({ headers }) {
          const identity = headers.find(([name]) => name === "x-user")?.[1];
          return identity === undefined
            ? refusal(GrpcStatus.UNAUTHENTICATED, "", "NoCredential")
            : { kind: "allow", identity, drop: new Set() };
        },
      },
    });

  it("is in the lease from the first request on, which is held for it", async () => {
    const router = bench();
    router.request([["x-user", "ada"]], "/moby.buildkit.v1.Control/Solve");
    await router.clock.settle();
    expect(router.entry()).to.deep.include({
      openStreams: 1,
      oldestStream: { user: "ada", method: "/moby.buildkit.v1.Control/Solve", since: "2026-01-01T00:00:00Z" },
    });
  });

  it("is the oldest stream that is still open when the lease is renewed", async () => {
    const router = bench();
    const first = router.request([["x-user", "ada"]]);
    await router.clock.advance(60_000);
    router.request([["x-user", "bob"]], "/a.B/C");
    router.request([["x-user", "eve"]]);
    await router.clock.settle();
    const admission = first.admission();
    if (admission?.kind === "forward") {
      admission.release();
    }
    await router.clock.advance(10 * 60_000);
    expect(router.entry()).to.deep.include({
      openStreams: 2,
      oldestStream: { user: "bob", method: "/a.B/C", since: "2026-01-01T00:01:00Z" },
    });
  });

  it("is nobody once the streams have run out and that is reported", async () => {
    const router = bench();
    const request = router.request([["x-user", "ada"]]);
    await router.clock.settle();
    const admission = request.admission();
    if (admission?.kind === "forward") {
      admission.release();
    }
    await router.clock.advance(60_000);
    expect(router.entry()).to.include({ openStreams: 0 }).and.not.have.property("oldestStream");
  });

  it("is the request that has waited for longest while a wake is under way", async () => {
    const router = bench([satellite()]);
    router.request([["x-user", "ada"]], "/a.B/First");
    await router.clock.advance(1_000);
    router.request([["x-user", "bob"]], "/a.B/Second");
    await router.clock.advance(1_000);
    router.server.change(KEY, ({ status }) => {
      status.power = power("Starting");
    });
    await router.clock.settle();
    expect(router.entry()?.oldestStream).to.deep.equal({
      user: "ada",
      method: "/a.B/First",
      since: "2026-01-01T00:00:00Z",
    });
  });

  it("has no user where nobody is asked for a name", async () => {
    const router = new GateBench([awake()]);
    router.request([], "/a.B/C");
    await router.clock.settle();
    expect(router.entry()?.oldestStream).to.deep.equal({ method: "/a.B/C", since: "2026-01-01T00:00:00Z" });
  });
});
