import { request } from "node:http";
import { expect } from "chai";
import { ObjectCache } from "../../src/kube/cache.ts";
import { readAssets } from "../../src/page/assets.ts";
import type { FeedMessage } from "../../src/page/feed.ts";
import { Fleet } from "../../src/page/fleet.ts";
import { type PageServer, startPageServer } from "../../src/page/server.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { awake, satellite } from "../router/satellites.ts";
import type { SatelliteInit } from "../support/satellites.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const EVIL = '<img src=x onerror="alert(1)">';

describe("the page's server", () => {
  let clock: VirtualClock;
  let satellites: ObjectCache<Satellite>;
  let server: PageServer;
  let logger: CollectingLogger;
  let version = 0;

  beforeEach(async () => {
    clock = new VirtualClock();
    logger = new CollectingLogger();
    satellites = new ObjectCache({ clock, logger: silentLogger });
    const classes = new ObjectCache<SatelliteClass>({ clock, logger: silentLogger });
    const fleet = new Fleet(clock);
    fleet.follow({ satellites, classes });
    server = await startPageServer({
      host: "127.0.0.1",
      port: 0,
      fleet,
      assets: readAssets(),
      clock,
      logger,
    });
  });
  afterEach(() => server.close());

  function put(make: (init: SatelliteInit) => Satellite, name: string, init: SatelliteInit = {}): void {
    version += 1;
    const made = make({ ...init, name, uid: `uid-${name}` });
    satellites.observe({ ...made, metadata: { ...made.metadata, resourceVersion: String(version) } });
  }

  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  const page = async (path = "/"): Promise<string> => (await get(path)).text();

  /** Reads messages of the feed, one by one. */
  async function follow(
    path = "/events",
  ): Promise<{ next(): Promise<FeedMessage>; end(): Promise<void>; ended(): Promise<void> }> {
    const answer = await get(path);
    expect(answer.headers.get("content-type")).to.equal("text/event-stream");
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let text = "";
    return {
      async next() {
        while (!text.includes("\n\n")) {
          const { value, done } = await reader.read();
          expect(done, "the feed goes on").to.equal(false);
          text += decoder.decode(value, { stream: true });
        }
        const end = text.indexOf("\n\n");
        const message = JSON.parse(text.slice("data: ".length, end)) as FeedMessage;
        text = text.slice(end + 2);
        return message;
      },
      end: () => reader.cancel(),
      async ended() {
        expect((await reader.read()).done).to.equal(true);
      },
    };
  }

  it("shows the table without any script, escaped", async () => {
    const condition = {
      type: "Ready",
      status: "False" as const,
      reason: "Bad",
      message: EVIL,
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    put(awake, "ada", { status: { conditions: [condition] } });
    const text = await page();
    expect(text).to.contain('<tr role="row" data-key="team-a/ada">');
    expect(text).to.contain("<b>Bad</b> &lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
    expect(text).to.not.contain("<img");
    expect(text, "no script and no style in the document itself").to.not.match(
      /<style|<script(?! type="module" src)| style="| on\w+="/,
    );
  });

  it("lets nothing load but its own files, and nobody frame it", async () => {
    for (const path of ["/", "/assets/page.js", "/assets/page.css", "/nothing", "/events?namespace=Team_A"]) {
      const { headers } = await get(path);
      expect(headers.get("content-security-policy"), path)
        .to.match(/^default-src 'none'; script-src 'self'; style-src 'self';/)
        .and.to.contain("frame-ancestors 'none'")
        .and.not.to.contain("unsafe");
      expect(headers.get("x-content-type-options"), path).to.equal("nosniff");
    }
  });

  it("serves all that the document and its scripts ask for", async () => {
    const seen = new Set<string>();
    const visit = async (path: string): Promise<void> => {
      if (seen.has(path)) {
        return;
      }
      seen.add(path);
      const answer = await get(path);
      expect(answer.status, path).to.equal(200);
      const text = await answer.text();
      const named = path === "/" ? /(?:href|src)="(assets\/[^"]+)"/g : /from "\.\/([^"]+)"/g;
      for (const [, name = ""] of text.matchAll(named)) {
        await visit(path === "/" ? `/${name}` : `/assets/${name}`);
      }
    };
    await visit("/");
    expect([...seen]).to.include.members(["/assets/page.css", "/assets/page.js", "/assets/uplot.js"]);
  });

  it("can only be read", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      expect((await get("/", { method })).status, method).to.equal(405);
    }
    expect((await get("/", { method: "HEAD" })).status).to.equal(200);
  });

  for (const path of [
    "/assets/",
    "/assets/../server.ts",
    "/assets/constructor",
    "/page.js",
    "//",
    "/%",
    "/assets//page.js",
  ]) {
    it(`has nothing at ${path}`, async () => {
      expect((await get(path)).status).to.equal(404);
    });
  }

  it("answers on a loopback address to nobody who was led there under another name", async () => {
    const ask = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port: server.port, headers: { host } };
        request(options, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
          .once("error", reject)
          .end();
      });
    expect(await ask("rebound.example")).to.equal(421);
    expect(await ask("127.0.0.1.rebound.example:8083")).to.equal(421);
    for (const host of ["localhost:9000", "127.0.0.1", "[::1]:8083"]) {
      expect(await ask(host), host).to.equal(200);
    }
  });

  it("shows one namespace alone, in the document and in the feed", async () => {
    put(satellite, "ada");
    put(satellite, "bob", { namespace: "team-b" });
    const text = await page("/?namespace=team-b");
    expect(text).to.contain('data-key="team-b/bob"').and.not.to.contain('data-key="team-a/ada"');
    expect(text).to.contain("<option selected>team-b</option>");
    const feed = await follow("/events?namespace=team-b");
    expect(Object.keys((await feed.next()).rows)).to.deep.equal(["team-b/bob"]);
    await feed.end();
    expect((await get("/?namespace=%3Cb%3E")).status).to.equal(400);
  });

  it("tells a browser everything at first, and then what becomes different", async () => {
    put(satellite, "ada");
    put(satellite, "bob");
    const feed = await follow();
    const first = await feed.next();
    expect(first.isAll).to.equal(true);
    expect(Object.keys(first.rows)).to.deep.equal(["team-a/ada", "team-a/bob"]);

    put(awake, "bob");
    await clock.advance(200);
    const second = await feed.next();
    expect(second.isAll).to.equal(false);
    expect(Object.keys(second.rows)).to.deep.equal(["team-a/bob"]);
    expect(second.rows["team-a/bob"]).to.contain("Running");
    expect(second.phases["team-a/bob"]?.map(({ phase }) => phase)).to.deep.equal(["Asleep", "Running"]);
    expect(second.changes).to.contain("team-a/bob");

    const ada = satellites.get("team-a/ada") as Satellite;
    satellites.observeDeletion(ada);
    await clock.advance(200);
    expect((await feed.next()).gone).to.deep.equal(["team-a/ada"]);

    await clock.advance(15_000);
    expect((await feed.next()).rows, "hours and money go on where nothing changes").to.deep.equal({});
    await feed.end();
  });

  it("gathers what changes within a moment", async () => {
    put(satellite, "ada");
    const feed = await follow();
    await feed.next();
    put(awake, "ada");
    put(awake, "bob");
    put(awake, "cyd");
    await clock.advance(200);
    expect(Object.keys((await feed.next()).rows)).to.have.length(3);
    await feed.end();
  });

  it("says in its log what it cannot show, lets browsers go, and lives on", async () => {
    put(satellite, "ada");
    const feed = await follow();
    await feed.next();
    put(awake, "odd", { spec: { idleTimeout: "never" } });
    await clock.advance(200);
    await feed.ended();
    expect((await get("/")).status).to.equal(500);
    expect(logger.lines.map(({ message }) => message)).to.deep.equal([
      "The page's feed failed; this is a mistake in the program",
      "The page failed; this is a mistake in the program",
    ]);
    expect((await get("/assets/page.css")).status).to.equal(200);
  });

  it("shows 500 rows, and says how many more there are", async () => {
    for (let index = 0; index < 512; index++) {
      put(satellite, `s${String(index).padStart(4, "0")}`);
    }
    const text = await page();
    expect(text.match(/<tr role="row" data-key/g)).to.have.length(500);
    expect(text).to.contain("12 more are not shown");
    expect(text).to.contain("of 512");
  });

  it("says so where its port is taken", async () => {
    const second = startPageServer({
      host: "127.0.0.1",
      port: server.port,
      fleet: new Fleet(clock),
      assets: {},
      clock,
      logger,
    });
    await second.then(
      () => expect.fail("it listens"),
      (error: Error) => expect(error).to.include({ code: "PortInUse" }),
    );
  });
});
