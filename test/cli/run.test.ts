import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect } from "chai";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { timestamp } from "../../src/satellite/conditions.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { serverCertificate } from "../../src/local/kubernetes/certificates.ts";
import { startTestGuest, type TestGuest } from "../guest/support.ts";
import { Cluster } from "../router/access/access-bench.ts";
import { power, satellite } from "../router/satellites.ts";
import { until } from "../router/support/router-bench.ts";
import { stopAfterEach } from "../support/stops.ts";
import { Terminal } from "./terminal.ts";

const PERSON = { name: "person", groups: ["people"], token: "token-of-a-person" };

/** `run` before a guest; what stands for the router passes bytes on when a test says so. */
describe("run", function () {
  this.timeout(20_000);
  const stops = stopAfterEach();
  let cluster: Cluster;
  let guest: TestGuest;
  let home: string;

  before(async () => {
    cluster = await Cluster.start([PERSON], () => true, 8372);
    guest = await startTestGuest();
    home = mkdtempSync(join(tmpdir(), "satellites-cli-run-"));
  });
  beforeEach(() => cluster.reset(satellite({ name: "ada" })));
  after(async () => {
    rmSync(home, { recursive: true });
    await guest.close();
    await cluster.stop();
  });

  const terminal = (isTTY: boolean, clock: Clock = systemClock): Terminal =>
    new Terminal({ environment: { HOME: home, KUBECONFIG: cluster.kubeconfig(PERSON.token) }, isTTY, clock });

  /** Runs a command in ada. */
  const start = (isTTY: boolean, router: string, ...command: string[]): ReturnType<Terminal["start"]> =>
    terminal(isTTY).start("run", "ada", "-n", "team-a", "--router", router, "--", ...command);

  async function listen(server: Server): Promise<string> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    stops.push(() => {
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** The address of a stand-in for a router, and what lets it pass bytes on. */
  async function heldRouter(): Promise<{ readonly router: string; readonly release: () => void }> {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const pass = async (client: Socket): Promise<void> => {
      await released;
      const vm = connect(guest.server.port, "127.0.0.1");
      for (const socket of [client, vm]) {
        socket.on("error", () => socket.destroy());
        socket.once("close", () => (socket === vm ? client : vm).destroy());
      }
      client.pipe(vm).pipe(client);
    };
    const router = await listen(createServer((client) => void pass(client)));
    return { router, release };
  }

  /** Writes a status as the operator does. */
  async function report(status: Partial<Satellite["status"]>): Promise<void> {
    const known = await cluster.read("ada");
    await cluster.admin.replace(
      SATELLITES,
      { ...known, status: { ...known.status, ...status } },
      { subresource: "status" },
    );
  }

  const condition = (type: "Ready" | "Awake", status: "True" | "False", message: string): object => ({
    type,
    status,
    reason: "Because",
    message,
    lastTransitionTime: timestamp(new Date()),
  });

  it("shows at a terminal how the satellite gets there, on standard error and before anything else", async () => {
    const { router, release } = await heldRouter();
    const command = start(true, router, "echo", "hello");
    await cluster.admin.patch(
      SATELLITES,
      { namespace: "team-a", name: "ada" },
      { type: "merge", body: { spec: { desiredPower: "on" } } },
    );
    await report({
      phase: "Waking",
      power: power("Starting"),
      conditions: [condition("Ready", "False", "the machine is being started")] as never,
    });
    await until(() => command.err().includes("Waking: the machine is being started"));
    expect(command.out()).to.equal("");
    release();
    const { code, out, err } = await command.ended;
    expect([code, out]).to.deep.equal([0, "hello\n"]);
    expect(stripVTControlCharacters(err)).to.match(
      /^[^\n]*team-a\/ada {2}Waking: the machine is being started {2}\d+s\r?\n$/,
    );
  });

  it("writes nothing of that where standard error is no terminal", async () => {
    const { router, release } = await heldRouter();
    const command = start(false, router, "cat", "none");
    setTimeout(release, 2_000);
    const { code, err } = await command.ended;
    expect(code).to.equal(1);
    expect(err)
      .to.match(/^cat: none: /)
      .and.not.contain("team-a/ada");
  });

  it("says it there, too, where it takes half a minute: once for each change", async () => {
    const { router, release } = await heldRouter();
    const hastened: Clock = {
      ...systemClock,
      setTimer: (delayMs, callback) => systemClock.setTimer(delayMs === 30_000 ? 100 : delayMs, callback),
    };
    await cluster.admin.patch(
      SATELLITES,
      { namespace: "team-a", name: "ada" },
      { type: "merge", body: { spec: { desiredPower: "on" } } },
    );
    await report({
      phase: "Launching",
      power: power("Starting"),
      conditions: [condition("Ready", "False", "port 8372 does not answer yet")] as never,
    });
    const words = ["run", "ada", "-n", "team-a", "--router", router, "--", "echo", "hello"];
    const command = terminal(false, hastened).start(...words);
    await until(() => command.err().includes("does not answer yet"));
    release();
    expect(await command.ended).to.deep.equal({
      code: 0,
      out: "hello\n",
      err: "   0.0 s  team-a/ada  Launching: port 8372 does not answer yet\n",
    });
  });

  it("says once why there is no way to the router, at once where its certificate is not trusted", async () => {
    const { certificatePem, keyPem } = await serverCertificate(home, "127.0.0.1", new Date());
    const router = await listen(
      createTlsServer({ cert: certificatePem, key: keyPem, ALPNProtocols: ["h2"] }),
    );
    const untrusted = await terminal(false).run("run", "ada", "--router", router, "--tls", "--", "true");
    expect(untrusted.code).to.equal(1);
    expect(untrusted.err).to.match(
      /^error: UNAVAILABLE: no TLS with the router at \S+ as 127\.0\.0\.1: unable to verify the first certificate; --ca names its authorities, [^\n]*\n$/,
    );
    const cleartext = await terminal(false).run("run", "ada", "--router", router, "--", "true");
    expect(cleartext.err).to.match(
      /^error: UNAVAILABLE: the connection to the router [^\n]*; is there a router at /,
    );
    expect(cleartext.err).to.match(
      /does it speak TLS \(--tls or --ca\) just as this command does\? \(CallFailed\)\n$/,
    );
  });
});
