import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { systemClock } from "../../../src/base/clock.ts";
import { SatelliteError } from "../../../src/base/errors.ts";
import { type LocalAddress, LocalPort } from "../../../src/cli/proxy/local-port.ts";
import type { Route } from "../../../src/cli/proxy/route.ts";
import type { TokenSource } from "../../../src/cli/proxy/token-source.ts";
import type { CliContext } from "../../../src/cli/context.ts";
import { accountTokens } from "../../../src/cli/proxy/account-tokens.ts";
import { until } from "../../router/support/router-bench.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { TestClient, TestVM } from "../../router/support/grpc-peers.ts";
import { stopAfterEach } from "../../support/stops.ts";

const HOUR_MS = 3_600_000;
const SATELLITE = { namespace: "team-a", name: "ada" };

/** Calls that say nothing of a satellite themselves. */
const UNNAMED = { metadata: new grpc.Metadata() };

describe("the local port of a proxy", () => {
  const stops = stopAfterEach();
  let said: string[];
  let token: string | undefined;
  let ask: () => Promise<string>;
  let dial: () => Promise<Duplex>;
  /** Instead of those that a test decides itself. */
  let tokens: TokenSource | undefined;

  beforeEach(() => {
    said = [];
    token = "first";
    ask = async () => (token = "asked for");
    tokens = undefined;
  });
  async function open(at: LocalAddress = { port: 0 }, patienceMs = 0): Promise<LocalPort> {
    const route: Route = {
      description: "a test's",
      needsToken: true,
      audience: "satellites.dev",
      dial: () => dial(),
    };
    const own: TokenSource = {
      owner: "a test",
      current: () => token,
      get: async () => token ?? (await ask()),
      close: () => {},
    };
    const context = { clock: systemClock, random: () => 0 };
    const say = (line: string): unknown => said.push(line);
    const local = await LocalPort.listen(at, {
      satellite: SATELLITE,
      route,
      tokens: tokens ?? own,
      context,
      say,
      patienceMs,
    });
    stops.push(() => local.close());
    return local;
  }

  const portOf = ({ url }: LocalPort): number => Number(/:(\d+)$/.exec(url)?.[1]);

  function client(local: LocalPort): TestClient {
    const one = new TestClient(portOf(local));
    stops.push(() => one.close());
    return one;
  }

  async function socketTo(port: number): Promise<Socket> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    return socket;
  }

  /** A server that tells what each call carried. */
  async function listener(): Promise<{ readonly port: number; readonly heard: Record<string, unknown>[] }> {
    const heard: Record<string, unknown>[] = [];
    const vm = await TestVM.start({
      unary: (call, callback) => {
        heard.push(call.metadata.getMap());
        callback(null, call.request);
      },
    });
    stops.push(() => vm.stop());
    return { port: vm.port, heard };
  }

  it("adds name and token to each call, and the newest token from then on", async () => {
    const { port, heard } = await listener();
    dial = () => socketTo(port);
    const one = client(await open());
    expect(
      (await one.call("unary", { messages: [Buffer.from("a")], ...UNNAMED })).messages[0]?.toString(),
    ).to.equal("a");
    token = "second";
    await one.call("unary", UNNAMED);
    // What has run out is not sent: one is asked for, and the call waits.
    token = undefined;
    await one.call("unary", UNNAMED);
    expect(heard.map((metadata) => metadata["authorization"])).to.deep.equal([
      "Bearer first",
      "Bearer second",
      "Bearer asked for",
    ]);
    expect(heard[0]).to.include({ "satellite-name": "ada", "satellite-namespace": "team-a" });
  });

  it("reaches a satellite that slept for a night: tokens were renewed meanwhile, and the idle connection is made anew", async () => {
    const { port, heard } = await listener();
    const dialled: Socket[] = [];
    dial = async () => {
      const socket = await socketTo(port);
      dialled.push(socket);
      return socket;
    };
    const clock = new VirtualClock();
    let issued = 0;
    const call = async (): Promise<unknown> => {
      issued += 1;
      const expirationTimestamp = new Date(clock.now().getTime() + HOUR_MS).toISOString();
      return { status: { token: `token-${issued}`, expirationTimestamp } };
    };
    const context = { clock, random: () => 0, err: { write: () => {} } } as unknown as CliContext;
    tokens = accountTokens({ namespace: "team-a", name: "ci" }, "satellites.dev", { call }, context);
    stops.push(() => tokens?.close());
    const one = client(await open());
    await one.call("unary", UNNAMED);
    for (let hour = 0; hour < 10; hour += 1) {
      await clock.advance(HOUR_MS);
    }
    // Four fifths of an hour fit twelve times into ten.
    expect(issued).to.equal(13);
    dialled[0]?.destroy();
    await until(async () => (await one.call("unary", UNNAMED)).code === grpc.status.OK);
    expect(dialled).to.have.length(2);
    expect(heard.map((metadata) => metadata["authorization"])).to.deep.equal([
      "Bearer token-1",
      "Bearer token-13",
    ]);
  });

  it("lets an open stream go on when its token has run out and no other is to be had, and says why to whoever calls then", async () => {
    const heard: unknown[] = [];
    const vm = await TestVM.start({
      unary: (call, callback) => {
        heard.push(call.metadata.getMap()["authorization"]);
        callback(null, call.request);
      },
    });
    stops.push(() => vm.stop());
    dial = () => socketTo(vm.port);
    const one = client(await open());
    const { stream, result } = one.open(UNNAMED);
    const echoed = async (text: string): Promise<string> => {
      stream.write(Buffer.from(text));
      return String((await once(stream, "data"))[0]);
    };
    expect(await echoed("before")).to.equal("before");
    token = undefined;
    ask = () => Promise.reject(new SatelliteError("NoToken", "the API server is away"));
    expect(await echoed("while there is no token")).to.equal("while there is no token");
    expect((await one.call("unary", UNNAMED)).code).to.equal(grpc.status.OK);
    expect(heard).to.deep.equal([undefined]);
    expect(said).to.deep.equal(["the API server is away"]);
    expect(await echoed("after")).to.equal("after");
    stream.end();
    expect((await result).code).to.equal(grpc.status.OK);
  });

  it("answers each call with the reason where no router is reached", async () => {
    dial = () => Promise.reject(new SatelliteError("RouterUnreachable", "no router – 100 % gone"));
    const one = client(await open());
    const { code, details } = await one.call("unary");
    expect(code).to.equal(grpc.status.UNAVAILABLE);
    expect(details).to.equal("no router – 100 % gone");
    expect((await one.call("unary")).details).to.equal("no router – 100 % gone");
    expect(said).to.include("no router – 100 % gone");
  });

  it("tries again while the client waits, and passes on what it has sent meanwhile", async () => {
    const { port } = await listener();
    let attempts = 0;
    dial = async () => {
      attempts += 1;
      if (attempts < 3) {
        throw new Error("not yet");
      }
      return await socketTo(port);
    };
    const one = client(await open({ port: 0 }, 60_000));
    expect((await one.call("unary")).code).to.equal(grpc.status.OK);
    expect(attempts).to.equal(3);
  });

  it("tries no second time where the router's certificate is not trusted: it stays so", async () => {
    let attempts = 0;
    dial = () => {
      attempts += 1;
      return Promise.reject(new SatelliteError("RouterUntrusted", "no TLS with the router"));
    };
    const one = client(await open({ port: 0 }, 60_000));
    expect(await one.call("unary")).to.include({
      code: grpc.status.UNAVAILABLE,
      details: "no TLS with the router",
    });
    expect(attempts).to.equal(1);
  });

  it("tells a client that speaks no HTTP/2 what is here", async () => {
    const socket = await socketTo(portOf(await open()));
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let text = "";
    for await (const chunk of socket) {
      text += String(chunk);
    }
    expect(text)
      .to.match(/^HTTP\/1.1 505 /)
      .and.contain("gRPC over HTTP/2 without TLS");
  });

  it("ends the connection to the router with the client's, and the other way round", async () => {
    const { port } = await listener();
    const dialled: Socket[] = [];
    dial = async () => {
      const socket = await socketTo(port);
      dialled.push(socket);
      return socket;
    };
    const local = await open();
    const one = new TestClient(portOf(local));
    await one.call("unary");
    const closed = once(dialled[0]!, "close");
    one.close();
    await closed;
    const other = client(local);
    await other.call("unary");
    dialled[1]!.destroy();
    // grpc-js sees that and connects anew.
    expect((await other.call("unary")).code).to.be.oneOf([grpc.status.OK, grpc.status.UNAVAILABLE]);
    expect((await other.call("unary")).code).to.equal(grpc.status.OK);
    expect(dialled).to.have.length(3);
  });

  it("may be a Unix socket that its user alone may open, also where an older one was left", async () => {
    const directory = mkdtempSync(join(tmpdir(), "satellites-socket-"));
    stops.push(() => rmSync(directory, { recursive: true }));
    const socket = join(directory, "ada.sock");
    const local = await open({ socket });
    expect(local.url).to.equal(`unix://${socket}`);
    expect(statSync(socket).mode & 0o777).to.equal(0o600);
    expect(await open({ socket }).then(({ url }) => url)).to.equal(`unix://${socket}`);
  });

  it("says which flag chooses another where it cannot listen", async () => {
    const port = portOf(await open());
    expect(await open({ port }).catch(String)).to.match(
      /cannot listen on 127.0.0.1:\d+: .*--port or --socket/,
    );
  });
});
